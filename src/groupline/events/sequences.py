"""Sequences: which template goes out when, around the start of an event."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Table, bindparam, delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.errors import Conflict, InvalidInput, NotFound
from groupline.events import sequence_queries as queries
from groupline.events import step_rules
from groupline.events.clock_changes import change_of_step
from groupline.events.names import name_of_copy, name_when_removed
from groupline.events.schemas import StepView
from groupline.events.sequence_schemas import (
    MAX_SEQUENCE_NAME,
    SequenceView,
    StepInput,
    StepRefused,
    StepTime,
)
from groupline.events.steps import due_at, useful_until
from groupline.events.template_queries import lock_templates
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import Sequence as MessageSequence
from groupline.models import SequenceStep
from groupline.text import clean_line

SEQUENCES: Final[Table] = MessageSequence.__table__  # type: ignore[assignment]
STEPS: Final[Table] = SequenceStep.__table__  # type: ignore[assignment]

ChangeSteps = Callable[[list[StepInput]], Sequence[StepInput]]


class SequenceInUse(Conflict):
    code, title = "sequence_in_use", "This sequence is in use"


async def get_sequence(
    session: AsyncSession, organization_id: UUID, sequence_id: UUID, *, for_update: bool = False
) -> SequenceView:
    view = await queries.get_sequence(session, organization_id, sequence_id, for_update=for_update)
    if view is None:
        raise NotFound("There is no such sequence.")
    return view


async def create_sequence(
    session: AsyncSession,
    organization_id: UUID,
    name: str,
    steps: Sequence[StepInput] = (),
    *,
    actor: Actor,
    now: datetime,
) -> SequenceView:
    name = await _free_name(session, organization_id, name)
    sequence_id = new_id()
    row = {"id": sequence_id, "organization_id": organization_id, "name": name}
    await _store(session, insert(SEQUENCES).values(**row, created_at=now, updated_at=now), name)
    wanted = [replace(step, id=None) for step in step_rules.checked(steps)]
    await _write_steps(session, organization_id, sequence_id, wanted, now=now)
    view = await get_sequence(session, organization_id, sequence_id)
    await _tell(session, organization_id, view, "sequence.created", actor=actor, now=now)
    return view


async def rename_sequence(
    session: AsyncSession,
    organization_id: UUID,
    sequence_id: UUID,
    name: str,
    *,
    actor: Actor,
    now: datetime,
) -> SequenceView:
    before = await get_sequence(session, organization_id, sequence_id, for_update=True)
    name = await _free_name(session, organization_id, name, but=sequence_id)
    if name == before.name:
        return before
    await _store(session, _update(organization_id, sequence_id, {"name": name}, now), name)
    view = await get_sequence(session, organization_id, sequence_id)
    await _tell(session, organization_id, view, "sequence.renamed", actor=actor, now=now)
    return view


async def change_steps(
    session: AsyncSession,
    organization_id: UUID,
    sequence_id: UUID,
    change: ChangeSteps,
    *,
    actor: Actor,
    now: datetime,
) -> SequenceView:
    """Makes the steps what ``change`` makes of the present ones, which nobody else changes then.

    A step that is still wanted keeps its id. One that is not keeps its messages. The same list
    again changes nothing. Messages that are scheduled stay as they are until the events are
    brought in line, see ``sequence_updates``.
    """
    before = await get_sequence(session, organization_id, sequence_id, for_update=True)
    wanted = step_rules.checked(change(before.inputs))
    plan = step_rules.plan(before.inputs, wanted)
    if list(plan.steps) == before.inputs:
        return before
    await _remove_steps(session, organization_id, plan.removed, now)
    await _write_steps(
        session, organization_id, sequence_id, plan.steps, stored=before.inputs, now=now
    )
    await session.execute(_update(organization_id, sequence_id, {}, now))
    view = await get_sequence(session, organization_id, sequence_id)
    await _tell(session, organization_id, view, "sequence.changed", actor=actor, now=now)
    return view


async def duplicate_sequence(
    session: AsyncSession, organization_id: UUID, sequence_id: UUID, *, actor: Actor, now: datetime
) -> SequenceView:
    original = await get_sequence(session, organization_id, sequence_id)
    taken = await queries.names_of_copies(session, organization_id, original.name[:50])
    name = name_of_copy(original.name, taken, most=MAX_SEQUENCE_NAME)
    return await create_sequence(
        session, organization_id, name, original.inputs, actor=actor, now=now
    )


async def remove_sequence(
    session: AsyncSession, organization_id: UUID, sequence_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Refused while a planned event uses it. What was sent with it keeps its story."""
    view = await get_sequence(session, organization_id, sequence_id, for_update=True)
    if view.events:
        raise _in_use(view)
    await _remove_steps(session, organization_id, [step.id for step in view.steps], now)
    if await queries.was_ever_used(session, organization_id, sequence_id):
        gone = {"name": name_when_removed(view.name, now.astimezone(UTC)), "removed_at": now}
        await session.execute(_update(organization_id, sequence_id, gone, now))
    else:
        await session.execute(
            delete(SEQUENCES).where(
                SEQUENCES.c.organization_id == organization_id, SEQUENCES.c.id == sequence_id
            )
        )
    await _tell(session, organization_id, view, "sequence.removed", actor=actor, now=now)


