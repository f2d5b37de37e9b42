"""The loop that begins campaigns when their time comes, and ends those that are done."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import queries
from groupline.campaigns.actions import cancel_pending
from groupline.campaigns.settle import settle
from groupline.campaigns.writing import note
from groupline.clock import Clock
from groupline.db import Database
from groupline.journal import SYSTEM
from groupline.models import MessageStatus, NotificationCampaign, ScheduledWhatsappMessage

IDLE_SECONDS: Final = 15.0
WAKES_ON: Final = frozenset({"campaigns"})
_WHILE_SENDING: Final = 1.0
_BATCH: Final = 50
LOOKS_BACK: Final = timedelta(days=3)
"""So long after its end a campaign may still change: the reconciler asks no longer than that."""

campaign, message = NotificationCampaign, ScheduledWhatsappMessage


class CampaignLoop:
    """Begins campaigns whose time has come, and ends those whose messages are all final."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._next: float | None = None

    async def run_once(self) -> bool:
        """Looks first; writes only where there is something to write."""
        now = self._clock.now()
        async with self._database.reading() as session:
            ids = await _due(session, now)
            self._next = await _next_look(session, now)
        for organization_id, campaign_id in ids:
            async with self._database.writing() as session:
                await _turn(session, organization_id, campaign_id, self._clock.now())
        return len(ids) == _BATCH

    async def next_due(self) -> float | None:
        return self._next


async def _turn(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID, now: datetime
) -> None:
    """One campaign, one transaction. Another worker may have been quicker."""
    row = await queries.get(session, organization_id, campaign_id)
    if row.status == "scheduled" and row.scheduled_for is not None and row.scheduled_for <= now:
        row.status, row.started_at, row.updated_at = "sending", now, now
        await note(session, row, "campaign.started", SYSTEM, now)
    if row.status == "cancelled" and row.finished_at is None:
        await cancel_pending(session, row, actor=SYSTEM, now=now)
    await settle(session, row, now=now)


# --- what to look at ------------------------------------------------------------------------

_OPEN: Final = and_(campaign.finished_at.is_(None), campaign.status != "draft")


async def _due(session: AsyncSession, now: datetime) -> list[tuple[UUID, UUID]]:
    """Campaigns that begin, that have ended, or whose end the messages contradict."""
    begins = and_(campaign.status == "scheduled", campaign.scheduled_for <= now)
    ends = ~_has(*_NOT_FINAL)
    left_over = and_(campaign.status == "cancelled", _has("pending"))
    open_ones = select(campaign.organization_id, campaign.id).where(
        _OPEN, or_(begins, ends, left_over)
    )
    ended = select(campaign.organization_id, campaign.id).where(
        campaign.finished_at > now - LOOKS_BACK, campaign.status != "cancelled", _contradicted()
    )
    found: list[tuple[UUID, UUID]] = []
    for statement in (open_ones, ended):
        rows = await session.execute(statement.limit(_BATCH - len(found)))
        found += [(row[0], row[1]) for row in rows]
    return found


async def _next_look(session: AsyncSession, now: datetime) -> float | None:
    """Soon while one is being sent; else when the next one begins."""
    statement = select(
        func.count().filter(campaign.status != "scheduled"),
        func.min(campaign.scheduled_for).filter(campaign.status == "scheduled"),
    ).where(_OPEN)
    under_way, begins_at = (await session.execute(statement)).one()
    if under_way:
        return _WHILE_SENDING
    return None if begins_at is None else max(0.0, (begins_at - now).total_seconds())


_NOT_FINAL: Final[tuple[MessageStatus, ...]] = ("pending", "sending", "accepted", "uncertain")


def _has(*statuses: MessageStatus) -> ColumnElement[bool]:
    """One look into the index of the campaign for each status."""
    return or_(
        *(
            exists().where(message.campaign_id == campaign.id, message.status == each)
            for each in statuses
        )
    )


def _contradicted() -> ColumnElement[bool]:
    """The end is another than ``rules.end_of`` would say now."""
    sent, missing = _has("sent"), _has("failed", "expired")
    return or_(
        _has(*_NOT_FINAL),
        and_(campaign.status == "completed", or_(missing, ~sent)),
        and_(campaign.status == "failed", or_(sent, ~missing)),
        and_(campaign.status == "partial_failure", or_(~sent, ~missing)),
    )
