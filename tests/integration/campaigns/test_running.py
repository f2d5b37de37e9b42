"""Campaigns that are really sent: paused, resumed, reconnected, ended, by several workers."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.integration.messages.outbox import PERSON, Outbox, Sender
from tests.support.factories import make_membership, make_session

from groupline.campaigns import actions, queries, service
from groupline.campaigns.loop import CampaignLoop
from groupline.campaigns.schemas import CampaignView, NewCampaign
from groupline.ids import new_id
from groupline.messages import service as outbox_service
from groupline.messages.dispatch import Dispatcher
from groupline.messages.expire import Expirer
from groupline.messages.outlook import outlook
from groupline.messages.overdue import count_overdue
from groupline.models import JournalEntry, ScheduledWhatsappMessage


class Running:
    """Campaigns on an outbox, with the loop that begins and ends them."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.loop = CampaignLoop(outbox.database, outbox.clock)

    async def start(
        self, sender: Sender, groups: Sequence[UUID] | None = None, **facts: Any
    ) -> UUID:
        wanted = NewCampaign(
            "Spring",
            sender.number_id,
            sender.group_ids if groups is None else groups,
            **{"content": "Hello", "start": True, "delay_seconds": 0.0, **facts},
        )
        async with self.outbox.database.writing() as session:
            made = await service.create(
                session,
                self.outbox.organization_id,
                wanted,
                actor=PERSON,
                now=self.outbox.clock.now(),
            )
        return made.id

    async def act(self, action: Any, campaign_id: UUID, **given: Any) -> Any:
        async with self.outbox.database.writing() as session:
            return await action(
                session,
                self.outbox.organization_id,
                campaign_id,
                actor=PERSON,
                now=self.outbox.clock.now(),
                **given,
            )

    async def view(self, campaign_id: UUID) -> CampaignView:
        async with self.outbox.database.reading() as session:
            return await queries.get_view(session, self.outbox.organization_id, campaign_id)

    async def ids(self, campaign_id: UUID) -> list[UUID]:
        message = ScheduledWhatsappMessage
        statement = select(message.id).where(message.campaign_id == campaign_id)
        async with self.outbox.database.reading() as session:
            return list(await session.scalars(statement.order_by(message.id)))

    async def until_sent(self, campaign_id: UUID, count: int) -> None:
        for _ in range(3_000):
            if (await self.view(campaign_id)).counts.sent >= count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{count} messages were not sent in time")

    async def turn(self) -> None:
        while await self.loop.run_once():
            pass

    async def ends(self, campaign_id: UUID) -> list[Any]:
        """What was journaled about its end."""
        statement = (
            select(JournalEntry)
            .where(JournalEntry.subject_id == campaign_id)
            .order_by(JournalEntry.position)
        )
        async with self.outbox.database.reading() as session:
            entries = list(await session.scalars(statement))
        return [
            (entry.action, entry.data["status"], entry.data["counts"]["sent"])
            for entry in entries
            if entry.action in ("campaign.finished", "campaign.reopened", "campaign.revised")
        ]


@pytest.fixture
def running(outbox: Outbox) -> Running:
    return Running(outbox)


async def test_a_campaign_is_completed_when_every_message_is_final_and_not_before(
    running: Running, outbox: Outbox
) -> None:
    sender = await outbox.add_sender(groups=3)
    await outbox.gateway.fault("reset_after", route="send", times=1)
    await outbox.gateway.fault("unavailable", route="message-status", times=1)
    campaign_id = await running.start(sender)
    await outbox.work()
    await running.turn()
    view = await running.view(campaign_id)
    assert (view.status, view.counts.sent, view.counts.uncertain) == ("sending", 2, 1)

    for _ in range(3):
        outbox.clock.advance(90)
        await outbox.reconciler.run_once()
    await running.turn()
    await running.turn()
    view = await running.view(campaign_id)
    assert (view.status, view.counts.sent) == ("completed", 3)
    assert view.finished_at == outbox.clock.now()
    assert await running.ends(campaign_id) == [("campaign.finished", "completed", 3)]


