"""Gateways with real worker processes, whose client speaks to a WhatsApp of the test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.gateway.receiver import Receiver
from tests.gateway.whatsmeow.waiting import until_status
from tests.support.fake_whatsapp import FakeWhatsApp, fake_whatsapp, options
from tests.support.gateway import RunningGateway, running_gateway


@pytest.fixture
async def whatsapp(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeWhatsApp]:
    async with fake_whatsapp(monkeypatch) as fake:
        yield fake


@pytest.fixture
async def real_gateway(
    tmp_path: Path, whatsapp: FakeWhatsApp, receiver: Receiver
) -> AsyncIterator[RunningGateway]:
    """With no session yet; its events go to ``receiver``."""
    async with running_gateway(tmp_path, whatsmeow=options(), webhook_url=receiver.url) as running:
        yield running


@pytest.fixture
async def paired(real_gateway: RunningGateway, whatsapp: FakeWhatsApp) -> RunningGateway:
    """With the session ``wa_1`` of the studio's phone, connected."""
    await real_gateway.post("/connect", {"sessionId": "wa_1"})
    await whatsapp.scan()
    await until_status(real_gateway, "connected")
    return real_gateway
