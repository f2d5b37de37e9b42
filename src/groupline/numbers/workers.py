"""Whether any worker runs, to send and to ask: they say so by leases (``heartbeat``)."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import Lease

WORKERS: Final = "worker:"
"""So the names of their leases begin."""
GRACE: Final = timedelta(seconds=30)
"""A restart is no trouble: so long after the last sign of life nothing is said."""


def last_sign() -> ScalarSelect[Any]:
    """Until when a worker is, or was, known to be alive; null where none was ever expected."""
    return (
        select(func.max(Lease.expires_at)).where(Lease.name.startswith(WORKERS)).scalar_subquery()
    )


def is_missed(last: datetime | None, now: datetime) -> bool:
    return last is not None and last + GRACE < now


async def none_runs(session: AsyncSession, now: datetime) -> bool:
    return is_missed(await session.scalar(select(last_sign())), now)
