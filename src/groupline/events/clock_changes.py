"""Times that a change of the clocks makes unclear, said to the person who chose them. Pure.

In spring a wall clock jumps over an hour, in autumn it shows one twice. A time of such an hour is
never taken without a word: it becomes the next moment that exists, or the first of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, assert_never
from zoneinfo import ZoneInfo

from groupline.events.schemas import EventInput
from groupline.events.steps import Timing, at_wall_clock, wall_time
from groupline.events.variables import long_date, zone_name

Kind = Literal["skipped", "repeated"]
Field = Literal["startsAt", "endsAt"]


@dataclass(frozen=True, slots=True)
class ClockChange:
    """What a change of the clocks does to a time."""

    kind: Kind
    wall: datetime
    """As it was meant: without a zone."""
    becomes: datetime
    """The moment that is taken, in UTC."""
    zone: ZoneInfo

    @property
    def sentence(self) -> str:
        said = f"{self.wall:%H:%M} on {long_date(self.wall.date())}"
        shown = self.becomes.astimezone(self.zone)
        taken = f"{shown:%H:%M} {zone_name(shown)}"
        match self.kind:
            case "skipped":
                day = shown.date()
                where = "" if day == self.wall.date() else f" on {long_date(day)}"
                return (
                    f"{said} does not exist in {self.zone}, where the clocks go forward. "
                    f"It becomes {taken}{where}."
                )
            case "repeated":
                which = "second" if shown.fold else "first"
                return (
                    f"{said} comes twice in {self.zone}, where the clocks go back. "
                    f"The {which} is taken: {taken}."
                )
            case _:
                assert_never(self.kind)


def read_wall_clock(wall: datetime, zone: ZoneInfo) -> tuple[datetime, ClockChange | None]:
    """The instant, in UTC, that a time of the wall clock means, and what is to be said about it."""
    instant = at_wall_clock(wall, zone)
    return instant, _change(wall.replace(tzinfo=None, fold=0), instant, zone)


def change_of(instant: datetime, zone: ZoneInfo) -> ClockChange | None:
    """Of a moment that somebody has chosen: which of two it is, where the clock shows it twice."""
    return _change(_shown(instant, zone), instant.astimezone(UTC), zone)


def change_of_step(timing: Timing, starts_at: datetime, zone: ZoneInfo) -> ClockChange | None:
    """Of a step at a time of day. Minutes from the start are elapsed time, whatever clocks do."""
    if timing.offset_minutes is not None:
        return None
    return read_wall_clock(wall_time(timing, starts_at, zone), zone)[1]


def changes_of(
    event: EventInput, given: Mapping[Field, ClockChange | None] | None = None
) -> dict[Field, ClockChange]:
    """What is to be said about the times of an event; ``given`` is known from reading them."""
    moments: dict[Field, datetime | None] = {"startsAt": event.starts_at, "endsAt": event.ends_at}
    found = {
        field: (given or {}).get(field) or change_of(moment, event.zone)
        for field, moment in moments.items()
        if moment is not None
    }
    return {field: change for field, change in found.items() if change is not None}


def _change(wall: datetime, instant: datetime, zone: ZoneInfo) -> ClockChange | None:
    if _shown(instant, zone) != wall:
        return ClockChange("skipped", wall, instant, zone)
    if _offset(wall, zone, 0) != _offset(wall, zone, 1):
        return ClockChange("repeated", wall, instant, zone)
    return None


def _shown(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(wall: datetime, zone: ZoneInfo, fold: int) -> timedelta | None:
    return wall.replace(tzinfo=zone, fold=fold).utcoffset()
