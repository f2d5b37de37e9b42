"""Several workers at once, waking, stopping, and what an idle one costs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.engine import Engine
from tests.integration.messages.outbox import PERSON, Outbox, connected_again
from tests.integration.messages.refusing import unstorable
from tests.support.factories import make_campaign, make_message
from tests.support.scripted_gateway import KEY, ContractGateway, contract_gateway

from groupline.db import PostgresListener
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.messages import dispatch, service
from groupline.messages.dispatch import Dispatcher
from groupline.messages.expire import Expirer
from groupline.messages.schemas import NewMessages
from groupline.models import Gateway, NotificationCampaign, ScheduledWhatsappMessage
from groupline.worker.loop import Loop, keep_running

CAMPAIGNS, SENDERS, GROUPS, CAP, BATCH = 8, 16, 3, 8, 3


async def test_three_workers_send_eight_campaigns_once_one_at_a_time_and_within_the_cap(
    outbox: Outbox,
) -> None:
    """The messages of a number come one after the other: what disregards a lane takes these."""
    async with contract_gateway() as gateway, three_workers(outbox) as workers:
        await eight_campaigns(outbox, gateway)
        gateway.send_seconds = 0.005
        gateway.answers.clear()
        taken = await turns(workers)
        assert sorted(taken) == [CAP - 2 * BATCH, BATCH, BATCH]
        assert await turns(workers) == taken, "the gateway is used to the full"
        await until_it_has(gateway, sum(taken))
        gateway.answers.set()
        await asyncio.gather(*(until_empty(outbox, each) for each in workers))

    async with outbox.database.reading() as session:
        statuses = await session.scalars(select(ScheduledWhatsappMessage.status))
    assert Counter(statuses) == {"sent": CAMPAIGNS * SENDERS * GROUPS}
    copies = Counter((sent["phone"], sent["message"]) for sent in gateway.sent)
    assert (len(copies), set(copies.values())) == (CAMPAIGNS * SENDERS * GROUPS, {1})
    assert (gateway.peak_sends, gateway.peak_sends_of_a_session) == (CAP, 1)


@asynccontextmanager
async def three_workers(outbox: Outbox) -> AsyncIterator[list[Dispatcher]]:
    """As three processes on PostgreSQL, where each has its own connections; SQLite knows one."""
    async with AsyncExitStack() as stack:
        databases = [outbox.database] * 3
        if outbox.database.dialect == "postgresql":
            own = (connected_again(each) for each in databases)
            databases = [await stack.enter_async_context(each) for each in own]
        yield [outbox.new_worker(each, batch=BATCH) for each in databases]


async def eight_campaigns(outbox: Outbox, gateway: ContractGateway) -> None:
    """Each to all groups of all numbers, which are connected at this gateway."""
    credentials = write_credentials(outbox.vault, KEY, AuthScheme.API_KEY)
    facts = {"base_url": gateway.url, "credentials": credentials, "max_in_flight": CAP}
    await outbox.change(Gateway, outbox.gateway_id, **facts)
    senders = [await outbox.add_sender(groups=GROUPS) for _ in range(SENDERS)]
    for each in senders:
        gateway.connects(each.gateway_session_id, each.phone)
    own: dict[str, Any] = {"organization_id": outbox.organization_id}
    now = outbox.clock.now()
    async with outbox.database.writing() as session:
        campaigns = [
            await make_campaign(
                session, **own, number_id=each.number_id, status="sending", delay_seconds=0.0
            )
            for each in senders[:CAMPAIGNS]
        ]
        for place, sender in enumerate(senders):
            for campaign, group_id in product(campaigns, sender.group_ids):
                await make_message(
                    session,
                    **own,
                    number_id=sender.number_id,
                    group_id=group_id,
                    campaign_id=campaign.id,
                    content=campaign.name,
                    priority=2,
                    scheduled_for=now - timedelta(seconds=SENDERS - place),
                    expires_at=now + timedelta(hours=1),
                )


async def turns(workers: Sequence[Dispatcher]) -> list[int]:
    """One of each, at once; how many requests each of them has under way by then."""
    await asyncio.gather(*(each.run_once() for each in workers))
    return [each.in_flight for each in workers]


async def until_it_has(gateway: ContractGateway, requests: int) -> None:
    async with asyncio.timeout(60):
        while gateway.under_way.total() < requests:  # noqa: ASYNC110 - a plain number
            await asyncio.sleep(0.005)


async def until_empty(outbox: Outbox, worker: Dispatcher) -> None:
    async with asyncio.timeout(100):
        while await outbox.has_work():
            worker.wake.clear()
            if not await worker.run_once():
                await asyncio.sleep(0.005)
        await worker.drain()


# --- waking


@asynccontextmanager
async def looping(outbox: Outbox) -> AsyncIterator[Loop]:
    """A dispatcher in its loop, on a clock that stands still: only an announcement wakes it."""
    worker = outbox.new_worker()
    loop = Loop(
        "dispatch",
        worker.run_once,
        idle_seconds=3600,
        wakes_on=dispatch.WAKES_ON,
        wake=worker.wake,
    )
    stopping = asyncio.Event()

    async def listen() -> None:
        async with outbox.database.announcements.subscribe() as heard:
            async for announcement in heard:
                if announcement.topic in (*loop.wakes_on, "everything"):
                    loop.wake.set()

    tasks = [asyncio.create_task(listen())]
    if outbox.database.dialect == "postgresql":
        listener = PostgresListener(outbox.database, outbox.clock)
        tasks.append(asyncio.create_task(listener.run()))
    running = asyncio.create_task(keep_running(loop, outbox.clock, stopping))
    try:
        yield loop
    finally:
        stopping.set()
        await running
        await worker.drain()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_message_sent_now_leaves_without_waiting_for_the_next_look(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    heard = outbox.database.announcements.subscribe()
    async with looping(outbox), heard as announcements:
        await outbox.clock.sleepers()
        async with outbox.database.writing() as session:
            ids = await service.schedule(
                session,
                outbox.organization_id,
                NewMessages(sender.number_id, [sender.group_ids[0]], "Now"),
                actor=PERSON,
                now=outbox.clock.now(),
            )
        async with asyncio.timeout(60):
            async for _ in announcements:
                if await outbox.statuses(ids) == ["sent"]:
                    break


# --- an idle worker


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def count(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def test_a_look_that_finds_nothing_is_one_statement(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    await outbox.write(sender, status="sent")
    expirer = Expirer(outbox.database, outbox.clock)
    for look in (
        outbox.dispatcher.run_once,
        outbox.reconciler.run_once,
        outbox.recoverer.run_once,
        expirer.run_once,
    ):
        with counted_statements() as seen:
            assert await look() is False
        assert len([each for each in seen if each.lstrip().startswith("SELECT")]) == 1, seen
        assert not [each for each in seen if each.lstrip().startswith(("UPDATE", "INSERT"))]


# --- campaigns


@pytest.mark.parametrize("status", ["draft", "paused", "cancelled"])
async def test_a_campaign_that_stands_still_sends_nothing_and_holds_up_nobody(
    outbox: Outbox, status: str
) -> None:
    sender = await outbox.add_sender()
    async with outbox.database.writing() as session:
        campaign = await make_campaign(
            session,
            organization_id=outbox.organization_id,
            number_id=sender.number_id,
            status=status,
        )
    held = await outbox.write(sender, campaign_id=campaign.id, priority=2)
    other = await outbox.write(sender, 1, priority=2)

    await outbox.work()
    assert await outbox.statuses([held, other]) == ["pending", "sent"]

    async with outbox.database.writing() as session:
        await session.execute(update(NotificationCampaign).values(status="sending"))
    await outbox.work()
    assert await outbox.statuses([held]) == ["sent"]


async def test_a_long_campaign_delays_a_reminder_by_one_pace_at_most(outbox: Outbox) -> None:
    sender = await outbox.add_sender(groups=2, pace_seconds=1.0)
    for n in range(20):
        await outbox.write(sender, content=f"campaign {n}", priority=2)
    await outbox.work()
    reminder = await outbox.write(sender, 1, content="reminder", priority=1)

    outbox.clock.advance(1.1)
    await outbox.work()

    assert await outbox.statuses([reminder]) == ["sent"]
    texts = [each["text"] for each in await outbox.gateway.deliveries()]
    assert texts == ["campaign 0", "reminder"]


# --- a database that fails


async def test_results_survive_a_database_that_fails_while_they_are_stored(
    outbox: Outbox,
) -> None:
    """It fails between the answer and the commit: nothing is sent again."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    worker = outbox.new_worker()
    await worker.run_once()
    await worker.answers()

    async with unstorable(outbox.database, message_id):
        await worker.run_once()
    assert await outbox.statuses([message_id]) == ["sending"]
    await outbox.work(worker)

    assert await outbox.statuses([message_id]) == ["sent"]
    assert await outbox.copies(sender.jids[0]) == 1
