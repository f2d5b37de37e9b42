"""A claim takes as long with a million finished messages as with none."""

import statistics
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from tests.support.databases import postgres_server

from bench._outbox_rows import add_history, add_messages, fill
from bench.figures import Figure
from bench.outbox import Opened, postgres_file, sqlite_file
from groupline.db import Announcements, Database
from groupline.db.punctual import LONG_SECONDS, patience
from groupline.gateways.outcomes import Sent
from groupline.logs import configure_logging
from groupline.messages.claim import claim
from groupline.messages.results import Result
from groupline.messages.sent import store_sent

FINISHED, NUMBERS, BATCH, CLAIMS = 1_000_000, 200, 100, 60
LIMIT = 1.5


async def run() -> list[Figure]:
    configure_logging("json", build="bench", level="WARNING")  # what is measured is not the log
    figures = [await _figure("SQLite", sqlite_file)]
    with postgres_server(durable=True) as server:
        figures.append(await _figure("PostgreSQL", lambda: postgres_file(server)))
    return figures


async def _figure(kind: str, opened: Opened) -> Figure:
    none = await _median_claim(opened, 0)
    many = await _median_claim(opened, FINISHED)
    return Figure(
        f"a claim of {BATCH} with {FINISHED:,} finished messages, {kind}",
        many * 1000,
        none * 1000,
        "ms",
        "with none",
        LIMIT,
    )


async def _median_claim(opened: Opened, finished: int) -> float:
    with opened() as url:
        database = Database(url, announcements=Announcements())
        with patience(LONG_SECONDS):
            await _prepare(database, finished)
        seconds = [await _one_claim(database) for _ in range(CLAIMS)]
        await database.dispose()
    return statistics.median(seconds)


async def _prepare(database: Database, finished: int) -> None:
    await fill(database, "http://127.0.0.1:9", numbers=NUMBERS, messages=0, max_in_flight=100)
    if finished:
        await add_history(database, finished)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await add_messages(database, BATCH * CLAIMS, at=past, priority=1)
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))


async def _one_claim(database: Database) -> float:
    """What it took is sent at once, so that the next finds its lanes free."""
    now = datetime.now(UTC)
    began = time.perf_counter()
    claims = await claim(
        database, worker="w", now=now, lease=timedelta(minutes=1), limit=BATCH, roll=0.5
    )
    seconds = time.perf_counter() - began
    assert len(claims) == BATCH, "a claim found less than there was"
    results = [Result(each, Sent("3EB0"), 0.5) for each in claims]
    assert await store_sent(database, results, datetime.now(UTC)), "nothing was stored"
    return seconds
