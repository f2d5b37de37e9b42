"""What an event lacks, and what is allowed in which state. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, assert_never

from groupline.errors import Conflict, InvalidInput
from groupline.events.clock_changes import change_of_step
from groupline.events.schemas import (
    MAX_TITLE,
    EventInput,
    EventView,
    ReadinessStep,
    StepView,
    Unresolved,
)
from groupline.events.steps import due_at, useful_until
from groupline.models import EventKind, EventStatus
from groupline.orgs.rules import check_all, check_timezone
from groupline.text import clean_line

_EARLIEST: Final = timedelta(days=366)
_FARTHEST: Final = timedelta(days=2 * 366)
_LONGEST: Final = timedelta(days=366)


def word(kind: EventKind) -> str:
    """As it stands in a sentence."""
    match kind:
        case "workshop":
            return "workshop"
        case "webinar":
            return "webinar"
        case _:
            assert_never(kind)


class NotReady(Conflict):
    """The event lacks what a run needs; the answer names it."""

    code, title = "event_not_ready", "The event is not ready"


def check_input(wanted: EventInput, now: datetime) -> EventInput:
    """Names every field that is wrong. The title comes back as it is stored."""
    title = ""

    def clean() -> None:
        nonlocal title
        title = clean_line(wanted.title, field="title", what="title", most=MAX_TITLE)

    check_all(
        clean,
        lambda: check_timezone(wanted.timezone),
        lambda: _check_start(wanted.starts_at, now),
        lambda: _check_end(wanted),
    )
    return EventInput(
        title=title,
        starts_at=wanted.starts_at,
        timezone=wanted.timezone,
        ends_at=wanted.ends_at,
        number_id=wanted.number_id,
        sequence_id=wanted.sequence_id,
    )


def _check_start(starts_at: datetime, now: datetime) -> None:
    # Compared before it is converted: near the year 9999 there is no UTC for some offsets.
    if starts_at - now > _FARTHEST:
        raise _wrong("startsAt", "The start is more than two years ahead.")
    if now - starts_at > _EARLIEST:
        raise _wrong("startsAt", "The start is more than a year ago.")


def _check_end(wanted: EventInput) -> None:
    if wanted.ends_at is None:
        return
    length = wanted.ends_at - wanted.starts_at
    if length <= timedelta(0):
        raise _wrong("endsAt", "The end must be after the start.")
    if length > _LONGEST:
        raise _wrong("endsAt", "An event takes at most a year.")


def check_planned(kind: EventKind, status: EventStatus) -> None:
    match status:
        case "planned":
            return
        case "cancelled":
            raise Conflict(
                f"This {word(kind)} was cancelled.",
                hint="Duplicate it to plan it anew.",
                state=status,
            )
        case "done":
            raise Conflict(
                f"This {word(kind)} is done.",
                hint="Duplicate it to plan the next one.",
                state=status,
            )
        case _:
            assert_never(status)


def check_ready_to_run(event: EventView) -> None:
    """What a run cannot do without. Missing values are told with their names, elsewhere."""
    missing = [step for step in event.readiness if not step.done and step.key != "variables"]
    if missing:
        raise NotReady(
            f"This {word(event.kind)} is not ready: " + " ".join(step.sentence for step in missing),
            state=event.status,
            missing=[step.key for step in missing],
        )


def readiness(event: EventView, unresolved: Sequence[Unresolved]) -> tuple[ReadinessStep, ...]:
    """The four things that an event needs, in the order in which a person gives them."""
    return (_number(event), _groups(event), _sequence(event), _variables(event, unresolved))


def _number(event: EventView) -> ReadinessStep:
    if event.number_id is None:
        return ReadinessStep("number", False, "Choose the number that sends.")
    return ReadinessStep("number", True, "It has a number that sends.")


def _groups(event: EventView) -> ReadinessStep:
    if event.groups == 0:
        return ReadinessStep("groups", False, "Choose its groups.")
    many = "1 group" if event.groups == 1 else f"{event.groups:,} groups"
    return ReadinessStep("groups", True, f"It has {many}.")


def _sequence(event: EventView) -> ReadinessStep:
    if event.sequence_id is None:
        return ReadinessStep("sequence", False, "Choose a sequence of messages.")
    if not event.steps:
        return ReadinessStep("sequence", False, f"“{event.sequence_name}” has no steps yet.")
    many = "1 step" if len(event.steps) == 1 else f"{len(event.steps)} steps"
    return ReadinessStep("sequence", True, f"“{event.sequence_name}” has {many}.")


def _variables(event: EventView, unresolved: Sequence[Unresolved]) -> ReadinessStep:
    if not unresolved:
        done = bool(event.steps)
        sentence = "All variables have a value." if done else "Known once there is a sequence."
        return ReadinessStep("variables", done, sentence)
    names = list(dict.fromkeys(each.text for each in unresolved))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ReadinessStep("variables", False, f"Without a value: {', '.join(names[:3])}{more}.")


def times_of(event: EventView, step: StepView) -> tuple[datetime, datetime]:
    """When the step's messages are due, and until when they are useful."""
    due = due_at(step.timing, event.starts_at, event.zone)
    return due, useful_until(step.timing, due)


def clock_note(event: EventView, step: StepView) -> str | None:
    """What is to be said where a change of the clocks meets the time of a step."""
    change = change_of_step(step.timing, event.starts_at, event.zone)
    return None if change is None else change.sentence


def check_values(values: Mapping[str, str], builtin: Mapping[str, str]) -> None:
    for name in values:
        if name in builtin:
            raise _wrong(name, f"{{{name}}} follows from the event and needs no value.")


def _wrong(field: str, why: str) -> InvalidInput:
    return InvalidInput(why, fields={field: why})
