"""When a sync fails, the answer says so, and the tables are as they were."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update
from tests.contract.scripted import Answering, Peer, answer, reset
from tests.integration.groups.conftest import Phone, listed, many
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import ManualClock

from groupline.db import Database
from groupline.errors import (
    Conflict,
    DatabaseFailed,
    GatewayAuthFailed,
    GatewayUnreachable,
    GrouplineError,
    NumberNotConnected,
)
from groupline.groups.turns import LEASE_SECONDS, RENEWED_EVERY_SECONDS
from groupline.journal import SYSTEM
from groupline.models import Gateway, Lease, WhatsappNumber, WhatsappSession
from groupline.orgs.rules import Scope

_SQLITE_TRIGGER = """
CREATE TRIGGER broken BEFORE INSERT ON whatsapp_memberships
WHEN (SELECT count(*) FROM whatsapp_memberships) >= 10
BEGIN SELECT RAISE(ABORT, 'the disk is on strike'); END
"""
_POSTGRESQL_TRIGGER = """
CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM whatsapp_memberships) >= 10 THEN
        RAISE EXCEPTION 'the disk is on strike' USING ERRCODE = '58030';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER broken BEFORE INSERT ON whatsapp_memberships
FOR EACH ROW EXECUTE FUNCTION strike();
"""


async def break_in_the_middle(database: Database) -> None:
    """The eleventh membership cannot be written."""
    trigger = _SQLITE_TRIGGER if database.dialect == "sqlite" else _POSTGRESQL_TRIGGER
    async with database.writing() as session:
        await session.execute(text(trigger))


async def everything(database: Database) -> list[Any]:
    """All rows of the two tables, whatever is in them."""
    async with database.reading() as session:
        groups = await session.execute(text("SELECT * FROM whatsapp_groups ORDER BY id"))
        members = await session.execute(text("SELECT * FROM whatsapp_memberships ORDER BY id"))
        return [*groups.all(), *members.all()]


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.admin, Scope.READ, Scope.WRITE) as client:
        yield client


async def test_a_database_failure_in_the_middle_is_a_500_and_changes_nothing(
    phone: Phone, client: httpx.AsyncClient, database: Database
) -> None:
    await phone.synced(many(5))
    before = await everything(database)
    await break_in_the_middle(database)
    phone.lists([listed(number, name="Renamed") for number in range(27)])

    response = await client.post(f"/api/v1/numbers/{phone.number_id}/sync-groups")

    problem = response.json()
    assert response.status_code == 500
    assert (problem["success"], problem["upstream"]) == (False, "db")
    assert (problem["vpsCount"], problem["savedCount"]) == (27, 0)
    assert problem["code"] == "db_failed"
    expected = {"sqlite": "SQLITE_CONSTRAINT_TRIGGER", "postgresql": "58030"}
    assert problem["upstreamCode"] == expected[database.dialect]
    assert "the disk is on strike" in problem["details"]
    assert "the disk is on strike" in problem["error"]
    assert await everything(database) == before


async def test_after_a_database_failure_the_next_sync_need_not_wait(
    phone: Phone, database: Database
) -> None:
    await break_in_the_middle(database)
    with pytest.raises(DatabaseFailed):
        await phone.synced(many(27))
    async with database.writing() as session:
        await session.execute(
            text("DROP TRIGGER broken")
            if database.dialect == "sqlite"
            else text("DROP TRIGGER broken ON whatsapp_memberships")
        )

    assert (await phone.synced()).saved_count == 27


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_lost_connection_to_the_database_is_a_500_and_changes_nothing(
    phone: Phone, client: httpx.AsyncClient, database: Database
) -> None:
    await phone.synced(many(5))
    before = await everything(database)
    async with database.writing() as session:
        await session.execute(
            text(
                """
                CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                    RETURN new;
                END $$;
                CREATE TRIGGER broken BEFORE INSERT ON whatsapp_memberships
                FOR EACH ROW EXECUTE FUNCTION hang_up();
                """
            )
        )
    phone.lists(many(27))

    response = await client.post(f"/api/v1/numbers/{phone.number_id}/sync-groups")

    problem = response.json()
    assert (response.status_code, problem["upstream"]) == (500, "db")
    assert problem["details"]
    assert await everything(database) == before


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_connection_lost_at_the_commit_is_not_called_unchanged(
    phone: Phone, client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        await session.execute(
            text(
                """
                CREATE FUNCTION hang_up() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                    RETURN new;
                END $$;
                CREATE CONSTRAINT TRIGGER broken AFTER INSERT ON whatsapp_memberships
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hang_up();
                """
            )
        )
    phone.lists(many(5))

    response = await client.post(f"/api/v1/numbers/{phone.number_id}/sync-groups")

    problem = response.json()
    assert (response.status_code, problem["upstream"]) == (500, "db")
    assert "all of them were, or none" in problem["detail"]
    assert "nothing was changed" not in response.text


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_a_full_disk_is_a_500_and_changes_nothing(
    phone: Phone, client: httpx.AsyncClient, database: Database
) -> None:
    await phone.synced(many(5))
    before = await everything(database)
    async with database.writing() as session:
        # A database that may not grow behaves as one whose disk is full.
        pages = (await session.execute(text("PRAGMA page_count"))).scalar_one()
        await session.execute(text(f"PRAGMA max_page_count = {pages + 2}"))
    phone.lists([listed(number, name="x" * 190) for number in range(3000)])

    response = await client.post(f"/api/v1/numbers/{phone.number_id}/sync-groups")

    problem = response.json()
    assert (response.status_code, problem["upstreamCode"]) == (500, "SQLITE_FULL")
    assert "full" in problem["details"]
    assert await everything(database) == before


async def test_a_gateway_that_cannot_be_reached_is_noted_and_the_groups_stay(
    phone: Phone, clock: ManualClock, database: Database
) -> None:
    await phone.synced(many(5))
    async with database.writing() as session:
        paired = await session.get_one(WhatsappSession, phone.session_id)
        gateway = await session.get_one(Gateway, paired.gateway_id)
        gateway.base_url = "http://127.0.0.1:9"

    with pytest.raises(GatewayUnreachable) as failure:
        await phone.synced()

    assert failure.value.extra["savedCount"] == 0
    async with database.reading() as session:
        gateway = await session.get_one(Gateway, gateway.id)
        number = await session.get_one(WhatsappNumber, phone.number_id)
    assert gateway.unreachable_since == clock.now()
    assert number.last_sync is not None
    assert number.last_sync["upstream"] == "gateway"
    assert all(saved.membership.is_active for saved in (await phone.saved()).values())


@pytest.mark.parametrize(
    "trouble",
    [
        [reset(), reset()],  # the client asks once more, on a new connection
        [answer(401, {"error": "Unauthorized"})],
    ],
)
async def test_a_list_that_does_not_come_makes_no_gateway_unreachable_that_answers_otherwise(
    phone: Phone, clock: ManualClock, database: Database, trouble: list[Answering]
) -> None:
    healthy = [answer(200, {"status": "ok"}), answer(404, {"error": "Session not found"})]
    phone.gateway.says(*trouble, *healthy)

    with pytest.raises(GrouplineError):
        await phone.synced()

    async with database.reading() as session:
        paired = await session.get_one(WhatsappSession, phone.session_id)
        gateway = await session.get_one(Gateway, paired.gateway_id)
    assert (gateway.unreachable_since, gateway.last_error) == (None, None)
    assert paired.next_verify_at == clock.now()


async def test_a_gateway_that_refuses_our_key_is_noted_as_one_that_does(
    phone: Phone, clock: ManualClock, database: Database
) -> None:
    phone.gateway.says(answer(401, {"error": "Unauthorized"}))

    with pytest.raises(GatewayAuthFailed):
        await phone.synced()

    async with database.reading() as session:
        paired = await session.get_one(WhatsappSession, phone.session_id)
        gateway = await session.get_one(Gateway, paired.gateway_id)
    assert (gateway.unreachable_since, gateway.last_error_code) == (clock.now(), "auth")


async def test_a_session_that_the_gateway_does_not_know_is_asked_about_at_once(
    phone: Phone, clock: ManualClock, database: Database
) -> None:
    phone.gateway.says(answer(404, {"error": "Session not found"}))

    with suppress(Exception):
        await phone.synced()

    async with database.reading() as session:
        paired = await session.get_one(WhatsappSession, phone.session_id)
    assert paired.next_verify_at == clock.now()


class Gate:
    """A gateway's answer that waits until the test lets it go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.open = asyncio.Event()

    def before(self, answering: Answering) -> Answering:
        async def waiting(peer: Peer) -> bool:
            self.asked.set()
            await self.open.wait()
            return await answering(peer)

        return waiting


