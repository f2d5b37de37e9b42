"""What the use cases of sequences take and give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

from groupline.errors import InvalidInput
from groupline.events.schemas import StepView
from groupline.events.steps import Timing
from groupline.events.template_schemas import NamedRow

MAX_SEQUENCE_NAME = 100
MAX_LABEL = 100
MAX_STEPS = 100
MAX_DAYS = 366
"""So far from the start a step may be."""
MAX_LATE_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class StepInput:
    """What a person says about a step: ``id`` of one that is there, and one of the two times."""

    template_id: UUID
    id: UUID | None = None
    label: str | None = None
    offset_minutes: int | None = None
    day_offset: int | None = None
    local_time: time | None = None
    late_minutes: int = 30

    @property
    def when(self) -> tuple[object, ...]:
        return (self.offset_minutes, self.day_offset, self.local_time)

    @property
    def timing(self) -> Timing:
        return Timing(
            offset_minutes=self.offset_minutes,
            day_offset=self.day_offset,
            local_time=self.local_time,
            late_minutes=self.late_minutes,
        )

    @classmethod
    def of(cls, step: StepView) -> StepInput:
        return cls(
            template_id=step.template_id,
            id=step.id,
            label=step.label,
            offset_minutes=step.timing.offset_minutes,
            day_offset=step.timing.day_offset,
            local_time=step.timing.local_time,
            late_minutes=step.timing.late_minutes,
        )


@dataclass(frozen=True, slots=True)
class SequenceView:
    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime
    steps: tuple[StepView, ...] = ()
    events: tuple[NamedRow, ...] = ()
    """Planned ones that use it."""

    @property
    def inputs(self) -> list[StepInput]:
        return [StepInput.of(step) for step in self.steps]


@dataclass(frozen=True, slots=True)
class StepTime:
    """When a step of a sequence would be due for an event."""

    step: StepView
    due: datetime
    until: datetime
    note: str | None
    """What a change of the clocks does to its time."""


@dataclass(frozen=True, slots=True)
class EventUpdate:
    """What bringing one event in line with its sequence does."""

    event: NamedRow
    added: int = 0
    moved: int = 0
    rewritten: int = 0
    cancelled: int = 0
    """Of steps that were removed, or whose time is over by now."""

    @property
    def total(self) -> int:
        return self.added + self.moved + self.rewritten + self.cancelled


@dataclass(frozen=True, slots=True)
class SequenceUpdate:
    events: tuple[EventUpdate, ...]
    committed: bool

    def count(self, what: str) -> int:
        return sum(int(getattr(each, what)) for each in self.events)


class StepRefused(InvalidInput):
    """A step cannot be as it was given."""

    def __init__(self, position: int, fields: Mapping[str, str]) -> None:
        sentences = " ".join(fields.values())
        super().__init__(
            f"Step {position + 1}: {sentences}",
            fields={f"steps[{position}].{name}": why for name, why in fields.items()},
        )
        self.position = position
        self.of_step = dict(fields)
