"""What a whole worker costs that has nothing to do, and that it is awake all the same."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, update
from tests.integration.messages.outbox import PERSON, Outbox, open_outbox
from tests.support.app import open_test_runtime
from tests.support.clock import ManualClock

from groupline.clock import SystemClock
from groupline.db import Announcements, Answer, Database, PostgresListener, Statement
from groupline.db.punctual import ANSWER_SECONDS, LONG_SECONDS, PROMPT_SECONDS
from groupline.messages import service
from groupline.messages.claim import STATEMENTS
from groupline.messages.schemas import NewMessages
from groupline.models import WhatsappSession
from groupline.numbers.queries import ask_to_verify
from groupline.worker.elsewhere import Elsewhere
from groupline.worker.loop import Loop
from groupline.worker.loops import loops_of
from groupline.worker.supervisor import Supervisor

SECONDS, STEP = 120, 0.25
PER_SECOND = 2.0


@pytest.fixture
async def outbox(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Outbox]:
    async with open_outbox(database, clock, tmp_path / "gateway") as opened:
        yield opened


class Worker:
    """All of its loops, on a clock that stands still."""

    def __init__(self, outbox: Outbox, loops: tuple[Loop, ...]) -> None:
        self.outbox = outbox
        self.loops = loops

    async def is_idle(self) -> None:
        async with asyncio.timeout(60):
            await self.outbox.clock.sleepers(len(self.loops))

    async def passes(self, seconds: float) -> None:
        for _ in range(int(seconds / STEP)):
            self.outbox.clock.advance(STEP)
            await self.is_idle()


@asynccontextmanager
async def working(outbox: Outbox) -> AsyncIterator[Worker]:
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(open_test_runtime(outbox.database, outbox.clock))
        loops = await stack.enter_async_context(loops_of(runtime))
        supervisor = Supervisor(runtime, loops)
        tasks = [asyncio.create_task(supervisor.run(stopping))]
        if outbox.database.dialect == "postgresql":
            listener = PostgresListener(outbox.database, SystemClock())
            tasks.append(asyncio.create_task(listener.run()))
        worker = Worker(outbox, supervisor.loops)
        try:
            await worker.is_idle()
            yield worker
        finally:
            stopping.set()
            await tasks[0]
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Statements by the loop that made them, whichever way they go to the database."""
    seen: Counter[str] = Counter()
    carry_out = Database.carry_out

    def note(statement: str) -> None:
        task = asyncio.current_task()
        if not statement.startswith("BEGIN"):
            seen[task.get_name() if task else "?"] += 1

    def count(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        note(statement)

    async def counting(
        database: Database, statements: Sequence[Statement], *rest: Any, **options: Any
    ) -> list[Answer]:
        for each in statements:
            note(each.sql)
        return await carry_out(database, statements, *rest, **options)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Database, "carry_out", counting)
            yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def test_an_idle_worker_asks_the_database_less_than_twice_a_second(outbox: Outbox) -> None:
    async with working(outbox) as worker:
        await worker.passes(10)
        with counted() as seen:
            await worker.passes(SECONDS)
    assert {"heartbeat", "dispatch", "verifier", "alerts", "webhooks"} <= seen.keys()
    rates = {name: count / SECONDS for name, count in seen.most_common()}
    assert sum(rates.values()) < PER_SECOND, rates
    assert max(rates.values()) < 0.5, rates


async def test_sending_and_signs_of_life_wait_less_for_a_silent_database_than_clearing_up(
    outbox: Outbox,
) -> None:
    async with working(outbox) as worker:
        patience = {loop.name: loop.patience_seconds for loop in worker.loops}
    assert patience["dispatch"] == patience["heartbeat"] == PROMPT_SECONDS
    assert PROMPT_SECONDS < patience["verifier"] == ANSWER_SECONDS
    assert patience["housekeeping"] == LONG_SECONDS > ANSWER_SECONDS


async def test_a_dispatcher_looks_with_one_statement_and_claims_only_what_it_sees(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    await outbox.write(sender, status="sent")
    with counted() as seen:
        assert await outbox.dispatcher.run_once() is False
    assert seen.total() == 1

    await outbox.write(sender)
    with counted() as seen:
        assert await outbox.dispatcher.run_once() is True
    assert seen.total() > len(STATEMENTS[outbox.database.dialect])


async def test_a_message_sent_now_leaves_although_no_time_passes(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    async with working(outbox) as worker:
        await worker.passes(3)
        async with outbox.database.announcements.subscribe() as heard:
            async with outbox.database.writing() as session:
                ids = await service.schedule(
                    session,
                    outbox.organization_id,
                    NewMessages(sender.number_id, [sender.group_ids[0]], "Now"),
                    actor=PERSON,
                    now=outbox.clock.now(),
                )
            async with asyncio.timeout(60):
                async for _ in heard:
                    if await outbox.statuses(ids) == ["sent"]:
                        break
    assert await outbox.copies(sender.jids[0]) == 1


async def test_who_asks_for_a_proof_wakes_the_verifier(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    now, hour = outbox.clock.now(), timedelta(hours=1)
    times = {"verified_at": now - hour, "next_verify_at": now + hour}
    await outbox.change(WhatsappSession, sender.session_id, **times)
    async with working(outbox), outbox.database.announcements.subscribe() as heard:
        async with outbox.database.writing() as session:
            assert await ask_to_verify(session, outbox.organization_id, now, older_than=hour)
        async with asyncio.timeout(60):
            async for announcement in heard:
                if announcement.topic == "sessions":
                    break
    async with outbox.database.reading() as session:
        row = await session.get_one(WhatsappSession, sender.session_id)
    assert row.verified_at == now


# --- another process on SQLite, which cannot tell this one anything


@asynccontextmanager
async def other_process(outbox: Outbox) -> AsyncIterator[Database]:
    url = outbox.database.url.render_as_string(hide_password=False)
    database = Database(url, announcements=Announcements())
    yield database
    await database.dispose()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_what_another_process_writes_is_noticed_and_what_this_one_writes_is_not(
    outbox: Outbox,
) -> None:
    watch = Elsewhere(outbox.database)
    sender = await outbox.add_sender()
    assert await watch.has_written() is False, "what was there before the start is read then"
    for _ in range(3):
        await outbox.write(sender)
        assert await watch.has_written() is False
    async with other_process(outbox) as other, other.writing() as session:
        await session.execute(update(WhatsappSession).values(label="elsewhere"))
    assert await watch.has_written() is True
    assert await watch.has_written() is False


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_a_message_of_another_process_leaves_within_a_second(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    async with working(outbox) as worker, other_process(outbox) as other:
        await worker.passes(1)
        async with outbox.database.announcements.subscribe() as heard:
            async with other.writing() as session:
                ids = await service.schedule(
                    session,
                    outbox.organization_id,
                    NewMessages(sender.number_id, [sender.group_ids[0]], "Now"),
                    actor=PERSON,
                    now=outbox.clock.now(),
                )
            outbox.clock.advance(1.0)
            async with asyncio.timeout(60):
                async for _ in heard:
                    if await outbox.statuses(ids) == ["sent"]:
                        break