async def test_of_two_syncs_at_once_one_runs_and_the_other_says_so(
    phone: Phone, client: httpx.AsyncClient
) -> None:
    gate = Gate()
    phone.gateway.says(gate.before(answer(200, {"groups": many(27)})))
    first = asyncio.create_task(phone.synced())
    await gate.asked.wait()

    second = await client.post(f"/api/v1/numbers/{phone.number_id}/sync-groups")
    gate.open.set()

    assert second.status_code == 409
    assert second.json()["state"] == "syncing"
    assert second.json()["detail"] == "A sync is running since 17:30:00 IST."
    assert (await first).saved_count == 27
    assert len(phone.gateway.received) == 1


async def test_a_sync_that_lost_its_turn_writes_nothing(
    phone: Phone, clock: ManualClock, database: Database
) -> None:
    gate = Gate()
    phone.gateway.says(
        gate.before(answer(200, {"groups": many(27)})), answer(200, {"groups": many(3)})
    )
    slow = asyncio.create_task(phone.synced())
    await gate.asked.wait()
    await clock.sleepers()
    async with database.writing() as session:  # as if the process had stood still for so long
        await session.execute(update(Lease).values(expires_at=clock.now()))

    quick = await phone.synced()
    gate.open.set()

    with pytest.raises(Conflict, match="took too long"):
        await slow
    assert quick.saved_count == 3
    assert len(await phone.saved()) == 3


