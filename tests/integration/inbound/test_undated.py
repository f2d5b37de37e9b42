"""Status webhooks that do not say when: they may be late ones, so they win over nothing."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from tests.integration.inbound.test_hooks import PHONE, SECRET, events, report
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.factories import make_gateway, make_number, make_session

from groupline.db import Database
from groupline.gateways.webhook_secrets import write_webhook_secrets
from groupline.models import Gateway, InboundOutcome, WhatsappSession

ABSENT = object()
TIMES = pytest.mark.parametrize("time", [ABSENT, "yesterday"], ids=["absent", "unreadable"])


@dataclass
class House:
    """One gateway whose webhooks are heard, and one session there."""

    running: RunningApp
    database: Database
    clock: ManualClock
    cast: Cast
    gateway: Gateway

    async def session(self, *, has_number: bool = True, **fields: Any) -> WhatsappSession:
        organization_id = self.cast.organization_id
        async with self.database.writing() as session:
            number = await make_number(session, organization_id=organization_id, phone_number=PHONE)
            return await make_session(
                session,
                organization_id=organization_id,
                number_id=number.id if has_number else None,
                gateway_id=self.gateway.id,
                gateway_session_id="wa_1",
                **fields,
            )

    async def stored(self, row: WhatsappSession) -> WhatsappSession:
        async with self.database.reading() as session:
            return await session.get_one(WhatsappSession, row.id)

    async def hears(self, status: str, time: object, **said: str) -> InboundOutcome | None:
        """What became of the webhook."""
        body: dict[str, Any] = {"sessionId": "wa_1", "status": status, "phoneNumber": PHONE, **said}
        if time is not ABSENT:
            body["timestamp"] = time
        answer = await report(self.running, self.gateway, "/whatsapp-status-webhook", body)
        assert answer.status_code == 200
        return (await events(self.database))[-1].outcome


@pytest.fixture
async def house(running: RunningApp, cast: Cast) -> House:
    runtime = running.runtime
    secrets = write_webhook_secrets(runtime.vault, [SECRET])
    async with runtime.database.writing() as session:
        gateway = await make_gateway(session, webhook_secrets=secrets)
    assert isinstance(runtime.clock, ManualClock)
    return House(running, runtime.database, runtime.clock, cast, gateway)


@TIMES
@pytest.mark.parametrize("word", ["logged_out", "disconnected", "connected"])
async def test_it_changes_nothing_that_is_known_and_the_gateway_is_asked(
    house: House, word: str, time: object
) -> None:
    row = await house.session(next_verify_at=house.clock.now() + timedelta(seconds=50))
    before = await house.stored(row)
    house.clock.advance(20)
    assert await house.hears(word, time) == "ambiguous"
    after = await house.stored(row)
    assert (after.status, after.verified_at, after.doubted_at, after.status_at) == (
        before.status,
        before.verified_at,
        before.doubted_at,
        before.status_at,
    )
    assert after.next_verify_at == house.clock.now()


@TIMES
async def test_a_new_pairing_is_connected_by_it_at_once(house: House, time: object) -> None:
    """No phone was linked to it before, so there is nothing that it could be late for."""
    row = await house.session(status="connecting", has_number=False)
    house.clock.advance(20)
    assert await house.hears("connected", time) == "applied"
    assert (await house.stored(row)).status == "connected"


@pytest.mark.parametrize("reason", ["disconnected", "logged_out", "user"])
async def test_an_ended_session_that_is_said_to_be_back_is_asked_about(
    house: House, reason: str
) -> None:
    row = await house.session(status="disconnected", ended_reason=reason)
    assert await house.hears("connected", ABSENT) == "ambiguous"
    after = await house.stored(row)
    assert (after.status, after.next_verify_at) == ("disconnected", house.clock.now())


async def test_one_that_waits_for_its_logout_goes_on_waiting(house: House) -> None:
    now = house.clock.now()
    row = await house.session(
        status="disconnected",
        ended_reason="user",
        logout_requested_at=now,
        next_verify_at=now + timedelta(minutes=5),
    )
    assert await house.hears("connected", ABSENT) == "ambiguous"
    assert (await house.stored(row)).next_verify_at == now + timedelta(minutes=5)


async def test_the_sentence_of_a_webhook_is_what_people_read(house: House) -> None:
    row = await house.session(status="connected")
    sentence = "The linked device was removed on the phone. Pair this number again."
    at = house.clock.now().isoformat()
    said = {"reason": "logged_out", "detail": sentence}
    assert await house.hears("disconnected", at, **said) == "applied"
    after = await house.stored(row)
    assert (after.status, after.ended_reason) == ("disconnected", "logged_out")
    assert after.last_error == sentence
