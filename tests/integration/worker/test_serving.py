"""The web server on its own, whose worker never comes."""

import asyncio
import socket

from tests.support.app import open_test_runtime
from tests.support.clock import ManualClock

from groupline.cli.serve import run_parts
from groupline.db import Announcement, Database


async def test_a_web_server_gives_the_worker_its_time_and_then_tells_its_pages(
    database: Database, clock: ManualClock
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with (
            open_test_runtime(database, clock) as runtime,
            runtime.announcements.subscribe() as heard,
        ):
            web = asyncio.create_task(run_parts(runtime, listener, worker=False))
            async with asyncio.timeout(30):
                await clock.sleepers()  # it has looked, and no worker was missed
                clock.advance(31)
                assert await anext(heard) == Announcement("messages", None, None)
            runtime.announcements.close()
            web.cancel()
            await asyncio.gather(web, return_exceptions=True)
