"""The end of a campaign, as its messages say: one place that writes it, however it is noticed."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import queries
from groupline.campaigns.rules import Counts, Finished, Reopened, Revised, settled
from groupline.campaigns.writing import note
from groupline.journal import SYSTEM
from groupline.models import NotificationCampaign


async def settle(session: AsyncSession, row: NotificationCampaign, *, now: datetime) -> bool:
    """Writes what the messages make of a locked campaign, once; says whether that is news."""
    counts = await queries.counts_of(session, row.organization_id, [row.id])
    return await _settle(session, row, counts[row.id], now)


async def settle_all(
    session: AsyncSession,
    organization_id: UUID,
    rows: Sequence[NotificationCampaign],
    *,
    now: datetime,
) -> None:
    """The same of many, which are asked about at once."""
    if not rows:
        return
    counts = await queries.counts_of(session, organization_id, {row.id for row in rows})
    for row in rows:
        await _settle(session, row, counts[row.id], now)


async def _settle(
    session: AsyncSession, row: NotificationCampaign, counts: Counts, now: datetime
) -> bool:
    found = settled(row.status, counts, has_ended=row.finished_at is not None)
    match found:
        case None:
            return False
        case Finished(status):
            row.status, row.finished_at = status, now
            await _note(session, row, "campaign.finished", counts, now)
        case Reopened(status):
            row.status, row.finished_at = status, None
            await _note(session, row, "campaign.reopened", counts, now)
        case Revised(status):
            row.status = status
            await _note(session, row, "campaign.revised", counts, now)
    row.paused_at = None
    row.updated_at = now
    return True


async def _note(
    session: AsyncSession, row: NotificationCampaign, action: str, counts: Counts, now: datetime
) -> None:
    facts = {"status": row.status, "counts": counts.as_dict(), "numberId": str(row.number_id)}
    await note(session, row, action, SYSTEM, now, **facts)
