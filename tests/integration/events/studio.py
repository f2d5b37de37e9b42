"""A workshop at 19:00 in Kolkata, the day after tomorrow, with all that it needs."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.cast import Cast
from tests.support.factories import (
    make_event,
    make_event_group,
    make_group,
    make_membership,
    make_number,
    make_sequence,
    make_session,
    make_step,
    make_template,
)

from groupline.db import Database
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import JournalEntry, ScheduledWhatsappMessage

PERSON: Final = Actor("user", "Somebody", new_id())
STARTS: Final = datetime(2026, 3, 4, 13, 30, tzinfo=UTC)
"""19:00 in Kolkata; the clock of the tests stands at 12:00 UTC two days before."""

STEPS: Final[tuple[dict[str, Any], ...]] = (
    {"day_offset": -1, "local_time": time(10), "label": "The day before"},
    {"offset_minutes": -60, "label": "An hour before"},
    {"offset_minutes": -10, "label": "Ten minutes before"},
    {"offset_minutes": 0, "label": "Start", "late_minutes": 10},
    {"day_offset": 1, "local_time": time(9), "label": "The day after"},
)
DUE: Final = {
    "The day before": datetime(2026, 3, 3, 4, 30, tzinfo=UTC),
    "An hour before": datetime(2026, 3, 4, 12, 30, tzinfo=UTC),
    "Ten minutes before": datetime(2026, 3, 4, 13, 20, tzinfo=UTC),
    "Start": datetime(2026, 3, 4, 13, 30, tzinfo=UTC),
    "The day after": datetime(2026, 3, 5, 3, 30, tzinfo=UTC),
}


@dataclass(frozen=True, slots=True)
class Studio:
    organization_id: UUID
    number_id: UUID
    sequence_id: UUID
    template_id: UUID
    step_ids: dict[str, UUID]
    event_id: UUID
    group_ids: tuple[UUID, ...]


async def make_studio(session: AsyncSession, cast: Cast, *, groups: int = 3) -> Studio:
    inside: dict[str, Any] = {"organization_id": cast.organization_id}
    number = await make_number(session, **inside)
    await make_session(session, **inside, number_id=number.id)
    sequence = await make_sequence(session, **inside, name="Reminders")
    template = await make_template(
        session, **inside, name="Reminder", content="{event_title} at {event_time}: {zoom_link}"
    )
    steps = {}
    for position, fields in enumerate(STEPS, 1):
        step = await make_step(
            session,
            **inside,
            sequence_id=sequence.id,
            template_id=template.id,
            position=position,
            **{"late_minutes": 30, **fields},
        )
        steps[fields["label"]] = step.id
    event = await make_event(
        session,
        **inside,
        title="Pottery",
        starts_at=STARTS,
        ends_at=None,
        timezone="Asia/Kolkata",
        number_id=number.id,
        sequence_id=sequence.id,
    )
    group_ids = []
    for n in range(groups):
        group_id = await make_member_group(session, cast.organization_id, number.id, f"Group {n}")
        await make_event_group(session, **inside, event_id=event.id, group_id=group_id)
        group_ids.append(group_id)
    return Studio(
        cast.organization_id,
        number.id,
        sequence.id,
        template.id,
        steps,
        event.id,
        tuple(group_ids),
    )


async def make_member_group(
    session: AsyncSession, organization_id: UUID, number_id: UUID, name: str, **facts: Any
) -> UUID:
    group = await make_group(session, organization_id=organization_id, group_name=name, **facts)
    await make_membership(
        session, organization_id=organization_id, number_id=number_id, group_id=group.id
    )
    return group.id


async def messages_of(database: Database, event_id: UUID) -> list[ScheduledWhatsappMessage]:
    message = ScheduledWhatsappMessage
    async with database.reading() as session:
        statement = (
            select(message)
            .where(message.event_id == event_id)
            .order_by(message.scheduled_for, message.id)
        )
        return list(await session.scalars(statement))


async def journal_of(database: Database, event_id: UUID) -> list[JournalEntry]:
    async with database.reading() as session:
        statement = (
            select(JournalEntry)
            .where(JournalEntry.subject_id == event_id)
            .order_by(JournalEntry.position)
        )
        return list(await session.scalars(statement))
