"""All SQL that reads sequences. Their steps are read where runs read them."""

from collections import defaultdict
from collections.abc import Collection
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.name_pages import NameCursor, NamePage, page_by_name, words_of
from groupline.events.queries import steps_of
from groupline.events.sequence_schemas import SequenceView
from groupline.events.template_schemas import NamedRow
from groupline.models import Event, ScheduledWhatsappMessage, SequenceStep
from groupline.models import Sequence as MessageSequence

message = ScheduledWhatsappMessage

_BY_NAME: Final = (func.lower(MessageSequence.name), MessageSequence.id)
_COLUMNS: Final = (
    MessageSequence.id,
    MessageSequence.name,
    MessageSequence.created_at,
    MessageSequence.updated_at,
)


def _kept(organization_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        MessageSequence.organization_id == organization_id,
        MessageSequence.removed_at.is_(None),
    )


async def list_sequences(
    session: AsyncSession,
    organization_id: UUID,
    *,
    query: str = "",
    after: NameCursor | None = None,
    limit: int = 50,
) -> NamePage[SequenceView]:
    """By name, with their steps."""
    matching = select(*_COLUMNS).where(
        *_kept(organization_id),
        *(MessageSequence.name.icontains(word, autoescape=True) for word in words_of(query)),
    )
    views = partial(_views, session, organization_id)
    return await page_by_name(session, matching, _BY_NAME, views, after=after, limit=limit)


async def get_sequence(
    session: AsyncSession, organization_id: UUID, sequence_id: UUID, *, for_update: bool = False
) -> SequenceView | None:
    statement = select(*_COLUMNS).where(*_kept(organization_id), MessageSequence.id == sequence_id)
    if for_update:
        statement = statement.with_for_update()
    views = await _views(session, organization_id, (await session.execute(statement)).all())
    return views[0] if views else None


async def name_is_taken(
    session: AsyncSession, organization_id: UUID, name: str, *, but: UUID | None
) -> bool:
    statement = select(
        exists().where(
            MessageSequence.organization_id == organization_id,
            MessageSequence.name == name,
            MessageSequence.id != but,
        )
    )
    return (await session.execute(statement)).scalar_one()


async def names_of_copies(
    session: AsyncSession, organization_id: UUID, stem: str
) -> frozenset[str]:
    statement = select(MessageSequence.name).where(
        MessageSequence.organization_id == organization_id,
        MessageSequence.name.startswith(stem, autoescape=True),
    )
    return frozenset(await session.scalars(statement))


async def steps_with_messages(
    session: AsyncSession, organization_id: UUID, step_ids: Collection[UUID]
) -> frozenset[UUID]:
    statement = (
        select(message.step_id)
        .distinct()
        .where(message.organization_id == organization_id, message.step_id.in_(step_ids))
    )
    return frozenset(each for each in await session.scalars(statement) if each is not None)


async def was_ever_used(session: AsyncSession, organization_id: UUID, sequence_id: UUID) -> bool:
    """By an event, whatever became of it, or by messages, for which a step stayed behind."""
    of_event = exists().where(
        Event.organization_id == organization_id, Event.sequence_id == sequence_id
    )
    of_step = exists().where(
        SequenceStep.organization_id == organization_id, SequenceStep.sequence_id == sequence_id
    )
    return (await session.execute(select(or_(of_event, of_step)))).scalar_one()


async def run_events(session: AsyncSession, organization_id: UUID, sequence_id: UUID) -> list[UUID]:
    """Planned events that it was run for."""
    statement = (
        select(Event.id)
        .where(
            Event.organization_id == organization_id,
            Event.sequence_id == sequence_id,
            Event.status == "planned",
            exists().where(
                message.organization_id == organization_id,
                message.event_id == Event.id,
                message.step_id.is_not(None),
                message.status != "cancelled",
            ),
        )
        .order_by(Event.id)
    )
    return list(await session.scalars(statement))


async def removed_steps(
    session: AsyncSession, organization_id: UUID, sequence_id: UUID
) -> list[UUID]:
    statement = select(SequenceStep.id).where(
        SequenceStep.organization_id == organization_id,
        SequenceStep.sequence_id == sequence_id,
        SequenceStep.removed_at.is_not(None),
    )
    return list(await session.scalars(statement))


async def _views(
    session: AsyncSession, organization_id: UUID, rows: Collection[Any]
) -> tuple[SequenceView, ...]:
    ids = [row.id for row in rows]
    steps = await steps_of(session, organization_id, ids)
    events = await _planned_events(session, organization_id, ids)
    return tuple(
        SequenceView(
            id=row.id,
            name=row.name,
            created_at=row.created_at,
            updated_at=row.updated_at,
            steps=tuple(steps.get(row.id, ())),
            events=tuple(events[row.id]),
        )
        for row in rows
    )


async def _planned_events(
    session: AsyncSession, organization_id: UUID, sequence_ids: Collection[UUID]
) -> dict[UUID, list[NamedRow]]:
    statement = (
        select(Event.sequence_id, Event.id, Event.title)
        .where(
            Event.organization_id == organization_id,
            Event.sequence_id.in_(sequence_ids),
            Event.status == "planned",
        )
        .order_by(Event.starts_at, Event.id)
    )
    found: dict[UUID, list[NamedRow]] = defaultdict(list)
    for row in await session.execute(statement):
        if row.sequence_id is not None:
            found[row.sequence_id].append(NamedRow(row.id, row.title))
    return found
