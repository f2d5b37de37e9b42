"""The messages of an event as people follow them: by step, and within a step by group."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.queries import state_of, used_steps
from groupline.events.rules import clock_note, times_of
from groupline.events.schemas import EventView, StepView
from groupline.messages.queries import GOT_WITHOUT_A_NAME, get_views
from groupline.messages.schemas import DisplayState, MessageView
from groupline.models import ScheduledWhatsappMessage

message = ScheduledWhatsappMessage


@dataclass(frozen=True, slots=True)
class StepOnTimeline:
    """One step with what became of its messages; without a step: what was sent by hand."""

    step: StepView | None
    at: datetime
    """When its messages are due; where they were moved apart, the first of them. Those that were
    cancelled keep their times when an event moves, and count only where there are no others."""
    is_in_use: bool
    """A step of the event's sequence. Others were removed, or are of an earlier sequence."""
    counts: Mapping[DisplayState, int]
    delivered: int
    read: int
    note: str | None = None
    """What a change of the clocks does to its time."""

    @property
    def messages(self) -> int:
        return sum(self.counts.values())

    @property
    def key(self) -> str:
        return "by-hand" if self.step is None else str(self.step.id)

    @property
    def title(self) -> str:
        return "Sent by hand" if self.step is None else self.step.title


@dataclass(slots=True)
class _Gathered:
    counts: dict[DisplayState, int] = field(default_factory=dict)
    due: list[datetime] = field(default_factory=list)
    cancelled: list[datetime] = field(default_factory=list)
    delivered: int = 0
    read: int = 0

    @property
    def first(self) -> datetime:
        return min(self.due or self.cancelled)


async def timeline(session: AsyncSession, event: EventView, now: datetime) -> list[StepOnTimeline]:
    """All steps of the sequence, scheduled or not, and all that messages were written for."""
    gathered = await _gather(session, event, now)
    used = await used_steps(session, event.organization_id, [event.id])
    steps = {step.id: step for step in event.steps}
    found = [
        _on_timeline(event, step, gathered.get(step.id), is_in_use=step.id in steps)
        for step in (used | steps).values()
    ]
    if None in gathered:
        by_hand = gathered[None]
        found.append(
            StepOnTimeline(
                None, by_hand.first, True, by_hand.counts, by_hand.delivered, by_hand.read
            )
        )
    return sorted(found, key=lambda each: (each.at, each.title))


async def _gather(
    session: AsyncSession, event: EventView, now: datetime
) -> dict[UUID | None, _Gathered]:
    state = state_of(now).label("state")
    statement = (
        select(
            message.step_id,
            state,
            func.count().label("messages"),
            func.min(message.scheduled_for).label("first"),
            func.sum(message.delivered_count + GOT_WITHOUT_A_NAME).label("got"),
            func.sum(message.read_count + message.anonymous_read_count).label("read"),
        )
        .where(message.organization_id == event.organization_id, message.event_id == event.id)
        .group_by(message.step_id, state)
    )
    found: dict[UUID | None, _Gathered] = {}
    for row in await session.execute(statement):
        of_step = found.setdefault(row.step_id, _Gathered())
        of_step.counts[row.state] = row.messages
        (of_step.cancelled if row.state == "cancelled" else of_step.due).append(row.first)
        of_step.delivered += int(row.got)
        of_step.read += int(row.read)
    return found


def _on_timeline(
    event: EventView, step: StepView, gathered: _Gathered | None, *, is_in_use: bool
) -> StepOnTimeline:
    due, _ = times_of(event, step)
    note = clock_note(event, step) if is_in_use else None
    if gathered is None:
        return StepOnTimeline(step, due, is_in_use, {}, 0, 0, note)
    return StepOnTimeline(
        step, gathered.first, is_in_use, gathered.counts, gathered.delivered, gathered.read, note
    )


async def step_messages(
    session: AsyncSession,
    event: EventView,
    step_id: UUID | None,
    *,
    after: UUID | None,
    limit: int,
) -> list[MessageView]:
    """A page of the messages of one step, or of what was sent by hand, as they were written."""
    ids = (
        select(message.id)
        .where(
            message.organization_id == event.organization_id,
            message.event_id == event.id,
            message.step_id == step_id,
        )
        .order_by(message.id)
        .limit(limit)
    )
    if after is not None:
        ids = ids.where(message.id > after)
    found = (await session.scalars(ids)).all()
    return await get_views(session, event.organization_id, found) if found else []
