"""What it means for the work of a number that it is not connected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import Event, ScheduledWhatsappMessage

IMPACT_WINDOW: Final = timedelta(hours=2)
EVENT_WINDOW: Final = timedelta(days=1)
"""An event that begins within it is soon."""


@dataclass(frozen=True, slots=True)
class NextEvent:
    id: UUID
    kind: str
    title: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """Messages of a number that have not left."""

    messages: int = 0
    """Those that wait, or fall due within the window."""
    coming: int = 0
    """Of those: the ones that are not due yet."""


@dataclass(frozen=True, slots=True)
class Impact:
    messages_due: int
    """Messages that wait, or fall due within the window."""
    next_message_at: datetime | None
    """When the first pending one is (or was) to leave."""
    next_event: NextEvent | None

    def as_json(self) -> Mapping[str, object]:
        """For the journal, where alerts read it."""
        event = self.next_event
        return {
            "messagesDue": self.messages_due,
            "withinHours": IMPACT_WINDOW // timedelta(hours=1),
            "nextMessageAt": self.next_message_at.isoformat() if self.next_message_at else None,
            "nextEvent": None
            if event is None
            else {
                "id": str(event.id),
                "kind": event.kind,
                "title": event.title,
                "startsAt": event.starts_at.isoformat(),
            },
        }


async def impact_of(
    session: AsyncSession, organization_id: UUID, number_id: UUID, now: datetime
) -> Impact:
    due = await messages_due(session, organization_id, now, number_id)
    message = ScheduledWhatsappMessage
    first = await session.scalar(
        select(func.min(message.scheduled_for)).where(
            message.organization_id == organization_id,
            message.number_id == number_id,
            message.status == "pending",
        )
    )
    next_event = await _next_event(session, organization_id, number_id, now)
    return Impact(due.get(number_id, Due()).messages, first, next_event)


async def messages_due(
    session: AsyncSession, organization_id: UUID, now: datetime, number_id: UUID | None = None
) -> dict[UUID, Due]:
    """Of each number that has any."""
    message = ScheduledWhatsappMessage
    statement = (
        select(message.number_id, func.count(), func.count().filter(message.scheduled_for > now))
        .where(
            message.organization_id == organization_id,
            message.status == "pending",
            message.scheduled_for <= now + IMPACT_WINDOW,
        )
        .group_by(message.number_id)
    )
    if number_id is not None:
        statement = statement.where(message.number_id == number_id)
    return {row[0]: Due(row[1], row[2]) for row in await session.execute(statement)}


_Columns = tuple[UUID | None, UUID, str, str, datetime]
_EventRow = Row[*_Columns]


async def events_soon(
    session: AsyncSession, organization_id: UUID, now: datetime
) -> dict[UUID, NextEvent]:
    """The next event of each number, where it begins within a day."""
    statement = _to_come(organization_id, now).where(Event.starts_at <= now + EVENT_WINDOW)
    found: dict[UUID, NextEvent] = {}
    for row in await session.execute(statement):
        if row.number_id is not None:
            found.setdefault(row.number_id, _event(row))
    return found


async def _next_event(
    session: AsyncSession, organization_id: UUID, number_id: UUID, now: datetime
) -> NextEvent | None:
    """The next one to begin; what runs already is told by its messages."""
    statement = _to_come(organization_id, now).where(Event.number_id == number_id).limit(1)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _event(row)


def _event(row: _EventRow) -> NextEvent:
    return NextEvent(row.id, row.kind, row.title, row.starts_at)


def _to_come(organization_id: UUID, now: datetime) -> Select[*_Columns]:
    return (
        select(Event.number_id, Event.id, Event.kind, Event.title, Event.starts_at)
        .where(
            Event.organization_id == organization_id,
            Event.status == "planned",
            Event.starts_at > now,
        )
        .order_by(Event.starts_at, Event.id)
    )
