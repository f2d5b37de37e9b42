"""The driver and the engine of real phones: the same contract as with the simulator.

Workers, sockets, files and the gateway are the real ones; only WhatsApp is the test's own.
"""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.conftest import PATIENT
from tests.support.fake_whatsapp import (
    COMMUNITY,
    MORNING,
    NEWS,
    STUDIO,
    FakeWhatsApp,
    fake_whatsapp,
    options,
)
from tests.support.gateway import API_KEY, RunningGateway, running_gateway

from groupline.errors import GatewayRefused, GatewaySessionUnknown
from groupline.gateways.drivers.base import Endpoint, HttpPool
from groupline.gateways.drivers.groupline import GrouplineDriver
from groupline.gateways.outcomes import (
    Found,
    LookupUnknown,
    NotFound,
    NotSent,
    NotSentReason,
    SendOutcome,
    Sent,
    SessionConnected,
    SessionConnecting,
    SessionDisconnected,
    SessionQr,
    SessionReading,
    SessionUnknown,
    Uncertain,
)
from groupline.gateways.port import Capabilities, Capability


@pytest.fixture
async def whatsapp(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeWhatsApp]:
    async with fake_whatsapp(monkeypatch) as fake:
        yield fake


@pytest.fixture
async def real_phones(tmp_path: Path, whatsapp: FakeWhatsApp) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path, whatsmeow=options()) as running:
        yield running


@pytest.fixture
async def driver(pool: HttpPool, real_phones: RunningGateway) -> GrouplineDriver:
    endpoint = Endpoint(real_phones.url, API_KEY)
    probe = await GrouplineDriver(pool, endpoint, Capabilities(), PATIENT).probe()
    assert probe.error is None
    assert probe.engine == "whatsmeow"
    assert Capability.CLIENT_REF in probe.capabilities
    assert Capability.SIMULATOR not in probe.capabilities
    return GrouplineDriver(pool, endpoint, probe.capabilities)


@pytest.fixture
async def session(driver: GrouplineDriver, whatsapp: FakeWhatsApp) -> str:
    """A session that is connected."""
    session_id = f"wa_{uuid.uuid4()}"
    await driver.connect(session_id)
    await whatsapp.scan(session_id)
    await until(driver, session_id, SessionConnected)
    return session_id


async def until(
    driver: GrouplineDriver, session_id: str, kind: type[SessionReading]
) -> SessionReading:
    async with asyncio.timeout(60):
        while not isinstance(found := await driver.status(session_id), kind):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # a driver is asked, it does not tell
    return found


async def send(driver: GrouplineDriver, session: str, ref: str, jid: str = MORNING) -> SendOutcome:
    return await driver.send(session, jid, f"text of {ref}", client_ref=ref)


async def test_a_session_from_connect_to_disconnect(
    driver: GrouplineDriver, whatsapp: FakeWhatsApp
) -> None:
    session = f"wa_{uuid.uuid4()}"
    assert isinstance(await driver.status(session), SessionUnknown)
    await driver.connect(session)
    waiting = await until(driver, session, SessionQr)
    assert isinstance(waiting, SessionQr)
    assert waiting.qr is not None
    assert waiting.expires_at is not None
    await whatsapp.scan(session)
    connected = await until(driver, session, SessionConnected)
    assert isinstance(connected, SessionConnected)
    assert connected.phone == STUDIO
    assert connected.since is not None
    whole = await driver.sessions()
    assert (whole.limit, whole.memory_limit_mb) == (50, 250)
    [held] = whole.sessions
    assert (held.id, held.status, held.restarts) == (session, "connected", 0)
    assert held.memory_mb is not None
    await driver.disconnect(session)
    await driver.disconnect(session)
    assert isinstance(await driver.status(session), SessionUnknown)


async def test_a_phone_that_unlinks_ends_the_session_for_good(
    driver: GrouplineDriver, whatsapp: FakeWhatsApp, session: str
) -> None:
    whatsapp.clients[session].event("logged_out", reason="LOGGED_OUT")
    reading = await until(driver, session, SessionDisconnected)
    assert isinstance(reading, SessionDisconnected)
    assert reading.logged_out
    assert reading.detail is not None
    assert "removed on the phone" in reading.detail


async def test_a_connection_that_drops_is_no_log_out(
    driver: GrouplineDriver, whatsapp: FakeWhatsApp, session: str
) -> None:
    whatsapp.clients[session].event("disconnected")
    assert isinstance(await until(driver, session, SessionConnecting), SessionConnecting)
    with pytest.raises(GatewayRefused) as refused:
        await driver.groups(session)
    assert refused.value.extra["gatewayReason"] == "not_connected"


