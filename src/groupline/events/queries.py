"""All SQL that reads workshops and webinars."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import NotFound
from groupline.events.rules import readiness
from groupline.events.schemas import (
    EventCursor,
    EventFilter,
    EventView,
    StepView,
)
from groupline.events.steps import Timing
from groupline.events.texts import Texts
from groupline.messages.schemas import DisplayState
from groupline.models import (
    Event,
    EventGroup,
    EventKind,
    EventVariable,
    Organization,
    ScheduledWhatsappMessage,
    SequenceStep,
    Template,
    WhatsappNumber,
)
from groupline.models import Sequence as MessageSequence

message = ScheduledWhatsappMessage
AnySelect: TypeAlias = Select[*tuple[Any, ...]]

_EVENT: Final = (
    Event.id,
    Event.organization_id,
    Event.kind,
    Event.title,
    Event.starts_at,
    Event.ends_at,
    Event.timezone,
    Event.status,
    Event.number_id,
    WhatsappNumber.phone_number,
    WhatsappNumber.display_name.label("number_name"),
    Event.sequence_id,
    MessageSequence.name.label("sequence_name"),
    Event.created_by,
    Event.created_at,
    Event.updated_at,
    Organization.name.label("organization_name"),
)


def _events(organization_id: UUID) -> AnySelect:
    return (
        select(*_EVENT)
        .join(Organization, Organization.id == Event.organization_id)
        .outerjoin(
            WhatsappNumber,
            and_(
                WhatsappNumber.organization_id == Event.organization_id,
                WhatsappNumber.id == Event.number_id,
            ),
        )
        .outerjoin(
            MessageSequence,
            and_(
                MessageSequence.organization_id == Event.organization_id,
                MessageSequence.id == Event.sequence_id,
            ),
        )
        .where(Event.organization_id == organization_id)
    )


async def get_event(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    *,
    now: datetime,
    kind: EventKind | None = None,
) -> EventView:
    """With everything that a list shows. A webinar is not found among the workshops."""
    statement = _events(organization_id).where(Event.id == event_id)
    if kind is not None:
        statement = statement.where(Event.kind == kind)
    rows = (await session.execute(statement)).all()
    if not rows:
        raise NotFound(f"There is no such {kind or 'event'}.")
    return (await _views(session, organization_id, rows, now))[0]


async def get_events(
    session: AsyncSession, organization_id: UUID, event_ids: Collection[UUID], *, now: datetime
) -> list[EventView]:
    statement = _events(organization_id).where(Event.id.in_(event_ids))
    rows = (await session.execute(statement)).all()
    return await _views(session, organization_id, rows, now)


async def lock_event(
    session: AsyncSession, organization_id: UUID, event_id: UUID, kind: EventKind | None = None
) -> None:
    """What changes an event or writes its messages goes one after the other."""
    statement = select(Event.id).where(
        Event.organization_id == organization_id, Event.id == event_id
    )
    if kind is not None:
        statement = statement.where(Event.kind == kind)
    if await session.scalar(statement.with_for_update()) is None:
        raise NotFound(f"There is no such {kind or 'event'}.")


async def list_events(
    session: AsyncSession,
    organization_id: UUID,
    wanted: EventFilter,
    *,
    after: EventCursor | None,
    limit: int,
    now: datetime,
) -> list[EventView]:
    """A page: what comes next is listed soonest first, everything else latest first."""
    statement = _events(organization_id).where(Event.kind == wanted.kind, *_in(wanted, now))
    ascending = wanted.period == "upcoming"
    place = tuple_(Event.starts_at, Event.id)
    if after is not None:
        last = tuple_(
            literal(after.starts_at, Event.starts_at.type), literal(after.id, Event.id.type)
        )
        statement = statement.where(place > last if ascending else place < last)
    order = (Event.starts_at, Event.id) if ascending else (Event.starts_at.desc(), Event.id.desc())
    rows = (await session.execute(statement.order_by(*order).limit(limit))).all()
    return await _views(session, organization_id, rows, now)


async def count_events(
    session: AsyncSession, organization_id: UUID, wanted: EventFilter, now: datetime
) -> int:
    statement = select(func.count()).where(
        Event.organization_id == organization_id, Event.kind == wanted.kind, *_in(wanted, now)
    )
    return (await session.execute(statement)).scalar_one()


def _in(wanted: EventFilter, now: datetime) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    over = func.coalesce(Event.ends_at, Event.starts_at) < now
    match wanted.period:
        case "upcoming":
            conditions += [Event.status == "planned", ~over]
        case "past":
            conditions += [Event.status != "cancelled", (Event.status == "done") | over]
        case "cancelled":
            conditions.append(Event.status == "cancelled")
        case "all":
            pass
    if wanted.status is not None:
        conditions.append(Event.status == wanted.status)
    if wanted.query:
        conditions.append(Event.title.icontains(wanted.query, autoescape=True))
    return conditions


# --- rows into views ------------------------------------------------------------------------


async def _views(
    session: AsyncSession, organization_id: UUID, rows: Sequence[Any], now: datetime
) -> list[EventView]:
    """So many statements for one event as for a page of them."""
    ids = [row.id for row in rows]
    groups = await group_counts(session, organization_id, ids)
    steps = await steps_of(session, organization_id, {row.sequence_id for row in rows} - {None})
    values = await values_of(session, organization_id, ids)
    counts = await counts_by_state(session, organization_id, ids, now)
    views = [
        EventView(
            **row._mapping,  # the columns are the fields
            groups=groups.get(row.id, 0),
            steps=tuple(steps.get(row.sequence_id, ())),
            values=values.get(row.id, {}),
            counts=counts.get(row.id, {}),
        )
        for row in rows
    ]
    return [with_readiness(view) for view in views]


def with_readiness(view: EventView) -> EventView:
    return replace(view, readiness=readiness(view, Texts(view).lacking()))


async def group_counts(
    session: AsyncSession, organization_id: UUID, event_ids: Collection[UUID]
) -> dict[UUID, int]:
    statement = (
        select(EventGroup.event_id, func.count())
        .where(EventGroup.organization_id == organization_id, EventGroup.event_id.in_(event_ids))
        .group_by(EventGroup.event_id)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def steps_of(
    session: AsyncSession, organization_id: UUID, sequence_ids: Collection[UUID | None]
) -> dict[UUID, list[StepView]]:
    """The steps in use of each sequence, in their order."""
    statement = (
        _steps(organization_id)
        .where(SequenceStep.sequence_id.in_(sequence_ids), SequenceStep.removed_at.is_(None))
        .order_by(SequenceStep.sequence_id, SequenceStep.position, SequenceStep.id)
    )
    found: dict[UUID, list[StepView]] = defaultdict(list)
    for row in await session.execute(statement):
        found[row.sequence_id].append(_step(row))
    return found


async def used_steps(
    session: AsyncSession, organization_id: UUID, event_ids: Collection[UUID]
) -> dict[UUID, StepView]:
    """The steps that messages of the events were written for, also those that were removed."""
    of_messages = select(message.step_id).where(
        message.organization_id == organization_id,
        message.event_id.in_(event_ids),
        message.step_id.is_not(None),
    )
    statement = _steps(organization_id).where(SequenceStep.id.in_(of_messages))
    return {row.id: _step(row) for row in await session.execute(statement)}


def _steps(organization_id: UUID) -> AnySelect:
    return (
        select(
            SequenceStep.id,
            SequenceStep.sequence_id,
            SequenceStep.position,
            SequenceStep.label,
            SequenceStep.offset_minutes,
            SequenceStep.day_offset,
            SequenceStep.local_time,
            SequenceStep.late_minutes,
            SequenceStep.template_id,
            Template.name,
            Template.content,
            Template.media_url,
            Template.media_type,
        )
        .join(
            Template,
            and_(
                Template.organization_id == SequenceStep.organization_id,
                Template.id == SequenceStep.template_id,
            ),
        )
        .where(SequenceStep.organization_id == organization_id)
    )


def _step(row: Any) -> StepView:
    return StepView(
        id=row.id,
        sequence_id=row.sequence_id,
        position=row.position,
        label=row.label,
        timing=Timing(
            offset_minutes=row.offset_minutes,
            day_offset=row.day_offset,
            local_time=row.local_time,
            late_minutes=row.late_minutes,
        ),
        template_id=row.template_id,
        template_name=row.name,
        content=row.content,
        media_url=row.media_url,
        media_type=row.media_type,
    )


async def values_of(
    session: AsyncSession, organization_id: UUID, event_ids: Collection[UUID]
) -> dict[UUID, dict[str, str]]:
    statement = (
        select(EventVariable.event_id, EventVariable.key, EventVariable.value)
        .where(
            EventVariable.organization_id == organization_id,
            EventVariable.event_id.in_(event_ids),
        )
        .order_by(EventVariable.event_id, EventVariable.key)
    )
    found: dict[UUID, dict[str, str]] = defaultdict(dict)
    for row in await session.execute(statement):
        found[row.event_id][row.key] = row.value
    return found


def state_of(now: datetime) -> ColumnElement[str]:
    """The state that people see of a message."""
    return case(
        (and_(message.status == "pending", message.scheduled_for > now), "scheduled"),
        (message.status == "pending", "waiting"),
        else_=message.status,
    )


async def counts_by_state(
    session: AsyncSession, organization_id: UUID, event_ids: Collection[UUID], now: datetime
) -> dict[UUID, dict[DisplayState, int]]:
    state = state_of(now).label("state")
    statement = (
        select(message.event_id, state, func.count().label("messages"))
        .where(message.organization_id == organization_id, message.event_id.in_(event_ids))
        .group_by(message.event_id, state)
    )
    found: dict[UUID, dict[DisplayState, int]] = defaultdict(dict)
    for row in await session.execute(statement):
        found[row.event_id][row.state] = row.messages
    return found
