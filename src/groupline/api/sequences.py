"""Sequences: which template goes out when, around the start of an event."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.api.name_lists import listing, name_cursor
from groupline.errors import InvalidInput
from groupline.events import sequence_queries as queries
from groupline.events import sequences
from groupline.events.schemas import StepView
from groupline.events.sequence_schemas import (
    MAX_DAYS,
    MAX_LABEL,
    MAX_LATE_MINUTES,
    MAX_SEQUENCE_NAME,
    MAX_STEPS,
    SequenceUpdate,
    SequenceView,
    StepInput,
)
from groupline.events.sequence_updates import update_events
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import (
    ApiModel,
    CountedListing,
    Cursor,
    Limit,
    problems,
    read_time,
)
from groupline.orgs.rules import Permission, Principal, check_timezone

router = APIRouter(prefix="/sequences", tags=["sequences"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]

_DAY_MINUTES = 24 * 60
_FARTHEST = timedelta(days=10 * 366)


class StepIn(ApiModel):
    """Either `offsetMinutes`, or `dayOffset` and `localTime`."""

    id: UUID | None = Field(
        None, description="Of a step that is there. Without it, one like it keeps its id"
    )
    template_id: UUID
    label: str | None = Field(None, max_length=MAX_LABEL, examples=["An hour before"])
    offset_minutes: int | None = Field(
        None,
        ge=-MAX_DAYS * _DAY_MINUTES,
        le=MAX_DAYS * _DAY_MINUTES,
        description="From the start; less than none is before it",
        examples=[-60],
    )
    day_offset: int | None = Field(
        None, ge=-MAX_DAYS, le=MAX_DAYS, description="From the day of the start"
    )
    local_time: time | None = Field(
        None, description="On a clock in the zone of the event: `10:00`"
    )
    late_minutes: int = Field(
        30, ge=1, le=MAX_LATE_MINUTES, description="For so long after its time it is still sent"
    )

    def input(self) -> StepInput:
        return StepInput(
            template_id=self.template_id,
            id=self.id,
            label=self.label,
            offset_minutes=self.offset_minutes,
            day_offset=self.day_offset,
            local_time=self.local_time,
            late_minutes=self.late_minutes,
        )


class StepOut(ApiModel):
    id: UUID
    position: int
    label: str | None
    when: str = Field(description="In words", examples=["1 hour before the start"])
    offset_minutes: int | None
    day_offset: int | None
    local_time: str | None = Field(examples=["10:00"])
    late_minutes: int
    template_id: UUID
    template_name: str

    @classmethod
    def of(cls, step: StepView) -> "StepOut":
        at = step.timing.local_time
        return cls(
            id=step.id,
            position=step.position,
            label=step.label,
            when=step.when,
            offset_minutes=step.timing.offset_minutes,
            day_offset=step.timing.day_offset,
            local_time=None if at is None else f"{at:%H:%M}",
            late_minutes=step.timing.late_minutes,
            template_id=step.template_id,
            template_name=step.template_name,
        )


class EventName(ApiModel):
    id: UUID
    title: str


class SequenceOut(ApiModel):
    id: UUID
    name: str
    steps: list[StepOut]
    events: list[EventName] = Field(description="Planned ones that use it")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: SequenceView) -> "SequenceOut":
        return cls(
            id=view.id,
            name=view.name,
            steps=[StepOut.of(step) for step in view.steps],
            events=[EventName(id=each.id, title=each.name) for each in view.events],
            created_at=view.created_at,
            updated_at=view.updated_at,
        )


class SequenceIn(ApiModel):
    name: str = Field(max_length=MAX_SEQUENCE_NAME, examples=["Workshop reminders"])
    steps: list[StepIn] = Field(default_factory=list, max_length=MAX_STEPS)


class NameIn(ApiModel):
    name: str = Field(max_length=MAX_SEQUENCE_NAME)


class StepsIn(ApiModel):
    steps: list[StepIn] = Field(max_length=MAX_STEPS)


class TimesIn(ApiModel):
    starts_at: datetime
    timezone: str | None = Field(None, description="Without it: the organization's zone")


class StepTimeOut(ApiModel):
    step_id: UUID
    title: str
    when: str
    due: datetime
    useful_until: datetime
    note: str | None = Field(description="What a change of the clocks does to it")


class TimesOut(ApiModel):
    timezone: str
    starts_at: datetime
    note: str | None = Field(description="What a change of the clocks does to the start")
    items: list[StepTimeOut] = Field(description="In the order of time")


class UpdateIn(ApiModel):
    dry_run: bool = True


class EventUpdateOut(ApiModel):
    event_id: UUID
    title: str
    added: int
    moved: int
    rewritten: int
    cancelled: int


class SequenceUpdateOut(ApiModel):
    events: list[EventUpdateOut]
    committed: bool

    @classmethod
    def of(cls, done: SequenceUpdate) -> "SequenceUpdateOut":
        return cls(
            committed=done.committed,
            events=[
                EventUpdateOut(
                    event_id=each.event.id,
                    title=each.event.name,
                    added=each.added,
                    moved=each.moved,
                    rewritten=each.rewritten,
                    cancelled=each.cancelled,
                )
                for each in done.events
            ],
        )


@router.get("", summary="List and search sequences")
async def index(
    runtime: CurrentRuntime,
    reader: Reader,
    q: Annotated[str, Query(max_length=200, description="Words of the name")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CountedListing[SequenceOut]:
    """By name."""
    after = name_cursor(cursor)
    async with runtime.database.reading() as session:
        page = await queries.list_sequences(
            session, reader.organization_id, query=q, after=after, limit=limit
        )
    return listing(page, SequenceOut.of)


@router.post(
    "",
    status_code=201,
    response_model=SequenceOut,
    summary="Create a sequence",
    responses=problems(409, 422),
)
async def create(
    runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, body: SequenceIn
) -> Response:
    async def effect(session: AsyncSession) -> SequenceOut:
        return SequenceOut.of(
            await sequences.create_sequence(
                session,
                operator.organization_id,
                body.name,
                _inputs(body.steps),
                actor=operator.actor,
                now=runtime.clock.now(),
            )
        )

    return await once.in_transaction(operator, effect, status=201)


@router.get("/{sequence_id}", summary="Show a sequence")
async def show(runtime: CurrentRuntime, reader: Reader, sequence_id: UUID) -> SequenceOut:
    async with runtime.database.reading() as session:
        view = await sequences.get_sequence(session, reader.organization_id, sequence_id)
    return SequenceOut.of(view)


@router.patch("/{sequence_id}", summary="Rename a sequence", responses=problems(422))
async def rename(
    runtime: CurrentRuntime, operator: Operator, sequence_id: UUID, body: NameIn
) -> SequenceOut:
    async with runtime.database.writing() as session:
        return SequenceOut.of(
            await sequences.rename_sequence(
                session,
                operator.organization_id,
                sequence_id,
                body.name,
                actor=operator.actor,
                now=runtime.clock.now(),
            )
        )


@router.put(
    "/{sequence_id}/steps", summary="Set all steps, in their order", responses=problems(422)
)
async def put_steps(
    runtime: CurrentRuntime, operator: Operator, sequence_id: UUID, body: StepsIn
) -> SequenceOut:
    """The same list again changes nothing. A step that is left out is removed; its messages stay.

    What is scheduled for events stays as it is until `update-pending` is called.
    """
    async with runtime.database.writing() as session:
        return SequenceOut.of(
            await sequences.change_steps(
                session,
                operator.organization_id,
                sequence_id,
                lambda _: _inputs(body.steps),
                actor=operator.actor,
                now=runtime.clock.now(),
            )
        )


@router.delete(
    "/{sequence_id}", status_code=204, summary="Remove a sequence", responses=problems(409)
)
async def remove(runtime: CurrentRuntime, operator: Operator, sequence_id: UUID) -> None:
    """Refused while a planned event uses it; the answer names them."""
    async with runtime.database.writing() as session:
        await sequences.remove_sequence(
            session,
            operator.organization_id,
            sequence_id,
            actor=operator.actor,
            now=runtime.clock.now(),
        )


@router.post(
    "/{sequence_id}/duplicate",
    status_code=201,
    response_model=SequenceOut,
    summary="Duplicate a sequence with its steps",
)
async def duplicate(
    runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, sequence_id: UUID
) -> Response:
    async def effect(session: AsyncSession) -> SequenceOut:
        return SequenceOut.of(
            await sequences.duplicate_sequence(
                session,
                operator.organization_id,
                sequence_id,
                actor=operator.actor,
                now=runtime.clock.now(),
            )
        )

    return await once.in_transaction(operator, effect, status=201)


@router.post("/{sequence_id}/preview", summary="Say when its steps would be due")
async def preview(
    runtime: CurrentRuntime, reader: Reader, sequence_id: UUID, body: TimesIn
) -> TimesOut:
    """For an event that starts then, across changes of the clocks."""
    name = body.timezone or reader.timezone
    check_timezone(name)
    zone, (starts_at, change) = ZoneInfo(name), read_time(body.starts_at, name)
    if abs(starts_at - runtime.clock.now()) > _FARTHEST:
        why = "The start is too far away."
        raise InvalidInput(why, fields={"startsAt": why})
    async with runtime.database.reading() as session:
        view = await sequences.get_sequence(session, reader.organization_id, sequence_id)
    return TimesOut(
        timezone=name,
        starts_at=starts_at.astimezone(zone),
        note=None if change is None else change.sentence,
        items=[
            StepTimeOut(
                step_id=each.step.id,
                title=each.step.title,
                when=each.step.when,
                due=each.due.astimezone(zone),
                useful_until=each.until.astimezone(zone),
                note=each.note,
            )
            for each in sequences.times_for(view, starts_at, zone)
        ],
    )


@router.post(
    "/{sequence_id}/update-pending",
    summary="Bring scheduled messages in line with the steps",
    responses=problems(409, 422),
)
async def update_pending(
    runtime: CurrentRuntime, operator: Operator, sequence_id: UUID, body: UpdateIn
) -> SequenceUpdateOut:
    """For the planned events that it was run for, all or none. The dry run counts.

    New steps are scheduled, changed ones moved and rewritten, messages of removed ones called off.
    """
    async with runtime.database.writing() as session:
        done = await update_events(
            session,
            operator.organization_id,
            sequence_id,
            dry_run=body.dry_run,
            actor=operator.actor,
            now=runtime.clock.now(),
        )
    return SequenceUpdateOut.of(done)


def _inputs(steps: Sequence[StepIn]) -> list[StepInput]:
    return [step.input() for step in steps]
