"""What keeps messages from leaving that somebody has just told Groupline to send."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.messages.waiting import lanes, obstacle
from groupline.models import NotificationCampaign, ScheduledWhatsappMessage

CAMPAIGN_PAUSED: Final = "Its campaign is paused."


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Of some messages, those that do not leave at the moment."""

    count: int = 0
    reason: str | None = None
    """Where it is the same for all of them."""


def together(parts: Collection[HeldBack]) -> HeldBack:
    """Of messages that were asked about one part after the other."""
    reasons = {each.reason for each in parts if each.count}
    reason = reasons.pop() if len(reasons) == 1 else None
    return HeldBack(sum(each.count for each in parts), reason)


async def held_back(session: AsyncSession, ids: Collection[UUID], now: datetime) -> HeldBack:
    """Asked of messages that are due. What only waits for its turn is not held back."""
    message, campaign = ScheduledWhatsappMessage, NotificationCampaign
    is_stopped = func.coalesce(campaign.status == "paused", False).label("is_stopped")
    statement = (
        select(message.number_id, is_stopped, func.count())
        .outerjoin(campaign, campaign.id == message.campaign_id)
        .where(message.id.in_(ids), message.status == "pending")
        .group_by(message.number_id, is_stopped)
    )
    found = (await session.execute(statement)).all()
    known = await lanes(session, {number_id for number_id, _, _ in found}, now)
    total = 0
    reasons: set[str] = set()
    for number_id, stopped, count in found:
        reason = CAMPAIGN_PAUSED if stopped else obstacle(known[number_id], now)
        if reason is not None:
            total += count
            reasons.add(reason)
    return HeldBack(total, reasons.pop() if len(reasons) == 1 else None)


async def obstacle_of(session: AsyncSession, number_id: UUID, now: datetime) -> str | None:
    """What keeps everything of a number from leaving."""
    known = await lanes(session, {number_id}, now)
    return obstacle(known[number_id], now) if number_id in known else None