async def test_a_sync_whose_gateway_is_slow_keeps_its_turn(
    phone: Phone, clock: ManualClock, database: Database
) -> None:
    gate = Gate()
    phone.gateway.says(gate.before(answer(200, {"groups": many(27)})))
    slow = asyncio.create_task(phone.synced())
    await gate.asked.wait()
    begun_at = clock.now()

    for _ in range(2 * LEASE_SECONDS // RENEWED_EVERY_SECONDS):
        await clock.sleepers()
        clock.advance(RENEWED_EVERY_SECONDS)
    await clock.sleepers()

    with pytest.raises(Conflict, match="A sync is running") as refused:
        await phone.sync.run(phone.organization_id, phone.number_id, actor=SYSTEM)
    assert refused.value.extra["since"] == begun_at.isoformat()
    gate.open.set()
    assert (await slow).saved_count == 27


async def test_a_cancelled_sync_gives_its_turn_back(phone: Phone) -> None:
    gate = Gate()
    phone.gateway.says(gate.before(answer(200, {"groups": []})), answer(200, {"groups": many(2)}))
    cancelled = asyncio.create_task(phone.synced())
    await gate.asked.wait()

    cancelled.cancel()
    with suppress(asyncio.CancelledError):
        await cancelled

    assert (await phone.synced()).saved_count == 2


async def test_a_number_that_went_offline_meanwhile_is_told_apart(
    phone: Phone, database: Database, clock: ManualClock
) -> None:
    async with database.writing() as session:
        paired = await session.get_one(WhatsappSession, phone.session_id)
        paired.status = "disconnected"
        paired.disconnected_at = clock.now() - timedelta(seconds=1)
        paired.ended_reason = "logged_out"

    with pytest.raises(NumberNotConnected) as refused:
        await phone.sync.run(phone.organization_id, phone.number_id, actor=SYSTEM)

    assert refused.value.extra["success"] is False
    assert phone.gateway.received == []
