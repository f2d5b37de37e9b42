"""Claims that meet: each other, and changes between the moment a message is seen and its lock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import text, update
from tests.integration.messages.outbox import Outbox, Sender, connected_again
from tests.support.factories import make_campaign

from groupline.db import Database
from groupline.messages import claim as claiming
from groupline.models import (
    Gateway,
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WhatsappNumber,
)

SEEN_AND_NOT_LOCKED: Final = "FROM head\n    CROSS JOIN"
GATE: Final = 7_067
UNHURRIED: Final = claiming.STATEMENTS["postgresql"]
PASS: Final = f"pg_advisory_xact_lock({GATE})"


@pytest.fixture
def hesitant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same statement, with a gate where its snapshot is taken and no row is locked yet."""
    known = claiming.STATEMENTS["postgresql"]
    assert any(SEEN_AND_NOT_LOCKED in each for each in known)
    paused = f"FROM (SELECT head.*, {PASS} FROM head) head\n    CROSS JOIN"
    statements = tuple(each.replace(SEEN_AND_NOT_LOCKED, paused) for each in known)
    monkeypatch.setitem(claiming.STATEMENTS, "postgresql", statements)


@asynccontextmanager
async def shut_gate(database: Database) -> AsyncIterator[None]:
    """Until the end of the block no claim passes."""
    async with database.writing() as session:
        await session.execute(text(f"SELECT {PASS}"))
        yield


WAITS: Final = {
    "gate": f"locktype = 'advisory' AND objid = {GATE}",
    "claim": f"locktype = 'advisory' AND objid <> {GATE}",
    "row": "locktype <> 'advisory'",
}


async def until_one_waits(database: Database, *, at: str, waiter: asyncio.Task[Any]) -> None:
    """For the gate, for the end of another claim, or for what another transaction has locked."""
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        f" WHERE datname = current_database() AND NOT granted AND {WAITS[at]}"
    )
    async with asyncio.timeout(60):
        while True:
            assert not waiter.done(), "it went ahead"
            async with database.reading() as session:
                if await session.scalar(waiting):
                    return
            await asyncio.sleep(0.01)


async def claim(
    outbox: Outbox, now: datetime, database: Database | None = None
) -> list[claiming.Claim]:
    return await claiming.claim(
        database or outbox.database,
        worker="w",
        now=now,
        lease=timedelta(seconds=60),
        limit=10,
        roll=0.0,
    )


def changes(now: datetime, other: Sender) -> dict[str, dict[str, Any]]:
    return {
        "handed over": {"number_id": other.number_id},
        "put off": {
            "scheduled_for": now + timedelta(days=1),
            "expires_at": now + timedelta(days=2),
        },
        "to be retried later": {"next_attempt_at": now + timedelta(minutes=1)},
        "too late": {"expires_at": now},
        "cancelled": {"status": "cancelled"},
    }


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "what", ["handed over", "put off", "to be retried later", "too late", "cancelled"]
)
@pytest.mark.usefixtures("hesitant")
async def test_what_has_changed_meanwhile_is_not_claimed(outbox: Outbox, what: str) -> None:
    sender, other = await outbox.add_sender(), await outbox.add_sender()
    message_id = await outbox.write(sender)
    now = outbox.clock.now()
    async with shut_gate(outbox.database):
        claimed = asyncio.create_task(claim(outbox, now))
        await until_one_waits(outbox.database, at="gate", waiter=claimed)
        await outbox.change(ScheduledWhatsappMessage, message_id, **changes(now, other)[what])

    assert await claimed == []
    assert (await outbox.message(message_id)).status in ("pending", "cancelled")


# --- two claims at once


def stop_before_the_commit(patched: pytest.MonkeyPatch) -> None:
    """A claim has taken what it takes, and nobody else sees it: there the gate stands."""
    turn, taking, *rest = claiming.STATEMENTS["postgresql"]
    steps = (turn, taking, f"SELECT {PASS}", *rest)
    patched.setitem(claiming.STATEMENTS, "postgresql", steps)


