"""When the messages of an event will have left: its number sends one at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final
from uuid import UUID

JITTER: Final = 1.05
"""Pauses are stretched by up to a tenth, by half of that on average."""
REQUEST: Final = timedelta(seconds=0.5)
"""What a message takes where there is no pause."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one number that are due together."""

    due: datetime
    messages: int
    useful_until: datetime | None = None
    step_id: UUID | None = None
    """Of the event that is asked about; ``None``: something else that the number sends."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one step."""

    step_id: UUID
    begins: datetime
    ends: datetime
    messages: int
    too_late: int
    """How many will not have left while they are useful."""
    runs_into: UUID | None
    """The step that is due before this one has finished."""

    @property
    def takes(self) -> timedelta:
        return self.ends - self.begins

    @property
    def minutes(self) -> int:
        return max(1, ceil(self.takes / timedelta(minutes=1)))


def estimates(batches: Iterable[Batch], pace_seconds: float) -> list[Estimate]:
    """What is due first goes first; everything else of the number waits for it."""
    each = max(REQUEST, timedelta(seconds=pace_seconds * JITTER))
    free: datetime | None = None
    found: list[Estimate] = []
    ordered = sorted(batches, key=lambda batch: (batch.due, batch.step_id is not None))
    for batch in ordered:
        begins = batch.due if free is None else max(batch.due, free)
        free = begins + each * batch.messages
        if batch.step_id is not None:
            found.append(
                Estimate(
                    batch.step_id,
                    batch.due,
                    free,
                    batch.messages,
                    _too_late(batch, begins, each),
                    _next_step(batch, ordered, free),
                )
            )
    return found


def _too_late(batch: Batch, begins: datetime, each: timedelta) -> int:
    if batch.useful_until is None:
        return 0
    in_time = max(0, ceil((batch.useful_until - begins) / each))
    return max(0, batch.messages - in_time)


def _next_step(batch: Batch, ordered: Sequence[Batch], ends: datetime) -> UUID | None:
    following = (
        each.step_id
        for each in ordered
        if each.step_id not in (None, batch.step_id) and batch.due < each.due < ends
    )
    return next(following, None)
