"""Messages that are late although nothing that Groupline knows of holds them back."""

from datetime import datetime, timedelta

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import (
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WhatsappNumber,
    WhatsappSession,
)

GRACE = timedelta(minutes=2)


async def count_overdue(session: AsyncSession, now: datetime) -> int:
    """Due longer than the grace, on numbers that are connected and whose lane stands still.

    A long queue that moves is no fault: only a number that has not sent anything for that long,
    and is neither paused nor held back, counts. A campaign that stands still is no fault either.
    """
    message, number, pairing = ScheduledWhatsappMessage, WhatsappNumber, WhatsappSession
    campaign, stale = NotificationCampaign, now - GRACE
    held = exists().where(
        campaign.id == message.campaign_id,
        or_(campaign.status.in_(("draft", "paused", "cancelled")), campaign.next_send_at > stale),
    )
    statement = (
        select(func.count())
        .select_from(message)
        .join(number, number.id == message.number_id)
        .join(
            pairing,
            (pairing.organization_id == number.organization_id)
            & (pairing.number_id == number.id)
            & (pairing.status == "connected"),
        )
        .where(
            message.status == "pending",
            message.scheduled_for < stale,
            func.coalesce(message.next_attempt_at, message.scheduled_for) < stale,
            number.paused_at.is_(None),
            func.coalesce(number.lane_free_at, stale) <= stale,
            func.coalesce(number.last_send_at, stale) <= stale,
            pairing.connected_at < stale,
            ~held,
        )
    )
    return (await session.execute(statement)).scalar_one()