async def test_a_pause_takes_effect_within_one_message(running: Running, outbox: Outbox) -> None:
    sender = await outbox.add_sender(groups=20)
    await outbox.gateway.fault("delay", route="send", seconds=0.05)
    campaign_id = await running.start(sender)
    worker = outbox.new_worker()
    working = asyncio.create_task(outbox.work(worker))
    await running.until_sent(campaign_id, 3)

    await running.act(actions.pause, campaign_id)
    paused = (await running.view(campaign_id)).counts
    await working
    after = (await running.view(campaign_id)).counts
    assert 0 <= after.sent - paused.sent <= 1, "what was on its way, and nothing more"
    assert after.pending == 20 - after.sent

    await running.act(actions.resume, campaign_id)
    await outbox.work(worker)
    await running.turn()
    assert (await running.view(campaign_id)).status == "completed"
    assert set((await outbox.gateway.copies()).values()) == {1}


async def test_nothing_of_a_paused_campaign_is_overdue_and_its_number_sends_the_rest(
    running: Running, outbox: Outbox
) -> None:
    sender = await outbox.add_sender(groups=2)
    campaign_id = await running.start(sender)
    await running.act(actions.pause, campaign_id)
    outbox.clock.advance(600)
    async with outbox.database.reading() as session:
        assert await count_overdue(session, outbox.clock.now()) == 0
    other = await outbox.write(sender, priority=2)
    await outbox.work()
    assert await outbox.statuses([other]) == ["sent"]
    assert (await running.view(campaign_id)).counts.pending == 2


async def test_a_campaign_whose_number_drops_waits_and_goes_on_under_a_new_session(
    running: Running, outbox: Outbox
) -> None:
    sender = await outbox.add_sender(groups=4)
    campaign_id = await running.start(sender, delay_seconds=5.0)
    await outbox.work()
    await outbox.disconnect(sender)
    outbox.clock.advance(60)
    await outbox.work()
    await running.turn()
    assert (await running.view(campaign_id)).status == "sending"

    again = new_id()
    await outbox.gateway.pair(f"wa_{again}", sender.phone)
    async with outbox.database.writing() as session:
        await make_session(
            session,
            organization_id=outbox.organization_id,
            id=again,
            number_id=sender.number_id,
            gateway_id=outbox.gateway_id,
            connected_at=outbox.clock.now(),
            verified_at=outbox.clock.now(),
        )
    restarted = outbox.new_worker()
    for _ in range(4):
        await outbox.work(restarted)
        outbox.clock.advance(6)
    await running.turn()
    view = await running.view(campaign_id)
    assert (view.status, view.counts.sent) == ("completed", 4)
    async with outbox.database.reading() as session:
        used = select(ScheduledWhatsappMessage.session_id).distinct()
        assert set(await session.scalars(used)) == {sender.session_id, again}
    assert set((await outbox.gateway.copies()).values()) == {1}


async def test_the_delay_of_a_campaign_holds_back_itself_and_no_reminder(
    running: Running, outbox: Outbox
) -> None:
    sender = await outbox.add_sender(groups=3, pace_seconds=1.0)
    campaign_id = await running.start(sender, delay_seconds=30.0)
    await outbox.work()
    reminder = await outbox.write(sender, priority=1)
    outbox.clock.advance(1.2)
    await outbox.work()
    outbox.clock.advance(20)
    await outbox.work()
    assert await outbox.statuses([reminder]) == ["sent"]
    assert (await running.view(campaign_id)).counts.sent == 1
    async with outbox.database.reading() as session:
        seen = await outlook(session, outbox.clock.now())
    assert seen.next_at is not None
    assert 8 < (seen.next_at - outbox.clock.now()).total_seconds() < 12, "when the dispatcher wakes"
    outbox.clock.advance(12.5)
    await outbox.work()
    assert (await running.view(campaign_id)).counts.sent == 2


async def test_a_slow_number_wins_over_a_fast_campaign(running: Running, outbox: Outbox) -> None:
    sender = await outbox.add_sender(groups=3, pace_seconds=10.0)
    campaign_id = await running.start(sender, delay_seconds=1.0)
    for seconds, sent in ((0, 1), (2, 1), (9.5, 2)):
        outbox.clock.advance(seconds)
        await outbox.work()
        assert (await running.view(campaign_id)).counts.sent == sent


