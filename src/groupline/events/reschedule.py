"""Moving an event in time, and exactly its pending messages with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.events.pending import (
    PendingRow,
    cancel_pending,
    lock_pending,
    new_text,
    store_texts,
)
from groupline.events.queries import get_event, lock_event, used_steps
from groupline.events.rules import check_input, check_planned, clock_note, times_of
from groupline.events.schemas import EventInput, EventView, MovedStep, MovePlan, PastRule, StepView
from groupline.events.telling import tell
from groupline.events.texts import Texts
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES
from groupline.models import Event

Fate = Literal["moves", "stays", "sends_now", "cancelled"]


@dataclass(frozen=True, slots=True)
class NewTime:
    """Where a person moves an event to."""

    starts_at: datetime
    ends_at: datetime | None
    timezone: str

    @classmethod
    def of(
        cls,
        event: EventView,
        starts_at: datetime,
        *,
        ends_at: datetime | None = None,
        timezone: str | None = None,
    ) -> "NewTime":
        """Without an end the event stays as long as it was."""
        if ends_at is None and event.ends_at is not None:
            ends_at = starts_at + (event.ends_at - event.starts_at)
        return cls(starts_at, ends_at, timezone or event.timezone)

    def of_event(self, event: EventView) -> EventInput:
        """The event at this time."""
        return replace(
            event.facts, starts_at=self.starts_at, ends_at=self.ends_at, timezone=self.timezone
        )


async def reschedule(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    new: NewTime,
    *,
    past: PastRule = "cancel",
    dry_run: bool,
    actor: Actor,
    now: datetime,
) -> MovePlan:
    """Moves an event, and exactly its pending messages; the dry run only says what would happen.

    The same time as before brings the messages to the times that the steps have by now.
    """
    if not dry_run:
        await lock_event(session, organization_id, event_id)
    event = await get_event(session, organization_id, event_id, now=now)
    check_planned(event.kind, event.status)
    check_input(new.of_event(event), now)
    moved = replace(event, starts_at=new.starts_at, ends_at=new.ends_at, timezone=new.timezone)
    rows = await lock_pending(
        session,
        organization_id,
        event_id,
        MESSAGES.c.step_id.is_not(None),
        for_update=not dry_run,
    )
    steps = await used_steps(session, organization_id, [event_id])
    move = _Move(moved, steps, rows, past, now)
    if not dry_run:
        await _store_time(session, event, new, now)
        await move.carry_out(session, actor)
        await _tell(session, event, move, actor, now)
    return MovePlan(
        old_start=event.starts_at,
        new_start=new.starts_at,
        steps=tuple(move.plan()),
        untouched=sum(event.counts.values()) - len(rows),
        texts=len(move.new_texts),
        committed=not dry_run,
    )


class _Move:
    """What becomes of each of the locked messages."""

    def __init__(
        self,
        event: EventView,
        steps: Mapping[UUID, StepView],
        rows: Sequence[PendingRow],
        past: PastRule,
        now: datetime,
    ) -> None:
        self.event, self._steps, self._rows, self._now = event, steps, rows, now
        self._times = {step.id: times_of(event, step) for step in steps.values()}
        self._past = past
        texts = Texts(event)
        kept = [row for row in rows if self._fate(row) != "cancelled"]
        self.new_texts = {
            row.id: text
            for row in kept
            if row.step_id is not None
            and (text := new_text(texts, steps[row.step_id], row)) is not None
        }

    def _fate(self, row: PendingRow) -> Fate:
        assert row.step_id is not None
        due, expires = self._times[row.step_id]
        if (row.scheduled_for, row.expires_at) == (due, expires):
            return "stays"
        if due >= self._now:
            return "moves"
        if self._past == "send" and expires > self._now:
            return "sends_now"
        return "cancelled"

    def _with_fate(self, *fates: str) -> list[PendingRow]:
        return [row for row in self._rows if self._fate(row) in fates]

    def count(self, *fates: str) -> int:
        return len(self._with_fate(*fates))

    def plan(self) -> list[MovedStep]:
        by_step: dict[UUID, list[PendingRow]] = {}
        for row in self._rows:
            assert row.step_id is not None
            by_step.setdefault(row.step_id, []).append(row)
        found = [
            self._moved(self._steps[step_id], some)
            for step_id, rows in by_step.items()
            for some in _by_fate(rows, self._fate)
        ]
        return sorted(found, key=lambda step: (step.new_time, step.title))

    def _moved(self, step: StepView, rows: Sequence[PendingRow]) -> MovedStep:
        due, expires = self._times[step.id]
        return MovedStep(
            step_id=step.id,
            title=step.title,
            when=step.when,
            messages=len(rows),
            old_times=tuple(sorted({row.scheduled_for for row in rows})),
            new_time=due,
            new_expiry=expires,
            fate=self._fate(rows[0]),
            note=clock_note(self.event, step),
        )

    async def carry_out(self, session: AsyncSession, actor: Actor) -> None:
        event, now = self.event, self._now
        too_late = {row.step_id for row in self._with_fate("cancelled")}
        if too_late:
            await cancel_pending(
                session,
                event.organization_id,
                event.id,
                or_(*(self._not_in_place(step_id) for step_id in too_late)),
                reason="moved_into_past",
                actor=actor,
                now=now,
            )
        moving = self._with_fate("moves", "sends_now")
        if moving:
            await session.execute(
                update(MESSAGES)
                .where(MESSAGES.c.id == bindparam("message"))
                .values(
                    scheduled_for=bindparam("due"),
                    expires_at=bindparam("until"),
                    next_attempt_at=None,
                    updated_at=now,
                ),
                [self._new_times(row) for row in moving],
            )
        await store_texts(session, self._rows, self.new_texts, now)

    def _not_in_place(self, step_id: UUID | None) -> ColumnElement[bool]:
        assert step_id is not None
        due, expires = self._times[step_id]
        differs = or_(
            MESSAGES.c.scheduled_for != due, MESSAGES.c.expires_at.is_distinct_from(expires)
        )
        return and_(MESSAGES.c.step_id == step_id, differs)

    def _new_times(self, row: PendingRow) -> dict[str, Any]:
        assert row.step_id is not None
        due, expires = self._times[row.step_id]
        return {"message": row.id, "due": due, "until": expires}


def _by_fate(
    rows: Sequence[PendingRow], fate: Callable[[PendingRow], Fate]
) -> list[list[PendingRow]]:
    found: dict[Fate, list[PendingRow]] = {}
    for row in rows:
        found.setdefault(fate(row), []).append(row)
    return list(found.values())


async def _store_time(session: AsyncSession, event: EventView, new: NewTime, now: datetime) -> None:
    await session.execute(
        update(Event)
        .where(Event.organization_id == event.organization_id, Event.id == event.id)
        .values(starts_at=new.starts_at, ends_at=new.ends_at, timezone=new.timezone, updated_at=now)
        .execution_options(synchronize_session=False)
    )


async def _tell(
    session: AsyncSession, event: EventView, move: _Move, actor: Actor, now: datetime
) -> None:
    data = {
        "from": event.starts_at.isoformat(),
        "to": move.event.starts_at.isoformat(),
        "timezone": move.event.timezone,
        "messages": {
            "moved": move.count("moves", "sends_now"),
            "cancelled": move.count("cancelled"),
            "texts": len(move.new_texts),
        },
    }
    await tell(
        session,
        "event.rescheduled",
        organization_id=event.organization_id,
        event_id=event.id,
        data=data,
        actor=actor,
        now=now,
    )
    await announce(session, "messages", organization_id=event.organization_id, subject_id=None)