def times_for(view: SequenceView, starts_at: datetime, zone: ZoneInfo) -> list[StepTime]:
    """When each step would be due, in the order of time."""
    times = [_time_of(step, starts_at, zone) for step in view.steps]
    return sorted(times, key=lambda each: each.due)


def _time_of(step: StepView, starts_at: datetime, zone: ZoneInfo) -> StepTime:
    due = due_at(step.timing, starts_at, zone)
    change = change_of_step(step.timing, starts_at, zone)
    note = None if change is None else change.sentence
    return StepTime(step, due, useful_until(step.timing, due), note)


def _in_use(view: SequenceView) -> SequenceInUse:
    names = [f"“{each.name}”" for each in view.events]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return SequenceInUse(
        f"It is planned for {', '.join(names[:3])}{more}.",
        hint="Give them another sequence first.",
        state="in_use",
        events=[{"id": str(each.id), "title": each.name} for each in view.events],
    )


# --- names ----------------------------------------------------------------------------------


async def _free_name(
    session: AsyncSession, organization_id: UUID, name: str, but: UUID | None = None
) -> str:
    name = clean_line(name, field="name", what="name", most=MAX_SEQUENCE_NAME)
    if await queries.name_is_taken(session, organization_id, name, but=but):
        raise _name_taken(name)
    return name


def _name_taken(name: str) -> InvalidInput:
    why = f"There is a sequence called “{name}” already."
    return InvalidInput(why, fields={"name": why})


# --- writing --------------------------------------------------------------------------------


async def _remove_steps(
    session: AsyncSession, organization_id: UUID, step_ids: Sequence[UUID], now: datetime
) -> None:
    """Steps with messages stay behind, so that those can say what they were."""
    if not step_ids:
        return
    kept = await queries.steps_with_messages(session, organization_id, step_ids)
    gone = [step_id for step_id in step_ids if step_id not in kept]
    own = STEPS.c.organization_id == organization_id
    if kept:
        await session.execute(update(STEPS).where(own, STEPS.c.id.in_(kept)).values(removed_at=now))
    if gone:
        await session.execute(delete(STEPS).where(own, STEPS.c.id.in_(gone)))


async def _write_steps(
    session: AsyncSession,
    organization_id: UUID,
    sequence_id: UUID,
    wanted: Sequence[StepInput],
    *,
    stored: Sequence[StepInput] = (),
    now: datetime,
) -> None:
    await _need_templates(session, organization_id, wanted)
    before = {step.id: (place, step) for place, step in enumerate(stored)}
    own = {"organization_id": organization_id, "sequence_id": sequence_id, "created_at": now}
    fresh = []
    changed = []
    for place, step in enumerate(wanted):
        row = _columns(step) | {"position": place + 1}
        if step.id is None:
            fresh.append({"id": new_id(), **own, **row})
        elif before[step.id] != (place, step):
            changed.append({"step": step.id, **row})
    if fresh:
        await session.execute(insert(STEPS), fresh)
    if changed:
        names = [name for name in changed[0] if name != "step"]
        await session.execute(
            update(STEPS)
            .where(STEPS.c.organization_id == organization_id, STEPS.c.id == bindparam("step"))
            .values({name: bindparam(name) for name in names}),
            changed,
        )


async def _need_templates(
    session: AsyncSession, organization_id: UUID, wanted: Sequence[StepInput]
) -> None:
    known = await lock_templates(session, organization_id, {step.template_id for step in wanted})
    for position, step in enumerate(wanted):
        if step.template_id not in known:
            raise StepRefused(position, {"templateId": "There is no such template."})


def _columns(step: StepInput) -> dict[str, Any]:
    return {
        "template_id": step.template_id,
        "label": step.label,
        "offset_minutes": step.offset_minutes,
        "day_offset": step.day_offset,
        "local_time": step.local_time,
        "late_minutes": step.late_minutes,
    }


async def _store(session: AsyncSession, statement: Any, name: str) -> None:
    try:
        await session.execute(statement)
    except IntegrityError as error:  # somebody took the name since it was looked at
        raise _name_taken(name) from error


def _update(organization_id: UUID, sequence_id: UUID, values: dict[str, Any], now: datetime) -> Any:
    return (
        update(SEQUENCES)
        .where(SEQUENCES.c.organization_id == organization_id, SEQUENCES.c.id == sequence_id)
        .values(**values, updated_at=now)
    )


async def _tell(
    session: AsyncSession,
    organization_id: UUID,
    view: SequenceView,
    action: str,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    await journal.record(
        session,
        action=action,
        actor=actor,
        organization_id=organization_id,
        subject="sequence",
        subject_id=view.id,
        data={"name": view.name, "steps": [step.when for step in view.steps]},
        at=now,
    )
    await announce(session, "sequences", organization_id=organization_id, subject_id=view.id)
