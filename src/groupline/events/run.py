"""Running a sequence: one message for each step and group, however often it is run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.group_queries import group_names
from groupline.events.queries import get_event, lock_event
from groupline.events.rules import check_planned, check_ready_to_run, times_of
from groupline.events.schemas import EventView, RunResult, StepView, Unresolved
from groupline.events.telling import tell
from groupline.events.texts import Texts, UnresolvedVariables
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES
from groupline.messages.refusals import content_refusal
from groupline.messages.rules import PRIORITY_EVENT
from groupline.messages.schemas import Draft, Enqueued, RefusedGroup
from groupline.messages.service import enqueue
from groupline.models import EventKind

Pair = tuple[UUID, UUID]
"""Of a step and a group."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run would do: pure, out of what was read."""

    event: EventView
    groups: Mapping[UUID, str | None]
    present: frozenset[Pair]
    called_off: frozenset[Pair]
    now: datetime

    def wanted(self) -> Iterator[tuple[StepView, UUID]]:
        """What is missing, and is not over."""
        for step in self.event.steps:
            due, _ = times_of(self.event, step)
            if due < self.now:
                continue
            for group_id in self.groups:
                pair = (step.id, group_id)
                if pair not in self.present and pair not in self.called_off:
                    yield step, group_id

    @property
    def result(self) -> RunResult:
        scheduled = sum(1 for _ in self.wanted())
        pairs = {(step.id, group) for step in self.event.steps for group in self.groups}
        already = len(pairs & self.present)
        called_off = len((pairs & self.called_off) - self.present)
        past = len(pairs) - scheduled - already - called_off
        return RunResult(scheduled, already, past, called_off)

    def unresolved(self) -> list[Unresolved]:
        texts = Texts(self.event)
        names: dict[UUID, list[str | None]] = {}
        for step, group_id in self.wanted():
            names.setdefault(step.id, []).append(self.groups[group_id])
        return [
            each
            for step in self.event.steps
            if step.id in names
            for each in (*texts.unresolved(step, names[step.id]), *_empty(texts, step, names))
        ]

    def drafts(self) -> list[Draft]:
        texts, event = Texts(self.event), self.event
        assert event.number_id is not None
        times = {step.id: times_of(event, step) for step in event.steps}
        return [
            Draft(
                number_id=event.number_id,
                group_id=group_id,
                content=texts.fill(step.content, self.groups[group_id]).text,
                scheduled_for=times[step.id][0],
                expires_at=times[step.id][1],
                priority=PRIORITY_EVENT,
                media_url=step.media_url,
                media_type=step.media_type,
                event_id=event.id,
                step_id=step.id,
            )
            for step, group_id in self.wanted()
        ]


def _empty(
    texts: Texts, step: StepView, names: Mapping[UUID, list[str | None]]
) -> Iterator[Unresolved]:
    """A text whose values leave nothing to read would be refused when it is due."""
    filled = texts.fill(step.content, names[step.id][0])
    if filled.unresolved:
        return
    refusal = content_refusal(filled.text, has_media=step.media_url is not None)
    if refusal is not None:
        yield Unresolved(
            text=refusal.code,
            sentence=refusal.sentence,
            step_id=step.id,
            step=step.title,
            template_id=step.template_id,
            template=step.template_name,
        )


_WRITTEN: Final = (MESSAGES.c.step_id, MESSAGES.c.group_id)


async def plan_run(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    *,
    kind: EventKind | None = None,
    include_cancelled: bool = False,
    now: datetime,
) -> Run:
    """What a run would do now."""
    event = await get_event(session, organization_id, event_id, now=now, kind=kind)
    groups = await group_names(session, organization_id, event_id)
    statement = (
        select(
            *_WRITTEN,
            func.count().filter(MESSAGES.c.status != "cancelled").label("present"),
            func.count()
            .filter(MESSAGES.c.status == "cancelled", MESSAGES.c.error_code.is_(None))
            .label("by_person"),
        )
        .where(
            MESSAGES.c.organization_id == organization_id,
            MESSAGES.c.event_id == event_id,
            MESSAGES.c.step_id.is_not(None),
        )
        .group_by(*_WRITTEN)
    )
    rows = (await session.execute(statement)).all()
    return Run(
        event=event,
        groups=groups,
        present=frozenset((row.step_id, row.group_id) for row in rows if row.present),
        called_off=frozenset(
            (row.step_id, row.group_id)
            for row in rows
            if row.by_person and not row.present and not include_cancelled
        ),
        now=now,
    )


async def run_sequence(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    *,
    kind: EventKind | None = None,
    include_cancelled: bool = False,
    actor: Actor,
    now: datetime,
) -> RunResult:
    """Writes what is missing, all or none, and says what was committed.

    Runs of one event go one after the other; the unique key of (event, step, group) holds whatever
    else writes. Raises ``UnresolvedVariables`` with every place where a value is missing.
    """
    await lock_event(session, organization_id, event_id, kind)
    run = await plan_run(
        session,
        organization_id,
        event_id,
        kind=kind,
        include_cancelled=include_cancelled,
        now=now,
    )
    check_planned(run.event.kind, run.event.status)
    check_ready_to_run(run.event)
    unresolved = run.unresolved()
    if unresolved:
        raise UnresolvedVariables(unresolved)
    written = await enqueue(session, organization_id, run.drafts(), actor=actor, now=now)
    result = _result(run.result, written)
    await _tell(session, run.event, result, actor, now)
    return result


def _result(planned: RunResult, written: Enqueued) -> RunResult:
    """What the database took, out of what was planned."""
    groups = {
        each.draft.group_id: RefusedGroup(
            each.draft.group_id, each.group_name, each.code, each.reason
        )
        for each in written.refused
    }
    return replace(
        planned,
        scheduled=len(written),
        already=planned.already + len(written.already),
        refused=len(written.refused),
        refused_groups=tuple(groups.values()),
    )


async def _tell(
    session: AsyncSession, event: EventView, result: RunResult, actor: Actor, now: datetime
) -> None:
    data: dict[str, Any] = {
        "scheduled": result.scheduled,
        "already": result.already,
        "skippedPast": result.skipped_past,
        "cancelled": result.cancelled,
        "refused": result.refused,
        "sequence": event.sequence_name,
    }
    await tell(
        session,
        "event.sequence_run",
        organization_id=event.organization_id,
        event_id=event.id,
        data=data,
        actor=actor,
        now=now,
    )
