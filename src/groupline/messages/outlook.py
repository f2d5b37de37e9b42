"""Whether there is anything to send, and when there will be: one cheap question."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import NotificationCampaign, ScheduledWhatsappMessage, WhatsappNumber


@dataclass(frozen=True, slots=True)
class Outlook:
    is_due: bool
    """Something is due. It may still have to wait, for its number or its lane."""
    next_at: datetime | None
    """When something becomes due, or a lane free. Not when a number comes back: that is told."""


async def outlook(session: AsyncSession, now: datetime) -> Outlook:
    message, number = ScheduledWhatsappMessage, WhatsappNumber
    pending = message.status == "pending"
    first = select(func.min(message.scheduled_for)).where(pending)
    later = first.where(message.scheduled_for > now)
    again = select(func.min(message.next_attempt_at)).where(
        pending, message.next_attempt_at.is_not(None), message.next_attempt_at > now
    )
    lane = select(func.min(number.lane_free_at)).where(number.lane_free_at > now)
    restricted = select(func.min(number.restricted_until)).where(number.restricted_until > now)
    campaign = NotificationCampaign
    delayed = select(func.min(campaign.next_send_at)).where(
        campaign.finished_at.is_(None), campaign.status != "draft", campaign.next_send_at > now
    )
    asked = (first, later, again, lane, restricted, delayed)
    row = (await session.execute(select(*(each.scalar_subquery() for each in asked)))).one()
    moments = [moment for moment in row[1:] if moment is not None]
    return Outlook(is_due=row[0] is not None and row[0] <= now, next_at=min(moments, default=None))
