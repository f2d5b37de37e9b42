"""Messages that waited longer than they are useful: expired, with what they waited for."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Database
from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import MESSAGES, MessageRow, Step, fetch, for_change, write
from groupline.messages.waited import CAMPAIGN_PAUSED, waited_for
from groupline.messages.waiting import lanes
from groupline.models import NotificationCampaign

EVERY_SECONDS = 5.0
_BATCH: Final = 500


class Expirer:
    """Looks for pending messages whose time is over."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> bool:
        now = self._clock.now()
        async with self._database.reading() as session:
            if await session.scalar(select(MESSAGES.c.id).where(*_late(now)).limit(1)) is None:
                return False
        async with self._database.writing() as session:
            return await expire(session, now=now) == _BATCH


async def expire(session: AsyncSession, *, now: datetime) -> int:
    """Ends pending messages whose time is over; says how many were found."""
    statement = for_change().where(*_late(now)).limit(_BATCH)
    rows = await fetch(session, statement.with_for_update(of=MESSAGES, skip_locked=True))
    reasons = await _reasons(session, rows, now)
    steps = [
        Step(row, rules.after_deadline(row.facts(), waited_for=reasons.get(row.id))) for row in rows
    ]
    await write(session, steps, actor=SYSTEM, now=now)
    return len(rows)


def _late(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (MESSAGES.c.status == "pending", MESSAGES.c.expires_at <= now)


async def _reasons(
    session: AsyncSession, rows: Sequence[MessageRow], now: datetime
) -> Mapping[UUID, str]:
    """What each of them waited for, as far as that is known."""
    known = await lanes(session, {row.number_id for row in rows}, now)
    of_numbers = {number_id: waited_for(lane, now) for number_id, lane in known.items()}
    stopped = set(await session.scalars(_of_paused_campaigns(rows)))
    reasons = {
        row.id: CAMPAIGN_PAUSED if row.id in stopped else of_numbers.get(row.number_id)
        for row in rows
    }
    return {message_id: sentence for message_id, sentence in reasons.items() if sentence}


def _of_paused_campaigns(rows: Sequence[MessageRow]) -> Select[tuple[UUID]]:
    campaign = NotificationCampaign
    return (
        select(MESSAGES.c.id)
        .join(campaign, campaign.id == MESSAGES.c.campaign_id)
        .where(MESSAGES.c.id.in_([row.id for row in rows]), campaign.status == "paused")
    )