async def test_groups_with_all_their_facts(driver: GrouplineDriver, session: str) -> None:
    listing = await driver.groups(session, include_invite_links=True)
    facts = {group.jid: group for group in listing.groups}
    assert listing.complete is True
    assert facts[MORNING].participant_count == 27
    assert facts[MORNING].is_admin is True
    assert facts[NEWS].announce_only is True
    assert facts[NEWS].is_admin is False
    assert facts[COMMUNITY].is_community is True


async def test_the_invite_and_the_participants_of_a_group(
    driver: GrouplineDriver, session: str, whatsapp: FakeWhatsApp
) -> None:
    invite = await driver.invite(session, MORNING)
    assert invite.link.endswith(invite.code)
    listing = await driver.participants(session, MORNING)
    assert len(listing.participants) == listing.total == 27
    assert listing.participants[0].phone == STUDIO
    whatsapp.errors["invite"] = "you don't have the permission to get the group's invite link"
    with pytest.raises(GatewayRefused, match="admin"):
        await driver.invite(session, MORNING)


async def test_what_is_not_there_is_refused_by_its_name(driver: GrouplineDriver) -> None:
    with pytest.raises(GatewaySessionUnknown):
        await driver.groups(f"wa_{uuid.uuid4()}")


async def test_the_same_reference_is_sent_once(
    driver: GrouplineDriver, whatsapp: FakeWhatsApp, session: str
) -> None:
    first = await send(driver, session, "ref-1")
    assert isinstance(first, Sent)
    assert await send(driver, session, "ref-1") == Sent(first.message_id, existing=True)
    assert len(whatsapp.wire) == 1
    found = await driver.message_status(session, client_ref="ref-1")
    assert isinstance(found, Found)
    assert found.message_id == first.message_id
    assert isinstance(await driver.message_status(session, client_ref="ref-2"), NotFound)


REFUSALS = [
    ("server returned error 403", NotSentReason.NOT_IN_GROUP),
    ("server returned error 420", NotSentReason.REJECTED),
    ("server returned error 429", NotSentReason.RATE_LIMITED),
    ("server returned error 463", NotSentReason.RESTRICTED),
    ("server returned error 479", NotSentReason.REJECTED),
    ("server returned error 405", NotSentReason.NOT_ALLOWED),
    ("failed to send message node: websocket not connected", NotSentReason.NOT_CONNECTED),
    ("failed to get group members: that group does not exist", NotSentReason.NOT_IN_GROUP),
]


@pytest.mark.parametrize(("words", "reason"), REFUSALS)
async def test_what_whatsapp_says_of_a_message_arrives_as_a_reason(
    driver: GrouplineDriver,
    whatsapp: FakeWhatsApp,
    session: str,
    words: str,
    reason: NotSentReason,
) -> None:
    whatsapp.errors["wire"] = words
    outcome = await send(driver, session, "ref-1")
    assert isinstance(outcome, NotSent)
    assert outcome.reason is reason
    assert isinstance(await driver.message_status(session, client_ref="ref-1"), NotFound)


async def test_a_crash_on_the_wire_is_uncertain_until_a_receipt_settles_it(
    driver: GrouplineDriver, whatsapp: FakeWhatsApp, session: str
) -> None:
    whatsapp.hold_at = "wire"
    sending = asyncio.create_task(send(driver, session, "ref-1"))
    await whatsapp.until(lambda: whatsapp.held)
    os.kill(whatsapp.clients[session].pid, signal.SIGKILL)
    assert isinstance(await sending, Uncertain)
    whatsapp.hold_at = None
    assert isinstance(await driver.message_status(session, client_ref="ref-1"), LookupUnknown)
    assert isinstance(await send(driver, session, "ref-1"), Uncertain)
    await until(driver, session, SessionConnected)
    message_id = whatsapp.held[0][1]
    facts = {"messageIds": [message_id], "chat": MORNING, "reader": "5000@lid", "at": None}
    whatsapp.clients[session].event("receipt", kind="delivered", **facts)
    async with asyncio.timeout(60):
        while not isinstance(again := await send(driver, session, "ref-1"), Sent):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert again == Sent(message_id, existing=True)
    found = await driver.message_status(session, client_ref="ref-1")
    assert isinstance(found, Found)
    assert found.message_id == message_id
    assert len(whatsapp.wire) == 1


async def test_a_crash_before_the_wire_is_a_definite_no(
    driver: GrouplineDriver, whatsapp: FakeWhatsApp, session: str
) -> None:
    whatsapp.hold_at = "before_store"
    sending = asyncio.create_task(send(driver, session, "ref-1"))
    await whatsapp.until(lambda: whatsapp.held)
    os.kill(whatsapp.clients[session].pid, signal.SIGKILL)
    outcome = await sending
    assert isinstance(outcome, NotSent)
    assert outcome.reason is NotSentReason.NOT_CONNECTED
    assert isinstance(await driver.message_status(session, client_ref="ref-1"), NotFound)
