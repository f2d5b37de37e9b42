"""A campaign that had ended goes on in the transaction that sends a message of it again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from tests.integration.campaigns.test_api import FAILED, SENT, URL, create, journal, messages, put
from tests.integration.campaigns.test_pages import logged_in
from tests.integration.campaigns.test_running import Running
from tests.integration.messages.desk import Desk
from tests.integration.messages.outbox import PERSON, Outbox
from tests.integration.messages.test_claim_races import until_one_waits
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW, ManualClock

from groupline.campaigns import queries, revived
from groupline.campaigns.loop import CampaignLoop
from groupline.db import Database
from groupline.messages.bulk import BulkAction, Decided, Selection
from groupline.messages.outlook import outlook
from groupline.messages.schemas import Filter
from groupline.models import NotificationCampaign, ScheduledWhatsappMessage

OF_ITS_END = ("campaign.finished", "campaign.reopened", "campaign.revised")


async def ended(
    client: httpx.AsyncClient, desk: Desk, database: Database, clock: ManualClock, **facts: Any
) -> tuple[dict[str, Any], list[UUID]]:
    """A campaign of which everything failed, and its messages."""
    campaign = await create(client, desk, start=True, **facts)
    ids = [each.id for each in await messages(database, campaign)]
    await put(database, ids, **FAILED)
    await CampaignLoop(database, clock).run_once()
    assert await state(client, campaign) == "failed"
    return campaign, ids


async def state(client: httpx.AsyncClient, campaign: dict[str, Any]) -> str:
    found: str = (await client.get(f"{URL}/{campaign['id']}")).json()["status"]
    return found


async def ends(database: Database, campaign: dict[str, Any]) -> list[str]:
    told = await journal(database, campaign)
    return [data["status"] for action, data in told if action in OF_ITS_END]


async def send_again(database: Database, desk: Desk, message_id: UUID) -> None:
    async with database.writing() as session:
        await revived.send_again(session, desk.organization_id, message_id, actor=PERSON, now=NOW)


async def decide(
    database: Database, desk: Desk, action: BulkAction, selection: Selection
) -> Decided:
    async with database.writing() as session:
        return await revived.decide(
            session, desk.organization_id, action, selection, actor=PERSON, now=NOW
        )


# --- told at once, and once


Way = Callable[[httpx.AsyncClient, httpx.AsyncClient, UUID], Awaitable[httpx.Response]]
BULK = {"action": "send_again"}
WAYS: dict[str, Way] = {
    "api": lambda api, _, each: api.post(f"/api/v1/messages/{each}/retry"),
    "page": lambda _, page, each: page.post(f"/messages/{each}/send-again"),
    "api, many": lambda api, _, each: api.post(
        "/api/v1/messages/bulk", json=BULK | {"ids": [str(each)]}
    ),
    "page, many": lambda _, page, each: page.post(
        "/messages/bulk", data=BULK | {"ids": [str(each)]}
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
async def test_whoever_sends_a_message_again_reads_at_once_that_its_campaign_goes_on(
    *,
    running: RunningApp,
    cast: Cast,
    client: httpx.AsyncClient,
    desk: Desk,
    database: Database,
    clock: ManualClock,
    way: Way,
) -> None:
    campaign, (first, second) = await ended(client, desk, database, clock)
    async with logged_in(running, cast.operator) as browser:
        assert (await way(client, browser, first)).status_code == 200
        assert await state(client, campaign) == "sending"
        assert (await way(client, browser, second)).status_code == 200
    await CampaignLoop(database, clock).run_once()
    assert await ends(database, campaign) == ["failed", "sending"], "told once"

    await put(database, [first, second], **SENT)
    await CampaignLoop(database, clock).run_once()
    assert await ends(database, campaign) == ["failed", "sending", "completed"]


@pytest.mark.parametrize("by_ids", [True, False])
async def test_one_decision_reopens_every_campaign_that_it_revives_and_no_other(
    client: httpx.AsyncClient, desk: Desk, database: Database, clock: ManualClock, by_ids: bool
) -> None:
    first, ids = await ended(client, desk, database, clock)
    second, others = await ended(client, desk, database, clock)
    kept, untouched = await ended(client, desk, database, clock)
    await put(database, untouched, **SENT)
    await CampaignLoop(database, clock).run_once()
    wanted = Selection(ids=[*ids, *others]) if by_ids else Selection(Filter())

    assert (await decide(database, desk, "send_again", wanted)).done == 4
    assert [await state(client, each) for each in (first, second)] == ["sending"] * 2
    assert await state(client, kept) == "completed"
    assert await ends(database, kept) == ["failed", "completed"]


async def test_a_campaign_that_ended_long_ago_is_reopened_too(
    client: httpx.AsyncClient, desk: Desk, database: Database, clock: ManualClock
) -> None:
    """The loop looks back three days."""
    campaign, (first, _) = await ended(client, desk, database, clock)
    async with database.writing() as session:
        row = await session.get_one(NotificationCampaign, UUID(campaign["id"]))
        row.finished_at = NOW - timedelta(days=30)
    await send_again(database, desk, first)
    assert await state(client, campaign) == "sending"


async def test_a_decision_that_revives_nothing_reopens_nothing(
    client: httpx.AsyncClient, desk: Desk, database: Database, clock: ManualClock
) -> None:
    campaign, ids = await ended(client, desk, database, clock)
    assert (await decide(database, desk, "arrived", Selection(ids=ids))).done == 0
    assert (await decide(database, desk, "discard", Selection(ids=ids))).done == 2
    assert (await decide(database, desk, "send_again", Selection(ids=ids))).done == 0
    assert "sending" not in await ends(database, campaign)


# --- among workers


async def ended_with_a_delay(outbox: Outbox) -> tuple[UUID, list[UUID]]:
    running = Running(outbox)
    sender = await outbox.add_sender(groups=2)
    campaign_id = await running.start(sender, delay_seconds=30.0)
    ids = await running.ids(campaign_id)
    for each in ids:
        await outbox.change(ScheduledWhatsappMessage, each, **FAILED)
    await running.turn()
    return campaign_id, ids


async def send_both_again(outbox: Outbox, ids: list[UUID]) -> None:
    async with outbox.database.writing() as session:
        await revived.decide(
            session,
            outbox.organization_id,
            "send_again",
            Selection(ids=ids),
            actor=PERSON,
            now=outbox.clock.now(),
        )


async def test_the_second_of_two_is_waited_for_by_the_delay_of_its_campaign(outbox: Outbox) -> None:
    """No turn of the loop of campaigns comes between."""
    _, ids = await ended_with_a_delay(outbox)
    await send_both_again(outbox, ids)
    await outbox.work()
    assert sorted(await outbox.statuses(ids)) == ["pending", "sent"]
    async with outbox.database.reading() as session:
        seen = await outlook(session, outbox.clock.now())
    assert seen.next_at is not None
    assert 25 < (seen.next_at - outbox.clock.now()).total_seconds() < 35


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize("many", [True, False])
async def test_the_campaign_is_locked_before_its_messages(outbox: Outbox, many: bool) -> None:
    """As by all who change a campaign, so that nobody waits for each other."""
    campaign_id, (first, second) = await ended_with_a_delay(outbox)

    async def one() -> None:
        async with outbox.database.writing() as session:
            await revived.send_again(
                session, outbox.organization_id, first, actor=PERSON, now=outbox.clock.now()
            )

    message = ScheduledWhatsappMessage
    async with outbox.database.writing() as session:
        await queries.get(session, outbox.organization_id, campaign_id)
        work = send_both_again(outbox, [first, second]) if many else one()
        working = asyncio.create_task(work)
        await until_one_waits(outbox.database, at="row", waiter=working)
        free = select(message.id).where(message.id == first).with_for_update(nowait=True)
        assert await session.scalar(free) == first
    await working
    assert (await Running(outbox).view(campaign_id)).status == "sending"
