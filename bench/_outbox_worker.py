"""A whole worker, as the command runs it, on one outbox: prints what was asked for as JSON.

``python -m bench._outbox_worker reminders|bare|campaign|now|idle GATEWAY``
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from sqlalchemy import event, select
from sqlalchemy.engine import Engine

from bench._outbox_child import IN_FLIGHT, post
from bench._outbox_rows import SECRET_KEY, add_messages, fill
from groupline.cli import interpreter
from groupline.db import Announcements, Database, Statement
from groupline.logs import configure_logging
from groupline.messages.changes import MESSAGES
from groupline.runtime import Runtime, open_runtime
from groupline.settings import Settings
from groupline.worker.loops import loops_of
from groupline.worker.supervisor import Supervisor

REMINDERS, NUMBERS, LEAD = 1_000, 100, timedelta(seconds=4)
CAMPAIGN, PACED_NUMBERS, PACE = 1_000, 20, 0.5
SENT_NOW, IDLE_SECONDS = 30, 15.0


@asynccontextmanager
async def worker() -> AsyncIterator[Runtime]:
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(
            data_dir=Path(directory),
            database_url=os.environ["BENCH_DATABASE_URL"],
            secret_key=SECRET_KEY,
        )
        async with open_runtime(settings) as runtime, loops_of(runtime) as loops:
            interpreter.tune()
            stopping = asyncio.Event()
            running = asyncio.create_task(Supervisor(runtime, loops).run(stopping))
            try:
                yield runtime
            finally:
                stopping.set()
                await running


async def prepare(gateway: str, *, numbers: int, pace: float = 0.0) -> Database:
    database = Database(os.environ["BENCH_DATABASE_URL"], announcements=Announcements())
    await fill(database, gateway, numbers=numbers, messages=0, max_in_flight=IN_FLIGHT, pace=pace)
    return database


async def lateness(database: Database, priority: int, count: int) -> list[float]:
    """Seconds from the time of each message until it was sent, once all of them are."""
    statement = select(MESSAGES.c.sent_at, MESSAGES.c.scheduled_for).where(
        MESSAGES.c.priority == priority, MESSAGES.c.status == "sent"
    )
    while True:
        await asyncio.sleep(0.5)
        async with database.reading() as session:
            rows = (await session.execute(statement)).all()
        if len(rows) == count:
            return sorted((row.sent_at - row.scheduled_for).total_seconds() for row in rows)


def percentile(values: Sequence[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


async def reminders(gateway: str) -> float:
    """p99 of the lateness of reminders that are all due at the same instant."""
    database = await prepare(gateway, numbers=NUMBERS)
    await add_messages(database, REMINDERS, at=datetime.now(UTC) + LEAD, priority=1)
    async with worker():
        late = await lateness(database, 1, REMINDERS)
    await database.dispose()
    return percentile(late, 99)


async def bare(gateway: str) -> float:
    """The same by a loop that knows what to send: marks a hundred, sends them, stores them."""
    database = await prepare(gateway, numbers=NUMBERS)
    at = datetime.now(UTC) + LEAD
    ids = await add_messages(database, REMINDERS, at=at, priority=1)
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    late: list[float] = []
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.sleep((at - datetime.now(UTC)).total_seconds())
        for wave in batched_ids(ids):
            await mark(database, wave, "next_attempt_at = :now")
            await asyncio.gather(*(post(session, gateway) for _ in wave))
            await mark(database, wave, "status = 'sent', sent_at = :now, gateway_message_id = '3E'")
            late += [(datetime.now(UTC) - at).total_seconds()] * len(wave)
    await database.dispose()
    return percentile(late, 99)


def batched_ids(ids: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(ids[n : n + NUMBERS]) for n in range(0, len(ids), NUMBERS)]


async def mark(database: Database, ids: Sequence[str], change: str) -> None:
    listed = {
        "sqlite": "SELECT value FROM json_each(:ids)",
        "postgresql": "SELECT CAST(value AS uuid)"
        " FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) AS listed (value)",
    }[database.dialect]
    source = f"UPDATE scheduled_whatsapp_messages SET {change} WHERE id IN ({listed})"
    values = {"ids": json.dumps(ids), "now": datetime.now(UTC)}
    await database.carry_out([Statement(source, values)])


async def campaign(gateway: str) -> float:
    """The longest that a reminder waits while a campaign runs on the same numbers."""
    database = await prepare(gateway, numbers=PACED_NUMBERS, pace=PACE)
    now = datetime.now(UTC)
    await add_messages(database, CAMPAIGN, at=now - timedelta(seconds=1), priority=2)
    await add_messages(database, PACED_NUMBERS, at=now + LEAD, priority=1)
    async with worker():
        late = await lateness(database, 1, PACED_NUMBERS)
    await database.dispose()
    return max(late)


async def sent_now(gateway: str) -> float:
    """The 95th percentile of the time from the commit of a message until it has left."""
    database = await prepare(gateway, numbers=NUMBERS)
    waits = []
    async with worker() as runtime:
        await asyncio.sleep(2.0)
        for _ in range(SENT_NOW):
            await asyncio.sleep(random.uniform(0.1, 0.4))
            waits.append(await _one_now(runtime.database))
    await database.dispose()
    return percentile(waits, 95)


async def _one_now(database: Database) -> float:
    written = datetime.now(UTC)
    [message_id] = await add_messages(database, 1, at=written, priority=0, telling=True)
    committed = datetime.now(UTC)
    statement = select(MESSAGES.c.sent_at).where(MESSAGES.c.client_ref == message_id)
    while True:
        await asyncio.sleep(0.02)
        async with database.reading() as session:
            sent_at = await session.scalar(statement)
        if sent_at is not None:
            return max(0.0, float((sent_at - committed).total_seconds()))


async def idle(gateway: str) -> dict[str, float]:
    """Statements a second and share of a core of a worker with nothing to do."""
    database = await prepare(gateway, numbers=NUMBERS)
    await database.dispose()
    statements = 0

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal statements
        statements += not statement.startswith("BEGIN")

    async with worker():
        await asyncio.sleep(5.0)
        event.listen(Engine, "before_cursor_execute", count)
        began, busy = time.perf_counter(), time.process_time()
        await asyncio.sleep(IDLE_SECONDS)
        seconds = time.perf_counter() - began
        return {
            "queries": statements / seconds,
            "percent": (time.process_time() - busy) / seconds * 100,
        }


_KINDS = {
    "reminders": reminders,
    "bare": bare,
    "campaign": campaign,
    "now": sent_now,
    "idle": idle,
}


if __name__ == "__main__":
    configure_logging("json", build="bench", level="WARNING")
    kind, gateway_url = sys.argv[1:]
    print(json.dumps(uvloop.run(_KINDS[kind](gateway_url))))
