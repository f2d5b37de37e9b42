"""Webhooks of gateways: proven, stored once, applied once, never in each other's way."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, update
from standardwebhooks.webhooks import Webhook
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.factories import make_gateway, make_session

from groupline.db import Database
from groupline.gateways.webhook_secrets import write_webhook_secrets
from groupline.inbound.process import Replay
from groupline.models import Gateway, InboundEvent, WhatsappNumber, WhatsappSession

SECRET = "whsec_" + b64encode(b"s" * 32).decode()
PHONE = "919876543210"


@pytest.fixture
async def gateway(running: RunningApp, database: Database) -> Gateway:
    secrets = write_webhook_secrets(running.runtime.vault, [SECRET])
    async with database.writing() as session:
        return await make_gateway(session, webhook_secrets=secrets)


async def report(
    running: RunningApp, gateway: Gateway, path: str, body: Any, secret: str = SECRET
) -> httpx.Response:
    async with running.client() as client:
        content = body if isinstance(body, str) else json.dumps(body)
        headers = {"X-API-Key": secret, "Content-Type": "application/json"}
        return await client.post(f"/hooks/{gateway.id}{path}", content=content, headers=headers)


async def events(database: Database) -> list[InboundEvent]:
    async with database.reading() as session:
        statement = select(InboundEvent).order_by(InboundEvent.id)
        return list((await session.scalars(statement)).all())


async def connecting(database: Database, cast: Cast, gateway: Gateway, name: str) -> UUID:
    async with database.writing() as session:
        row = await make_session(
            session,
            organization_id=cast.organization_id,
            status="connecting",
            gateway_id=gateway.id,
            gateway_session_id=name,
        )
        return row.id


async def status_of(database: Database, session_id: UUID) -> str:
    async with database.reading() as session:
        row = await session.get_one(WhatsappSession, session_id)
        return row.status


def connected(name: str) -> dict[str, str]:
    return {
        "sessionId": name,
        "status": "connected",
        "phoneNumber": PHONE,
        "timestamp": "2026-03-02T12:00:00Z",
    }


async def test_a_status_connects_the_session_and_is_applied_once(
    running: RunningApp, database: Database, cast: Cast, gateway: Gateway
) -> None:
    session_id = await connecting(database, cast, gateway, "wa_1")
    for _ in range(2):
        answer = await report(running, gateway, "/whatsapp-status-webhook", connected("wa_1"))
        assert answer.status_code == 200
    assert await status_of(database, session_id) == "connected"
    assert [event.outcome for event in await events(database)] == ["applied"]


async def test_a_status_tells_of_a_restriction_and_of_its_end(
    running: RunningApp, database: Database, cast: Cast, gateway: Gateway
) -> None:
    await connecting(database, cast, gateway, "wa_1")
    for second, said in enumerate(({"kind": "restricted"}, None), 1):
        body = {**connected("wa_1"), "restriction": said}
        body["timestamp"] = f"2026-03-02T12:00:0{second}Z"
        await report(running, gateway, "/whatsapp-status-webhook", body)
        async with database.reading() as session:
            number = await session.scalar(select(WhatsappNumber))
        assert number is not None
        assert (number.restriction is None) is (said is None)
    assert [event.outcome for event in await events(database)] == ["applied"] * 2


async def test_the_signed_envelope_is_taken_too(
    running: RunningApp, database: Database, cast: Cast, gateway: Gateway
) -> None:
    session_id = await connecting(database, cast, gateway, "wa_1")
    body = json.dumps({"id": "evt_1", "type": "status", "data": connected("wa_1")})
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("evt_1", now, body),
    }
    async with running.client() as client:
        answer = await client.post(f"/hooks/{gateway.id}", content=body, headers=headers)
    assert answer.status_code == 200
    assert await status_of(database, session_id) == "connected"


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000], ids=["cut", "nested without end"])
async def test_what_is_no_json_is_refused_and_not_stored(
    running: RunningApp, database: Database, gateway: Gateway, body: bytes
) -> None:
    async with running.client() as client:
        answer = await client.post(
            f"/hooks/{gateway.id}/whatsapp-status-webhook",
            content=body,
            headers={"X-API-Key": SECRET},
        )
    assert answer.status_code == 400
    assert await events(database) == []


async def test_without_proof_nothing_is_stored_and_it_is_counted(
    running: RunningApp, database: Database, gateway: Gateway
) -> None:
    answer = await report(
        running, gateway, "/whatsapp-status-webhook", connected("wa_1"), secret="wrong"
    )
    unknown = await report(running, Gateway(id=UUID(int=1)), "", {"id": "evt_1"})
    assert (answer.status_code, unknown.status_code) == (401, 401)
    assert answer.json()["code"] == unknown.json()["code"]
    assert await events(database) == []
    async with database.reading() as session:
        assert (await session.get_one(Gateway, gateway.id)).webhooks_rejected == 1


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "null"])
async def test_a_body_that_is_no_object_is_refused(
    running: RunningApp, database: Database, gateway: Gateway, body: str
) -> None:
    answer = await report(running, gateway, "/whatsapp-status-webhook", body)
    assert answer.status_code in {400, 422}
    assert await events(database) == []


@pytest.mark.parametrize(
    "odd", ['"a\\u0000b"', '"\\ud800"', "NaN", "1e999", "[{}]", '{"\\u0000": "\\udfff"}']
)
async def test_no_value_is_too_odd_to_be_stored(
    running: RunningApp, database: Database, gateway: Gateway, odd: str
) -> None:
    body = f'{{"sessionId": "wa_1", "status": {odd}, "extra": {odd}}}'
    answer = await report(running, gateway, "/whatsapp-status-webhook", body)
    assert answer.status_code == 200
    assert len(await events(database)) == 1


async def test_what_comes_too_early_is_applied_once_its_session_is_known(
    running: RunningApp, database: Database, cast: Cast, gateway: Gateway, clock: ManualClock
) -> None:
    await report(running, gateway, "/whatsapp-status-webhook", connected("wa_late"))
    session_id = await connecting(database, cast, gateway, "wa_late")
    replay = Replay(database, clock)
    assert (await events(database))[0].outcome == "unmatched"
    clock.advance(60)
    await replay.run_once()
    assert await status_of(database, session_id) == "connected"
    assert await replay.next_due() is None


async def test_many_that_match_nothing_hold_up_nobody(
    running: RunningApp, database: Database, cast: Cast, gateway: Gateway, clock: ManualClock
) -> None:
    for number in range(250):
        body = connected("wa_foreign") | {"number": number}
        await report(running, gateway, "/whatsapp-status-webhook", body)
    await report(running, gateway, "/whatsapp-status-webhook", connected("wa_ours"))
    session_id = await connecting(database, cast, gateway, "wa_ours")
    replay = Replay(database, clock)
    for _ in range(4):
        clock.advance(2)
        while await replay.run_once():
            pass
    assert await status_of(database, session_id) == "connected"


async def test_one_that_fails_every_time_is_put_aside_and_stops_no_other(
    running: RunningApp, database: Database, cast: Cast, gateway: Gateway, clock: ManualClock
) -> None:
    await report(running, gateway, "/whatsapp-status-webhook", connected("wa_first"))
    await report(running, gateway, "/whatsapp-status-webhook", connected("wa_second"))
    session_id = await connecting(database, cast, gateway, "wa_second")
    async with database.writing() as session:
        first = (await session.scalars(select(InboundEvent).order_by(InboundEvent.id))).first()
        assert first is not None
        await session.execute(
            update(InboundEvent)
            .where(InboundEvent.id == first.id)
            .values(payload=["not an object at all"])
        )
    replay = Replay(database, clock)
    clock.advance(2)
    await replay.run_once()
    assert await status_of(database, session_id) == "connected"
    for _ in range(8):
        clock.advance(600)
        await replay.run_once()
    failed = (await events(database))[0]
    assert (failed.outcome, failed.error) == ("invalid", "AttributeError")


async def test_after_a_day_it_is_kept_but_not_tried_again(
    running: RunningApp, database: Database, gateway: Gateway, clock: ManualClock
) -> None:
    await report(running, gateway, "/whatsapp-status-webhook", connected("wa_nobody"))
    replay = Replay(database, clock)
    for _ in range(60):
        clock.advance(1800)
        await replay.run_once()
    assert await replay.next_due() is None
    async with database.reading() as session:
        waiting = select(func.count()).where(InboundEvent.processed_at.is_(None))
        assert (await session.execute(waiting)).scalar_one() == 1