@asynccontextmanager
async def claim_under_way(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.Task[list[claiming.Claim]]]:
    """It is committed at the end of the block."""
    async with shut_gate(outbox.database):
        with monkeypatch.context() as patched:
            stop_before_the_commit(patched)
            claimed = asyncio.create_task(claim(outbox, outbox.clock.now()))
            await until_one_waits(outbox.database, at="gate", waiter=claimed)
        yield claimed


@pytest.fixture
async def another(outbox: Outbox) -> AsyncIterator[Database]:
    """The database of a second worker: its own connections."""
    async with connected_again(outbox.database) as connected:
        yield connected


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_two_workers_that_claim_at_once_stay_within_the_cap(
    outbox: Outbox, another: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second finds others that are due, and sees nothing in flight until the first has
    committed."""
    cap = 3
    await outbox.change(Gateway, outbox.gateway_id, max_in_flight=cap)
    senders = [await outbox.add_sender(groups=1) for _ in range(2 * cap)]
    early = [await outbox.write(each, priority=2) for each in senders[:cap]]
    async with claim_under_way(outbox, monkeypatch) as first:
        for each in senders[cap:]:
            await outbox.write(each, priority=0)
        second = asyncio.create_task(claim(outbox, outbox.clock.now(), another))
        await until_one_waits(outbox.database, at="claim", waiter=second)
    assert {each.id for each in await first} == set(early)
    assert await second == []


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_where_no_cap_can_be_passed_workers_claim_side_by_side(
    outbox: Outbox, another: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await outbox.change(Gateway, outbox.gateway_id, max_in_flight=2)
    one, two = [await outbox.add_sender(groups=1) for _ in range(2)]
    early = await outbox.write(one)
    async with claim_under_way(outbox, monkeypatch) as first:
        late = await outbox.write(two)
        async with asyncio.timeout(60):
            second = await claim(outbox, outbox.clock.now(), another)
    assert [each.id for each in await first] == [early]
    assert [each.id for each in second] == [late]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_claims_side_by_side_leave_one_message_in_flight_per_number(
    outbox: Outbox, another: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second sees the number free, and a message that goes before the one that is taken."""
    sender = await outbox.add_sender()
    taken = await outbox.write(sender, priority=2)
    async with claim_under_way(outbox, monkeypatch) as first:
        urgent = await outbox.write(sender, group=1, priority=0)
        second = asyncio.create_task(outbox.new_worker(another).run_once())
        await until_one_waits(outbox.database, at="row", waiter=second)
    assert [each.id for each in await first] == [taken]
    assert not await second
    assert await outbox.statuses([taken, urgent]) == ["sending", "pending"]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("hesitant")
async def test_the_pace_of_a_number_holds_between_two_workers(
    outbox: Outbox, another: Database
) -> None:
    """One has seen the number free, and stands still while the other one sends."""
    sender = await outbox.add_sender()
    await outbox.change(WhatsappNumber, sender.number_id, pace_seconds=60.0)
    slow = await outbox.write(sender, priority=2)
    worker = outbox.new_worker(another)
    async with shut_gate(outbox.database):
        claimed = asyncio.create_task(outbox.dispatcher.run_once())
        await until_one_waits(outbox.database, at="gate", waiter=claimed)
        outbox.clock.advance(0.001)
        urgent = await outbox.write(sender, group=1, priority=0)
        with pytest.MonkeyPatch.context() as patched:
            patched.setitem(claiming.STATEMENTS, "postgresql", UNHURRIED)
            await worker.run_once()
            await worker.answers()
            await worker.drain()
        assert await outbox.statuses([urgent]) == ["sent"]
    await claimed
    await outbox.dispatcher.drain()
    assert await outbox.statuses([slow]) == ["pending"]
    assert (await outbox.message(slow)).attempts == 0
    assert sum((await outbox.gateway.copies()).values()) == 1


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize("status", ["sending", "failed"], ids=["runs", "has ended"])
async def test_the_delay_of_a_campaign_holds_between_two_workers(
    outbox: Outbox, another: Database, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """Its messages may be of several numbers, after those that failed were given to another; and
    it may have ended, when what failed of it is sent again."""
    campaign_id, early = await campaign_message(outbox, delay_seconds=60, status=status)
    other = await outbox.add_sender()
    async with claim_under_way(outbox, monkeypatch) as first:
        await outbox.write(other, campaign_id=campaign_id, priority=2)
        async with asyncio.timeout(60):
            second = await claim(outbox, outbox.clock.now(), another)
    assert [each.id for each in await first] == [early]
    assert second == []
    assert await claim(outbox, outbox.clock.now(), another) == [], "nor when it is committed"


async def test_the_delay_of_a_campaign_holds_between_its_numbers(outbox: Outbox) -> None:
    campaign_id, early = await campaign_message(outbox, delay_seconds=60)
    late = await outbox.write(await outbox.add_sender(), campaign_id=campaign_id, priority=2)
    now = outbox.clock.now()
    assert [each.id for each in await claim(outbox, now)] == [early]
    assert await claim(outbox, now + timedelta(seconds=59)) == []
    assert [each.id for each in await claim(outbox, now + timedelta(seconds=67))] == [late]


# --- a campaign that is being paused


async def campaign_message(outbox: Outbox, **campaign_fields: Any) -> tuple[UUID, UUID]:
    """A running campaign with one message that is due."""
    sender = await outbox.add_sender()
    async with outbox.database.writing() as session:
        campaign = await make_campaign(
            session,
            organization_id=outbox.organization_id,
            number_id=sender.number_id,
            **{"status": "sending"} | campaign_fields,
        )
    return campaign.id, await outbox.write(sender, campaign_id=campaign.id, priority=2)


async def pause(outbox: Outbox, campaign_id: UUID) -> None:
    await outbox.change(NotificationCampaign, campaign_id, status="paused")


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.usefixtures("hesitant")
async def test_a_campaign_paused_between_the_look_and_the_lock_sends_nothing(
    outbox: Outbox,
) -> None:
    campaign_id, message_id = await campaign_message(outbox)
    async with shut_gate(outbox.database):
        claimed = asyncio.create_task(claim(outbox, outbox.clock.now()))
        await until_one_waits(outbox.database, at="gate", waiter=claimed)
        await pause(outbox, campaign_id)

    assert await claimed == []
    assert await outbox.statuses([message_id]) == ["pending"]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_claim_does_not_wait_for_a_pause_that_is_under_way(outbox: Outbox) -> None:
    campaign_id, _ = await campaign_message(outbox)
    other = await outbox.write(await outbox.add_sender())
    async with outbox.database.writing() as session:
        await session.execute(
            update(NotificationCampaign)
            .where(NotificationCampaign.id == campaign_id)
            .values(status="paused")
        )
        async with asyncio.timeout(60):
            claims = await claim(outbox, outbox.clock.now())

    assert [each.id for each in claims] == [other]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_pause_waits_for_the_claim_before_it(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told that the campaign is paused sees everything that has left, or will."""
    campaign_id, message_id = await campaign_message(outbox)
    stop_before_the_commit(monkeypatch)
    async with shut_gate(outbox.database):
        claimed = asyncio.create_task(claim(outbox, outbox.clock.now()))
        await until_one_waits(outbox.database, at="gate", waiter=claimed)
        pausing = asyncio.create_task(pause(outbox, campaign_id))
        await until_one_waits(outbox.database, at="row", waiter=pausing)

    await pausing
    assert await outbox.statuses([message_id]) == ["sending"]
    assert [each.id for each in await claimed] == [message_id]
