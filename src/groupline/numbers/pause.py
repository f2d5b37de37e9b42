"""Numbers from which somebody has stopped all sending: since when, by whom, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.journal import Actor, label_of
from groupline.models import (
    JournalEntry,
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WhatsappNumber,
)
from groupline.numbers.account import record_of_number
from groupline.numbers.impact import impact_of
from groupline.numbers.states import Pause

_TOLD: Final = ("number.paused", "number.changed")
"""The second is how pauses were told at first."""
_STOPPED: Final = ("draft", "paused", "cancelled")


async def pauses(
    session: AsyncSession,
    organization_id: UUID,
    numbers: Sequence[WhatsappNumber],
    now: datetime,
) -> dict[UUID, Pause]:
    """Of those that are paused. Asks nothing where none is, as it is almost always."""
    since = {number.id: number.paused_at for number in numbers if number.paused_at is not None}
    if not since:
        return {}
    by = await _by_whom(session, organization_id, since)
    counts = await _counts(session, organization_id, since, now)
    return {
        number_id: Pause(at, by.get(number_id), *counts.get(number_id, (0, 0)))
        for number_id, at in since.items()
    }


async def _by_whom(
    session: AsyncSession, organization_id: UUID, since: dict[UUID, datetime]
) -> dict[UUID, str]:
    """The entry was written with the pause, at the very same time."""
    entry = JournalEntry
    rows = await session.execute(
        select(entry.subject_id, entry.actor_kind, entry.actor_label)
        .where(
            entry.organization_id == organization_id,
            or_(
                *(
                    and_(entry.subject_id == number_id, entry.at == at)
                    for number_id, at in since.items()
                )
            ),
            entry.action.in_(_TOLD),
        )
        .order_by(entry.position.desc())  # of several at one time, the first counts
    )
    return {row[0]: label_of(row[1], row[2]) for row in rows if row[0] is not None}


async def _counts(
    session: AsyncSession, organization_id: UUID, since: dict[UUID, datetime], now: datetime
) -> dict[UUID, tuple[int, int]]:
    """What waits, and what came too late since.

    These are few, and found by their status. Asked for them by number, SQLite would rather walk
    through all that the number has ever sent; so the numbers are told apart by what is counted.
    """
    message = ScheduledWhatsappMessage
    of = {each: message.number_id == each for each in since}
    late = {each: and_(of[each], message.expires_at >= at) for each, at in since.items()}
    waiting = await _count(session, organization_id, of, *_waits(now))
    expired = await _count(session, organization_id, late, message.status == "expired")
    return {each: (waiting[each], expired[each]) for each in since}


async def _count(
    session: AsyncSession,
    organization_id: UUID,
    apart: Mapping[UUID, ColumnElement[bool]],
    *where: ColumnElement[bool],
) -> dict[UUID, int]:
    statement = select(*(func.count().filter(each) for each in apart.values())).where(
        ScheduledWhatsappMessage.organization_id == organization_id, *where
    )
    return dict(zip(apart, (await session.execute(statement)).one(), strict=True))


def _waits(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Due, still in time, and held back by nothing but its number."""
    message, campaign = ScheduledWhatsappMessage, NotificationCampaign
    return (
        message.status == "pending",
        message.scheduled_for <= now,
        or_(message.expires_at.is_(None), message.expires_at > now),
        ~exists().where(campaign.id == message.campaign_id, campaign.status.in_(_STOPPED)),
    )


# --- the journal ----------------------------------------------------------------------------


async def record_pause(
    session: AsyncSession, number: WhatsappNumber, *, actor: Actor, now: datetime
) -> None:
    impact = await impact_of(session, number.organization_id, number.id, now)
    await record_of_number(session, number, "number.paused", impact.as_json(), actor=actor, now=now)


async def record_resume(
    session: AsyncSession,
    number: WhatsappNumber,
    since: datetime,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    counts = await _counts(session, number.organization_id, {number.id: since}, now)
    waiting, late = counts[number.id]
    data = {"since": since.isoformat(), "waiting": waiting, "late": late}
    await record_of_number(session, number, "number.resumed", data, actor=actor, now=now)