async def test_a_scheduled_campaign_begins_at_its_time(running: Running, outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    later = outbox.clock.now() + timedelta(hours=1)
    campaign_id = await running.start(sender, scheduled_for=later)
    await outbox.work()
    await running.turn()
    assert await running.loop.next_due() == 3600.0
    assert (await running.view(campaign_id)).counts.sent == 0

    outbox.clock.advance(3600)
    await running.turn()
    await running.turn()
    view = await running.view(campaign_id)
    assert (view.status, view.started_at) == ("sending", later)
    assert await running.loop.next_due() == 1.0
    await outbox.work()
    await running.turn()
    assert (await running.view(campaign_id)).status == "completed"
    await running.turn()
    assert await running.loop.next_due() is None


async def test_what_expires_makes_it_a_partial_failure_and_a_retry_completes_it(
    running: Running, outbox: Outbox
) -> None:
    sender = await outbox.add_sender(groups=3)
    await outbox.gateway.fault("error", route="send", httpStatus=400, times=1)
    campaign_id = await running.start(sender, late_minutes=10)
    await outbox.work()
    await running.turn()
    view = await running.view(campaign_id)
    assert (view.status, view.counts.failed, view.counts.sent) == ("partial_failure", 1, 2)

    retried = await running.act(actions.retry_failed, campaign_id)
    assert retried.requeued == 1
    view = await running.view(campaign_id)
    assert (view.status, view.finished_at) == ("sending", None)
    await outbox.work()
    await running.turn()
    assert (await running.view(campaign_id)).status == "completed"
    assert [end[1] for end in await running.ends(campaign_id)] == ["partial_failure", "completed"]
    assert set((await outbox.gateway.copies()).values()) == {1}


async def test_another_number_sends_what_the_first_could_not(
    running: Running, outbox: Outbox
) -> None:
    sender, other = await outbox.add_sender(groups=2), await outbox.add_sender(groups=1)
    async with outbox.database.writing() as session:
        for each in sender.group_ids:
            await make_membership(
                session,
                organization_id=outbox.organization_id,
                number_id=other.number_id,
                group_id=each,
            )
    joined = {"groups": [{"id": jid} for jid in sender.jids]}
    await outbox.gateway.post(f"/sim/phones/{other.phone}/groups", joined, expect=201)
    await outbox.gateway.fault("error", route="send", httpStatus=400, phone=sender.phone)
    campaign_id = await running.start(sender)
    await outbox.work()
    await running.turn()
    assert (await running.view(campaign_id)).status == "failed"

    await running.act(actions.retry_failed, campaign_id, number_id=other.number_id)
    ids = await running.ids(campaign_id)
    messages = [await outbox.message(each) for each in ids]
    assert {each.number_id for each in messages} == {other.number_id}
    assert {each.status for each in messages} == {"pending"}

    await outbox.work()
    await running.turn()
    view = await running.view(campaign_id)
    assert (view.status, view.counts.sent) == ("completed", 2)
    messages = [await outbox.message(each) for each in ids]
    assert {each.session_id for each in messages} == {other.session_id}
    assert [await outbox.copies(jid) for jid in sender.jids] == [1, 1]
    assert set((await outbox.gateway.copies()).values()) == {1}


async def test_an_expired_campaign_has_failed(running: Running, outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    campaign_id = await running.start(sender, late_minutes=5)
    await running.act(actions.pause, campaign_id)
    outbox.clock.advance(301)
    await Expirer(outbox.database, outbox.clock).run_once()
    await running.turn()
    view = await running.view(campaign_id)
    assert (view.status, view.counts.expired, view.paused_at) == ("failed", 3, None)


async def test_a_message_sent_again_by_itself_reopens_its_campaign(
    running: Running, outbox: Outbox
) -> None:
    sender = await outbox.add_sender()
    await outbox.gateway.fault("error", route="send", httpStatus=400, times=1)
    campaign_id = await running.start(sender)
    await outbox.work()
    await running.turn()
    (failed,) = [
        each
        for each in await running.ids(campaign_id)
        if (await outbox.message(each)).status == "failed"
    ]
    await outbox.send_again(failed)
    await running.turn()
    assert (await running.view(campaign_id)).status == "sending"
    await outbox.work()
    await running.turn()
    assert [end[:2] for end in await running.ends(campaign_id)] == [
        ("campaign.finished", "partial_failure"),
        ("campaign.reopened", "sending"),
        ("campaign.finished", "completed"),
    ]


async def test_a_late_rejection_revises_the_end(running: Running, outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    campaign_id = await running.start(sender)
    await outbox.work()
    await running.turn()
    first = (await running.ids(campaign_id))[0]
    await outbox.change(
        ScheduledWhatsappMessage, first, status="failed", error_code="rejected_later"
    )
    await running.turn()
    await running.turn()
    assert (await running.view(campaign_id)).status == "partial_failure"
    assert [end[:2] for end in await running.ends(campaign_id)] == [
        ("campaign.finished", "completed"),
        ("campaign.revised", "partial_failure"),
    ]


async def test_cancelling_one_by_one_cancels_the_campaign(running: Running, outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    later = outbox.clock.now() + timedelta(hours=1)
    campaign_id = await running.start(sender, scheduled_for=later)
    for each in await running.ids(campaign_id):
        async with outbox.database.writing() as session:
            await outbox_service.cancel(
                session, outbox.organization_id, each, actor=PERSON, now=outbox.clock.now()
            )
    await running.turn()
    assert (await running.view(campaign_id)).status == "cancelled"
    assert await running.ends(campaign_id) == [("campaign.finished", "cancelled", 0)]


# --- at once


async def test_eight_campaigns_and_three_workers_make_one_copy_each(
    running: Running, outbox: Outbox
) -> None:
    senders = [await outbox.add_sender(groups=5) for _ in range(4)]
    await outbox.gateway.fault("delay", route="send", seconds=0.01)
    made = [await running.start(senders[n % 4], content=f"Campaign {n}") for n in range(8)]
    workers = [outbox.new_worker() for _ in range(3)]
    loops = [CampaignLoop(outbox.database, outbox.clock) for _ in workers]

    async def until_ended(worker: Dispatcher, loop: CampaignLoop) -> None:
        while any([(await running.view(each)).finished_at is None for each in made]):
            worker.wake.clear()
            if not await worker.run_once():
                await asyncio.sleep(0.005)
            await loop.run_once()
        await worker.drain()

    async with asyncio.timeout(100):
        await asyncio.gather(*map(until_ended, workers, loops))

    copies = await outbox.gateway.copies()
    assert (len(copies), set(copies.values())) == (40, {1})
    for campaign_id in made:
        assert await running.ends(campaign_id) == [("campaign.finished", "completed", 5)]
    assert (await outbox.gateway.get("/sim/limits"))["peakSendsOfAPhone"] == 1


async def test_pausing_cancelling_and_sending_at_once_never_wait_for_each_other(
    running: Running, outbox: Outbox
) -> None:
    """With delays, so that the claim wants the row of the campaign too."""
    senders = [await outbox.add_sender(groups=10) for _ in range(3)]
    made = [await running.start(sender, delay_seconds=0.01) for sender in senders]
    workers = [outbox.new_worker() for _ in range(2)]
    stop = asyncio.Event()

    async def send(worker: Dispatcher) -> None:
        while not stop.is_set():
            worker.wake.clear()
            outbox.clock.advance(0.02)
            if not await worker.run_once():
                await asyncio.sleep(0.002)
        await worker.drain()

    async def disturb(campaign_id: UUID) -> None:
        for _ in range(3):
            await running.act(actions.pause, campaign_id)
            await running.loop.run_once()
            await running.act(actions.resume, campaign_id)
            await asyncio.sleep(0.01)
        await running.act(actions.cancel, campaign_id)

    async with asyncio.timeout(100):
        sending = [asyncio.create_task(send(worker)) for worker in workers]
        await asyncio.gather(*map(disturb, made))
        stop.set()
        await asyncio.gather(*sending)
    await running.turn()

    for campaign_id in made:
        view = await running.view(campaign_id)
        assert (view.status, view.counts.open) == ("cancelled", 0)
        assert len(await running.ends(campaign_id)) == 1
    assert set((await outbox.gateway.copies()).values()) <= {1}


async def test_a_campaign_started_twice_at_once_has_one_set_of_messages(
    running: Running, outbox: Outbox
) -> None:
    sender = await outbox.add_sender(groups=5)
    campaign_id = await running.start(sender, start=False)
    results = await asyncio.gather(
        *(running.act(service.start, campaign_id) for _ in range(4)), return_exceptions=True
    )
    refused = [each for each in results if isinstance(each, Exception)]
    assert Counter(type(each).__name__ for each in refused) == {"Conflict": 3}
    assert len(await running.ids(campaign_id)) == 5
