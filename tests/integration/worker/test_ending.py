"""A worker that is told to stop."""

import asyncio

from structlog.testing import capture_logs
from tests.support.app import open_test_runtime
from tests.support.clock import ManualClock

from groupline.db import Database
from groupline.worker.supervisor import Supervisor


async def test_it_ends_in_order_although_the_database_refuses_to_be_told(
    database: Database, clock: ManualClock
) -> None:
    stopping = asyncio.Event()
    async with open_test_runtime(database, clock) as runtime:
        worker = asyncio.create_task(Supervisor(runtime, []).run(stopping))
        await clock.sleepers()  # it has said that it is alive
        async with database.writing() as session:
            connection = await session.connection()
            await connection.exec_driver_sql("ALTER TABLE leases RENAME TO elsewhere")
        try:
            with capture_logs() as logs:
                stopping.set()
                async with asyncio.timeout(60):
                    await worker
        finally:
            async with database.writing() as session:
                connection = await session.connection()
                await connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO leases")
    assert [each["event"] for each in logs] == ["worker.end_not_told", "worker.stopped"]
