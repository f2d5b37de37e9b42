"""The same sends as jobs of two well-known queues on PostgreSQL, each as its documentation has it.

``python -m bench._outbox_rivals pgqueuer GATEWAY`` works off what ``enqueue MESSAGES`` put
there, ``procrastinate GATEWAY MESSAGES`` does both. Each prints its seconds.
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

from bench._outbox_child import IN_FLIGHT, post, wait_for_the_start

BATCH = 100  # the best of 10, 100 and 500


async def enqueue(url: str, messages: int) -> float:
    """For any number of pgqueuers."""
    async with _connection(url) as connection:
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.enqueue(["send"] * messages, [b"{}"] * messages, [0] * messages)
    return 0.0


async def pgqueuer(url: str, gateway_url: str) -> float:
    async with _connection(url) as connection, _client() as session:
        queue = PgQueuer(AsyncpgDriver(connection))

        @queue.entrypoint("send")
        async def send(_job: Job) -> None:
            await post(session, gateway_url)

        wait_for_the_start()
        started = time.perf_counter()
        await queue.run(
            batch_size=BATCH, mode=QueueExecutionMode.drain, max_concurrent_tasks=IN_FLIGHT * 2
        )
        return time.perf_counter() - started


async def left(url: str) -> float:
    """How many jobs of pgqueuer nobody has done."""
    async with _connection(url) as connection:
        return float(await connection.fetchval("SELECT count(*) FROM pgqueuer"))


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
async def _connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _client() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def main() -> float:
    logging.disable(logging.WARNING)  # what is measured is not the log
    kind, *given = sys.argv[1:]
    url = os.environ["BENCH_DATABASE_URL"]
    match kind:
        case "enqueue":
            return uvloop.run(enqueue(url, int(given[0])))
        case "pgqueuer":
            return uvloop.run(pgqueuer(url, given[0]))
        case "left":
            return uvloop.run(left(url))
        case "procrastinate":
            return uvloop.run(procrastinate(url, given[0], int(given[1])))
    raise SystemExit(f"no such rival: {kind}")


if __name__ == "__main__":
    print(json.dumps(main()))
