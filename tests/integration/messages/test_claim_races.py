"""A message that changes between the moment it is seen and the moment it is locked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import text, update
from tests.integration.messages.outbox import Outbox, Sender
from tests.support.factories import make_campaign

from groupline.db import Database
from groupline.messages import claim as claiming
from groupline.models import NotificationCampaign, ScheduledWhatsappMessage

SEEN_AND_NOT_LOCKED: Final = "FROM head\n    JOIN"
GATE: Final = 7_067
PASS: Final = f"pg_advisory_xact_lock({GATE})"


@pytest.fixture
def hesitant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same statement, with a gate where its snapshot is taken and no row is locked yet."""
    known = claiming.STATEMENTS["postgresql"]
    assert any(SEEN_AND_NOT_LOCKED in each for each in known)
    paused = f"FROM (SELECT head.*, {PASS} FROM head) head\n    JOIN"
    statements = tuple(each.replace(SEEN_AND_NOT_LOCKED, paused) for each in known)
    monkeypatch.setitem(claiming.STATEMENTS, "postgresql", statements)


@asynccontextmanager
async def shut_gate(database: Database) -> AsyncIterator[None]:
    """Until the end of the block no claim passes."""
    async with database.writing() as session:
        await session.execute(text(f"SELECT {PASS}"))
        yield


async def until_one_waits(database: Database, *, at_gate: bool, waiter: asyncio.Task[Any]) -> None:
    """For the gate, or for what another transaction has locked."""
    kind = f"locktype = 'advisory' AND objid = {GATE}" if at_gate else "locktype <> 'advisory'"
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        f" WHERE datname = current_database() AND NOT granted AND {kind}"
    )
    async with asyncio.timeout(60):
        while True:
            assert not waiter.done()
            async with database.reading() as session:
                if await session.scalar(waiting):
                    return
            await asyncio.sleep(0.01)


async def claim(outbox: Outbox, now: datetime) -> list[claiming.Claim]:
    return await claiming.claim(
        outbox.database, worker="w", now=now, lease=timedelta(seconds=60), limit=10, roll=0.0
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
        await until_one_waits(outbox.database, at_gate=True, waiter=claimed)
        await outbox.change(ScheduledWhatsappMessage, message_id, **changes(now, other)[what])

    assert await claimed == []
    assert (await outbox.message(message_id)).status in ("pending", "cancelled")


# --- a campaign that is being paused


async def campaign_message(outbox: Outbox) -> tuple[UUID, UUID]:
    """A running campaign with one message that is due."""
    sender = await outbox.add_sender()
    async with outbox.database.writing() as session:
        campaign = await make_campaign(
            session,
            organization_id=outbox.organization_id,
            number_id=sender.number_id,
            status="sending",
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
        await until_one_waits(outbox.database, at_gate=True, waiter=claimed)
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
    *steps, load = claiming.STATEMENTS["postgresql"]
    monkeypatch.setitem(claiming.STATEMENTS, "postgresql", (*steps, f"SELECT {PASS}", load))
    async with shut_gate(outbox.database):
        claimed = asyncio.create_task(claim(outbox, outbox.clock.now()))
        await until_one_waits(outbox.database, at_gate=True, waiter=claimed)
        pausing = asyncio.create_task(pause(outbox, campaign_id))
        await until_one_waits(outbox.database, at_gate=False, waiter=pausing)

    await pausing
    assert await outbox.statuses([message_id]) == ["sending"]
    assert [each.id for each in await claimed] == [message_id]
