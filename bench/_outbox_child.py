"""One measurement in a process of its own, on uvloop: prints what it found as JSON.

``python -m bench._outbox_child floor|dispatch …`` is called by ``bench.outbox``.
"""

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime

import aiohttp
import uvloop
from sqlalchemy import func, select

from bench._outbox_rows import SECRET_KEY, fill
from groupline.cli import interpreter
from groupline.clock import SystemClock
from groupline.db import Announcements, Database
from groupline.gateways.drivers.base import HttpPool
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways
from groupline.logs import configure_logging
from groupline.messages.dispatch import Dispatcher
from groupline.models import ScheduledWhatsappMessage
from groupline.vault import Vault

IN_FLIGHT = 200


BODY = json.dumps(
    {"sessionId": "wa_0", "phone": "1203630@g.us", "message": "We start in ten minutes."}
).encode()


async def post(session: aiohttp.ClientSession, gateway_url: str) -> None:
    async with session.post(
        f"{gateway_url}/send",
        data=BODY,
        headers={"Content-Type": "application/json", "X-API-Key": "key"},
    ) as answer:
        json.loads(await answer.read())


def wait_for_the_start() -> None:
    """Several processes start together, once each of them is ready."""
    print("ready", flush=True)
    sys.stdin.readline()


async def floor(gateway_url: str, messages: int) -> float:
    """The HTTP client alone: as many requests, as many at a time, nothing stored."""
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:
        left = iter(range(messages))

        async def send() -> None:
            for _ in left:
                await post(session, gateway_url)

        started = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
        return time.perf_counter() - started


async def prepare(url: str, gateway_url: str, messages: int, numbers: int) -> float:
    database = Database(url, announcements=Announcements())
    most = max(IN_FLIGHT, numbers)
    await fill(database, gateway_url, numbers=numbers, messages=messages, max_in_flight=most)
    await database.dispose()
    return 0.0


async def dispatch(url: str) -> float:
    """Until nothing is pending or in flight. Several of these may run on one database."""
    database = Database(url, announcements=Announcements())
    vault = Vault(SECRET_KEY)
    async with HttpPool(connections=IN_FLIGHT, per_gateway=IN_FLIGHT) as pool:
        gateways = Gateways(DriverRegistry(pool), vault)
        worker = Dispatcher(database, gateways, SystemClock(), capacity=IN_FLIGHT)
        interpreter.tune()
        wait_for_the_start()
        started = time.perf_counter()
        while True:
            worker.wake.clear()
            if await worker.run_once():
                continue
            if worker.in_flight:
                await worker.wake.wait()
            elif await _left(database) == 0:
                break
            else:
                await asyncio.sleep(0.002)
        seconds = time.perf_counter() - started
    await database.dispose()
    return seconds


async def _left(database: Database) -> int:
    message = ScheduledWhatsappMessage
    async with database.reading() as session:
        statement = select(func.count()).where(message.status.in_(("pending", "sending")))
        return (await session.execute(statement)).scalar_one()


async def check(url: str) -> float:
    """How many are sent with evidence."""
    database = Database(url, announcements=Announcements())
    message = ScheduledWhatsappMessage
    async with database.reading() as session:
        statement = select(func.count()).where(
            message.status == "sent",
            message.gateway_message_id.is_not(None),
            message.sent_at <= datetime.now(UTC),
        )
        found = (await session.execute(statement)).scalar_one()
    await database.dispose()
    return float(found)


def main() -> float:
    configure_logging("json", build="bench", level="WARNING")  # what is measured is not the log
    kind, *given = sys.argv[1:]
    url = os.environ.get("BENCH_DATABASE_URL", "")
    match kind:
        case "floor":
            return uvloop.run(floor(given[0], int(given[1])))
        case "prepare":
            return uvloop.run(prepare(url, given[0], int(given[1]), int(given[2])))
        case "dispatch":
            return uvloop.run(dispatch(url))
        case "check":
            return uvloop.run(check(url))
    raise SystemExit(f"no such measurement: {kind}")


if __name__ == "__main__":
    print(json.dumps(main()))
