"""What the gateway's tests share: a gateway, and somebody who takes its webhooks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.gateway.receiver import Receiver, running_receiver
from tests.support.clock import ManualClock
from tests.support.gateway import RunningGateway, running_gateway


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture
async def timed_gateway(tmp_path: Path, clock: ManualClock) -> AsyncIterator[RunningGateway]:
    """A gateway whose time only the test moves."""
    async with running_gateway(tmp_path, clock=clock) as running:
        yield running


@pytest.fixture
async def timed_telling_gateway(
    tmp_path: Path, clock: ManualClock, receiver: Receiver
) -> AsyncIterator[RunningGateway]:
    """The same, and it sends its events to ``receiver``."""
    async with running_gateway(tmp_path, clock=clock, webhook_url=receiver.url) as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


@pytest.fixture
async def telling_gateway(tmp_path: Path, receiver: Receiver) -> AsyncIterator[RunningGateway]:
    """A gateway that sends its events to ``receiver``."""
    async with running_gateway(tmp_path, webhook_url=receiver.url) as running:
        yield running
