"""When the messages of a step are due, and until when they are useful. Pure.

A step is either so many minutes from the start, which is elapsed time, or a time of day on a day
relative to the start, which is what a clock on the wall shows in the event's zone. Where the wall
clock is moved forward over the wanted time, the step is due at the next moment that exists; where
it is moved back and shows the time twice, at the first of the two.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = 24 * 60
_HOUR: Final = 60


@dataclass(frozen=True, slots=True)
class Timing:
    """Either ``offset_minutes``, or ``day_offset`` and ``local_time``."""

    offset_minutes: int | None = None
    day_offset: int | None = None
    local_time: time | None = None
    late_minutes: int = 30
    """For so long after its time the message is still useful."""


def due_at(timing: Timing, starts_at: datetime, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which the step's messages are to leave."""
    if timing.offset_minutes is not None:
        return starts_at.astimezone(UTC) + timedelta(minutes=timing.offset_minutes)
    return at_wall_clock(wall_time(timing, starts_at, zone), zone)


def wall_time(timing: Timing, starts_at: datetime, zone: ZoneInfo) -> datetime:
    """What a clock in the zone is to show when a step at a time of day is due."""
    assert timing.day_offset is not None
    assert timing.local_time is not None
    day = starts_at.astimezone(zone).date() + timedelta(days=timing.day_offset)
    return datetime.combine(day, timing.local_time)


def useful_until(timing: Timing, due: datetime) -> datetime:
    return due + timedelta(minutes=timing.late_minutes)


def at_wall_clock(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, at which a clock in the zone shows this time, or a later one."""
    wall = wall.replace(tzinfo=None, fold=0)
    early = wall.replace(tzinfo=zone).astimezone(UTC)
    if _shown(early, zone) == wall:
        return early
    return _end_of_gap(wall, zone, until=early)


def _end_of_gap(wall: datetime, zone: ZoneInfo, *, until: datetime) -> datetime:
    """Inside a gap the two readings of a time lie on both sides of the moment it is jumped over."""
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = until
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if _shown(middle, zone) < wall:
            before = middle
        else:
            after = middle
    return after


def _shown(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


# --- in words -------------------------------------------------------------------------------


def in_words(timing: Timing) -> str:
    """“10 minutes before the start”, “the day before, at 10:00”."""
    if timing.offset_minutes is not None:
        return _offset_in_words(timing.offset_minutes)
    assert timing.day_offset is not None
    assert timing.local_time is not None
    return f"{day_in_words(timing.day_offset)}, at {timing.local_time:%H:%M}"


def _offset_in_words(minutes: int) -> str:
    if minutes == 0:
        return "at the start"
    side = "before" if minutes < 0 else "after"
    return f"{_length_in_words(abs(minutes))} {side} the start"


def _length_in_words(minutes: int) -> str:
    parts = (
        (minutes // _DAY, "day"),
        (minutes % _DAY // _HOUR, "hour"),
        (minutes % _HOUR, "minute"),
    )
    return " ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in parts if count)


def day_in_words(days: int) -> str:
    match days:
        case 0:
            return "on the day"
        case -1:
            return "the day before"
        case 1:
            return "the day after"
        case _:
            return f"{abs(days)} days {'before' if days < 0 else 'after'}"
