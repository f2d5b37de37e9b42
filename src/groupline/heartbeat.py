"""How a worker says that it is alive, and how anybody can know."""

import os
import socket
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Announcement, Announcements, Database
from groupline.ids import new_id
from groupline.models import Lease
from groupline.numbers.workers import WORKERS, none_runs

_LASTS = timedelta(seconds=35)
_CONCERNED = (Announcement("messages", None, None), Announcement("numbers", None, None))
"""Whatever says that no worker runs listens to one of them: what waits, and cards of numbers."""


class Heartbeat:
    """One worker's sign of life: a lease that lapses when the worker is gone."""

    def __init__(self, owner: str) -> None:
        self._name = f"{WORKERS}{new_id()}"
        self._owner = owner

    async def beat(self, session: AsyncSession, now: datetime) -> None:
        """Renews the sign, and clears away those of workers that are long gone."""
        await session.execute(delete(Lease).where((Lease.name == self._name) | _lapsed(now)))
        session.add(Lease(name=self._name, owner=self._owner, expires_at=now + _LASTS))

    async def end(self, session: AsyncSession, now: datetime) -> None:
        """It is alive no more. Until when it was stays known: the next one may be on its way."""
        ended = update(Lease).where(Lease.name == self._name)
        await session.execute(ended.values(expires_at=now))


def process_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


async def expect_worker(session: AsyncSession, owner: str, now: datetime) -> None:
    """Something of the installation starts, and so may a worker: none is missed for a while."""
    await session.execute(delete(Lease).where(_lapsed(now)))
    session.add(Lease(name=f"{WORKERS}{new_id()}", owner=owner, expires_at=now))


async def living_workers(session: AsyncSession, now: datetime) -> int:
    statement = select(func.count()).where(Lease.name.startswith(WORKERS), Lease.expires_at > now)
    return (await session.execute(statement)).scalar_one()


def _lapsed(now: datetime) -> ColumnElement[bool]:
    return Lease.name.startswith(WORKERS) & (Lease.expires_at < now)


class WorkerWatch:
    """Tells the pages of this process when the last worker goes, and when one comes: whoever has
    gone without a word announces nothing."""

    def __init__(self, database: Database, announcements: Announcements, clock: Clock) -> None:
        self._database = database
        self._announcements = announcements
        self._clock = clock
        self._missed: bool | None = None

    async def run_once(self) -> bool:
        async with self._database.reading() as session:
            missed = await none_runs(session, self._clock.now())
        if self._missed not in (None, missed):
            self._announcements.publish(*_CONCERNED)
        self._missed = missed
        return False
