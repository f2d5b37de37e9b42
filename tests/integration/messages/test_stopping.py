"""A worker that stops: what it holds is stored, soon, or said to be lost."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from tests.integration.messages.outbox import Outbox
from tests.integration.messages.refusing import unstorable

from groupline.messages.rules import Policy
from groupline.worker.loop import Loop, keep_running


async def three_answers(outbox: Outbox, **options: Any) -> tuple[Any, list[UUID]]:
    """A worker that has three answers and has stored none of them."""
    ids = [await outbox.write(await outbox.add_sender(groups=1)) for _ in range(3)]
    worker = outbox.new_worker(**options)
    await worker.run_once()
    await worker.answers()
    return worker, ids


async def test_one_result_that_cannot_be_stored_takes_no_other_with_it(outbox: Outbox) -> None:
    worker, ids = await three_answers(outbox, store_within=timedelta(seconds=60))

    async with unstorable(outbox.database, ids[1]):
        draining = asyncio.create_task(worker.drain())
        await outbox.clock.sleepers()  # it has tried each, and will try again
        assert await outbox.statuses(ids) == ["sent", "sending", "sent"]
    outbox.clock.advance(1)
    await draining

    assert await outbox.statuses(ids) == ["sent", "sent", "sent"]


async def test_a_database_that_stays_away_does_not_keep_a_worker_from_ending(
    outbox: Outbox,
) -> None:
    worker, ids = await three_answers(outbox, store_within=timedelta(seconds=0.3))

    with capture_logs() as logs:
        async with unstorable(outbox.database, *ids):
            await asyncio.wait_for(worker.drain(), 60)

    assert set(await outbox.statuses(ids)) == {"sending"}
    lost = {each["message_id"] for each in logs if each["event"] == "message.result_lost"}
    assert lost == {str(each) for each in ids}
    outbox.clock.advance(61)
    await outbox.recoverer.run_once()
    outbox.clock.advance(2)
    await outbox.reconciler.run_once()
    assert set(await outbox.statuses(ids)) == {"sent"}
    assert set((await outbox.gateway.copies()).values()) == {1}


async def test_results_are_stored_while_another_loop_is_still_at_work(outbox: Outbox) -> None:
    message_id = await outbox.write(await outbox.add_sender(groups=1))
    worker, stopping, stored = outbox.new_worker(), asyncio.Event(), asyncio.Event()
    began = asyncio.Event()

    async def long_turn() -> bool:
        began.set()
        await stored.wait()
        return False

    async def one_turn() -> bool:
        found = await worker.run_once()
        stopping.set()
        return found

    other = Loop("long", long_turn, idle_seconds=1)
    dispatch = Loop("dispatch", one_turn, idle_seconds=1, on_stop=worker.drain)
    running = asyncio.create_task(keep_running(other, outbox.clock, stopping))
    await began.wait()
    await asyncio.wait_for(keep_running(dispatch, outbox.clock, stopping), 60)
    assert await outbox.statuses([message_id]) == ["sent"]
    stored.set()
    await running


# --- leases


def test_a_lease_that_a_request_may_outlive_is_refused(outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="lease"):
        outbox.new_worker(lease=timedelta(seconds=44))
    outbox.new_worker(lease=timedelta(seconds=45))


async def test_a_request_is_not_started_long_after_its_claim(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    slow = outbox.new_worker(lease=timedelta(minutes=10))

    await slow.run_once()
    outbox.clock.advance(11)  # the process was held up before the request could start
    await slow.drain()

    message = await outbox.message(message_id)
    assert message.status == "pending"
    assert await outbox.copies(sender.jids[0]) == 0
    assert message.next_attempt_at == outbox.clock.now() + Policy().wait_withheld
    assert not await outbox.dispatcher.run_once(), "it does not spin"
