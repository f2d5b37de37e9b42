"""How a worker says that it is alive, and how anybody can know."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.ids import new_id
from groupline.models import Lease

_PREFIX = "worker:"
_LASTS = timedelta(seconds=35)


class Heartbeat:
    """One worker's sign of life: a lease that lapses when the worker is gone."""

    def __init__(self, owner: str) -> None:
        self._name = f"{_PREFIX}{new_id()}"
        self._owner = owner

    async def beat(self, session: AsyncSession, now: datetime) -> None:
        """Renews the sign, and clears away those of workers that are long gone."""
        await session.execute(
            delete(Lease).where(
                Lease.name.startswith(_PREFIX),
                (Lease.name == self._name) | (Lease.expires_at < now),
            )
        )
        session.add(Lease(name=self._name, owner=self._owner, expires_at=now + _LASTS))

    async def end(self, session: AsyncSession) -> None:
        await session.execute(delete(Lease).where(Lease.name == self._name))


async def living_workers(session: AsyncSession, now: datetime) -> int:
    statement = select(func.count()).where(Lease.name.startswith(_PREFIX), Lease.expires_at >= now)
    return (await session.execute(statement)).scalar_one()
