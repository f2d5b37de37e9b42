"""On SQLite a worker looks for what other processes have written: from its very beginning."""

import asyncio
import sqlite3
from datetime import timedelta

import pytest
from tests.support.app import open_test_runtime
from tests.support.cast import Cast
from tests.support.clock import ManualClock

from groupline.db import Database
from groupline.worker.loop import Loop
from groupline.worker.supervisor import Supervisor

pytestmark = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)


async def test_what_another_process_writes_while_a_worker_starts_is_not_missed(
    database: Database, clock: ManualClock, cast: Cast
) -> None:
    turns, stopping = 0, asyncio.Event()

    async def turn() -> bool:
        nonlocal turns
        turns += 1
        if turns == 1:  # the first loop has looked, and the other one has not begun
            _write_elsewhere(database, cast.slug)
        return False

    loop = Loop(
        "asked", turn, idle_seconds=timedelta(hours=1).total_seconds(), wakes_on=frozenset(("x",))
    )
    async with open_test_runtime(database, clock) as runtime:
        supervisor = Supervisor(runtime, [loop])
        running = asyncio.create_task(supervisor.run(stopping))
        async with asyncio.timeout(60):
            await clock.sleepers(len(supervisor.loops))
            while turns < 2:
                clock.advance(1)
                await clock.sleepers(len(supervisor.loops))
                assert clock.monotonic() < 10, "it was not noticed"
        stopping.set()
        await running


def _write_elsewhere(database: Database, slug: str) -> None:
    connection = sqlite3.connect(str(database.url.database))
    with connection:
        connection.execute("UPDATE organizations SET name = 'Elsewhere' WHERE slug = ?", (slug,))
    connection.close()
