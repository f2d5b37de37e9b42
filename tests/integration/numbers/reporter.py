"""A process that reports sessions as connected: by poll and by webhook, twice each, all at once.

Run by `test_concurrency`. Each line of its input is JSON; it begins when it hears one, so that
several processes begin together.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

from groupline.db import Announcements, Database
from groupline.gateways.outcomes import SessionConnected
from groupline.numbers.readings import Word, apply_reading
from groupline.numbers.status_events import apply_status_event


async def main(url: str) -> None:
    database = Database(url, announcements=Announcements())
    await database.ping()
    say("ready")
    order = json.loads(await asyncio.to_thread(sys.stdin.readline))
    reports = [
        report
        for name in order["sessions"]
        for report in (
            poll(database, order, name),
            webhook(database, order, name),
            poll(database, order, name),
            webhook(database, order, name),
        )
    ]
    await asyncio.gather(*reports)
    await database.dispose()
    say("done")


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def moment(order: dict[str, str]) -> datetime:
    """By the clock of the test, which goes on here as that of this machine does."""
    return datetime.now(UTC) + timedelta(seconds=float(order["ahead"]))


async def poll(database: Database, order: dict[str, str], session_id: str) -> None:
    now = moment(order)
    async with database.writing() as session:
        word = Word(SessionConnected(order["phone"]), now, now)
        await apply_reading(session, UUID(order["organization"]), UUID(session_id), word)


async def webhook(database: Database, order: dict[str, str], session_id: str) -> None:
    now = moment(order)
    async with database.writing() as session:
        await apply_status_event(
            session,
            gateway_id=UUID(order["gateway"]),
            gateway_session_id=f"wa_{session_id}",
            status_word="connected",
            phone=f"+{order['phone']}",
            at=now,
            now=now,
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
