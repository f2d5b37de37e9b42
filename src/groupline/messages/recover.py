"""Messages whose worker is gone: an expired lease means that nobody knows, unless it is proven."""

from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Database
from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import MESSAGES, fetch, for_change, write
from groupline.messages.rules import Policy
from groupline.messages.settle import concluded

EVERY_SECONDS = 5.0
_BATCH = 200


class Recoverer:
    """Looks for leases that have ended."""

    def __init__(self, database: Database, clock: Clock, policy: Policy | None = None) -> None:
        self._database = database
        self._clock = clock
        self._policy = policy or Policy()

    async def run_once(self) -> bool:
        now = self._clock.now()
        async with self._database.reading() as session:
            if await session.scalar(select(MESSAGES.c.id).where(*_abandoned(now)).limit(1)) is None:
                return False
        async with self._database.writing() as session:
            return await recover(session, now=now, policy=self._policy) == _BATCH


async def recover(session: AsyncSession, *, now: datetime, policy: Policy) -> int:
    """Makes messages with an expired lease ``uncertain``; says how many were found."""
    statement = for_change().where(*_abandoned(now)).limit(_BATCH)
    rows = await fetch(session, statement.with_for_update(of=MESSAGES, skip_locked=True))
    steps = [concluded(row, rules.after_lease(row.facts(), now=now, policy=policy)) for row in rows]
    await write(session, steps, actor=SYSTEM, now=now)
    return len(rows)


def _abandoned(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (MESSAGES.c.status == "sending", MESSAGES.c.claimed_until < now)
