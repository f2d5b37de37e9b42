"""The same sends as jobs of two well-known queues on PostgreSQL, each as its documentation has it.

``python -m bench._outbox_rivals pgqueuer|procrastinate GATEWAY MESSAGES`` prints the seconds.
"""

import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, Job, PgQueuer, Queries
from pgqueuer.types import QueueExecutionMode
from procrastinate import App, PsycopgConnector

from bench._outbox_child import IN_FLIGHT, post

BATCH = 100  # the best of 10, 100 and 500


async def pgqueuer(url: str, gateway_url: str, messages: int) -> float:
    connection = await asyncpg.connect(url)
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    await queries.install()
    await queries.enqueue(["send"] * messages, [b"{}"] * messages, [0] * messages)
    queue = PgQueuer(driver)
    async with _client() as session:

        @queue.entrypoint("send")
        async def send(_job: Job) -> None:
            await post(session, gateway_url)

        started = time.perf_counter()
        await queue.run(
            batch_size=BATCH, mode=QueueExecutionMode.drain, max_concurrent_tasks=IN_FLIGHT * 2
        )
        seconds = time.perf_counter() - started
    left = await connection.fetchval("SELECT count(*) FROM pgqueuer")
    await connection.close()
    assert left == 0, "pgqueuer left jobs behind"
    return seconds


async def procrastinate(url: str, gateway_url: str, messages: int) -> float:
    app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=20))
    async with app.open_async(), _client() as session:
        await app.schema_manager.apply_schema_async()

        @app.task(name="send")
        async def send() -> None:
            await post(session, gateway_url)

        for _ in range(0, messages, 1000):
            await send.batch_defer_async(*({} for _ in range(1000)))
        started = time.perf_counter()
        await app.run_worker_async(concurrency=IN_FLIGHT, wait=False, install_signal_handlers=False)
        return time.perf_counter() - started


@asynccontextmanager
async def _client() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def main() -> float:
    logging.disable(logging.WARNING)  # what is measured is not the log
    name, gateway_url, messages = sys.argv[1:]
    rival = {"pgqueuer": pgqueuer, "procrastinate": procrastinate}[name]
    return uvloop.run(rival(os.environ["BENCH_DATABASE_URL"], gateway_url, int(messages)))


if __name__ == "__main__":
    print(json.dumps(main()))
