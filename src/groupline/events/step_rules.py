"""What a step may be, and how a list of steps becomes another one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from groupline.errors import InvalidInput
from groupline.events.sequence_schemas import (
    MAX_DAYS,
    MAX_LABEL,
    MAX_LATE_MINUTES,
    MAX_STEPS,
    StepInput,
    StepRefused,
)
from groupline.events.steps import in_words
from groupline.text import clean_line, is_blank

_DAY: Final = 24 * 60
_UNITS: Final = {"d": _DAY, "h": 60, "m": 1, "w": 7 * _DAY}
_PART: Final = re.compile(
    r"(\d{1,6})\s*(weeks?|w|days?|d|hours?|hrs?|hr|h|minutes?|mins?|min|m)\b[\s,]*(?:and\s+)?"
)
_SIDE: Final = re.compile(r"(before|after)(?:\s+(?:the\s+)?start)?")
_AT_START: Final = frozenset({"at the start", "at start", "start", "0"})


@dataclass(frozen=True, slots=True)
class Plan:
    """How the stored steps become the wanted ones."""

    steps: tuple[StepInput, ...]
    """In their order; those that are new have no id."""
    removed: tuple[UUID, ...]


def parse_offset(text: str) -> int:
    """“1 day 2 h before” in minutes, which are less than none before the start.

    Raises ``InvalidInput`` with how it is written.
    """
    words = " ".join(text.lower().split())
    if words in _AT_START:
        return 0
    minutes, at = 0, 0
    while (part := _PART.match(words, at)) is not None:
        minutes += int(part[1]) * _UNITS[part[2][0]]
        at = part.end()
    side = _SIDE.fullmatch(words, at)
    if at == 0 or side is None:
        why = "Write it like “1 day 2 hours before”, “10 minutes after” or “at the start”."
        raise InvalidInput(why, fields={"offset": why})
    return -minutes if side[1] == "before" else minutes


def checked(steps: Sequence[StepInput]) -> list[StepInput]:
    """As they are stored. Raises ``InvalidInput`` for the first that cannot be."""
    if len(steps) > MAX_STEPS:
        why = f"At most {MAX_STEPS} steps."
        raise InvalidInput(why, fields={"steps": why})
    found = [_checked(position, step) for position, step in enumerate(steps)]
    _check_distinct(found)
    return found


def _check_distinct(steps: Sequence[StepInput]) -> None:
    first: dict[tuple[UUID, tuple[object, ...]], int] = {}
    for position, step in enumerate(steps):
        earlier = first.setdefault((step.template_id, step.when), position)
        if earlier != position:
            label = steps[earlier].label
            name = f"step {earlier + 1}, “{label}”" if label else f"step {earlier + 1}"
            why = (
                f"It is the same as {name}: the same template, {in_words(step.timing)}. "
                "Every group would get it twice."
            )
            raise StepRefused(position, {"templateId": why})


def _checked(position: int, step: StepInput) -> StepInput:
    fields = _timing_problems(step)
    if not 1 <= step.late_minutes <= MAX_LATE_MINUTES:
        fields["lateMinutes"] = f"Between 1 and {MAX_LATE_MINUTES:,} minutes."
    label = step.label
    try:
        if label is not None:
            label = clean_line(label, field="label", what="label", most=MAX_LABEL, least=0)
    except InvalidInput as error:
        fields["label"] = error.detail
    if fields:
        raise StepRefused(position, fields)
    return replace(step, label=label if label and not is_blank(label) else None)


def _timing_problems(step: StepInput) -> dict[str, str]:
    on_a_day = (step.day_offset is not None, step.local_time is not None)
    if step.offset_minutes is not None:
        if any(on_a_day):
            return {"offsetMinutes": "Either minutes from the start, or a day and a time of day."}
        if abs(step.offset_minutes) > MAX_DAYS * _DAY:
            return {"offsetMinutes": f"At most {MAX_DAYS} days from the start."}
        return {}
    if not all(on_a_day):
        missing = "localTime" if on_a_day[0] else "dayOffset" if on_a_day[1] else "offsetMinutes"
        return {missing: "Say when: minutes from the start, or a day and a time of day."}
    return _clock_problems(step)


def _clock_problems(step: StepInput) -> dict[str, str]:
    assert step.day_offset is not None
    assert step.local_time is not None
    fields = {}
    if abs(step.day_offset) > MAX_DAYS:
        fields["dayOffset"] = f"At most {MAX_DAYS} days from the start."
    if step.local_time.tzinfo is not None:
        fields["localTime"] = "A time of day without a zone: the zone is that of the event."
    elif step.local_time.second or step.local_time.microsecond:
        fields["localTime"] = "Hours and minutes."
    return fields


def plan(stored: Sequence[StepInput], wanted: Sequence[StepInput]) -> Plan:
    """Who names no id and wants what is there means what is there: the same list again changes
    nothing."""
    free = {step.id: step for step in stored if step.id is not None}
    for position, step in enumerate(wanted):
        if step.id is not None and free.pop(step.id, None) is None:
            raise StepRefused(position, {"id": "There is no such step in this sequence."})
    steps = []
    for step in wanted:
        known = step.id or _same_as(step, free)
        if known is not None:
            free.pop(known, None)
        steps.append(replace(step, id=known))
    return Plan(tuple(steps), tuple(free))


def _same_as(step: StepInput, free: Mapping[UUID, StepInput]) -> UUID | None:
    said = (step.template_id, step.when)
    same = (step_id for step_id, each in free.items() if (each.template_id, each.when) == said)
    return next(same, None)


def moved(steps: Sequence[StepInput], step_id: UUID, by: int) -> list[StepInput]:
    """One step up or down; at the ends it stays."""
    order = list(steps)
    at = next((n for n, step in enumerate(order) if step.id == step_id), None)
    if at is not None:
        order.insert(min(max(at + by, 0), len(order) - 1), order.pop(at))
    return order


def ordered(steps: Sequence[StepInput], ids: Sequence[UUID]) -> list[StepInput]:
    """In the order of the ids. What they do not name, because somebody else has just added it,
    comes last."""
    place = {step_id: n for n, step_id in enumerate(ids)}
    return sorted(steps, key=lambda step: place.get(step.id or UUID(int=0), len(place)))
