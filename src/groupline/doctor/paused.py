"""Numbers that somebody paused, perhaps long ago, and whose messages are wanted soon."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import moment
from groupline.doctor.findings import Finding
from groupline.models import Event, Organization, WhatsappNumber
from groupline.numbers.impact import EVENT_WINDOW


async def find_paused(session: AsyncSession, now: datetime) -> list[Finding]:
    """One finding for each event that begins within a day. Whether it is meant, a person knows."""
    rows = await session.execute(
        select(WhatsappNumber, Event, Organization.timezone)
        .join(
            Event,
            (Event.organization_id == WhatsappNumber.organization_id)
            & (Event.number_id == WhatsappNumber.id),
        )
        .join(Organization, Organization.id == WhatsappNumber.organization_id)
        .where(
            WhatsappNumber.paused_at.is_not(None),
            Event.status == "planned",
            Event.starts_at > now,
            Event.starts_at <= now + EVENT_WINDOW,
        )
        .order_by(Event.starts_at, Event.id)
    )
    return [_finding(number, event, ZoneInfo(zone)) for number, event, zone in rows]


def _finding(number: WhatsappNumber, event: Event, zone: ZoneInfo) -> Finding:
    assert number.paused_at is not None
    return Finding(
        "number.paused_before_event",
        number.organization_id,
        "number",
        number.id,
        f"Sending from it is paused since {moment(number.paused_at, zone)}, and the {event.kind} "
        f"“{event.title}” begins {moment(event.starts_at, zone)}: none of its messages would go.",
        None,
    )
