"""The variables that every event has by itself, in its zone and in one format. Pure.

The grammar of texts is in ``groupline.messages.variables``; the outbox checks with the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from groupline.models import EventKind

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

BUILTIN: Final[Mapping[str, str]] = {
    "event_title": "The title of the event",
    "event_kind": "workshop or webinar",
    "event_date": "The date of the start: Saturday, 21 November 2026",
    "event_date_short": "The date without the year: 21 Nov",
    "event_day": "The day of the week of the start: Saturday",
    "event_time": "The time of the start: 7:00 pm",
    "event_time_24": "The time of the start: 19:00",
    "event_end_time": "The time of the end: 9:00 pm (needs an end)",
    "event_timezone": "The zone of these times: IST, or UTC+4 where it has no letters",
    "organization": "The name of your organization",
    "group_name": "The name of the group that the message goes to (needs a name)",
}
"""Names with what they stand for. Dates and times are those of the event's own zone."""


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What the built-in variables of an event are made of."""

    title: str
    kind: EventKind
    starts_at: datetime
    ends_at: datetime | None
    timezone: str


def builtin_values(
    event: EventFacts, *, organization: str, group_name: str | None = None
) -> dict[str, str]:
    """Only those that have a value: an event without an end has no ``event_end_time``."""
    zone = ZoneInfo(event.timezone)
    start = event.starts_at.astimezone(zone)
    values = {
        "event_title": event.title,
        "event_kind": event.kind,
        "event_date": long_date(start.date()),
        "event_date_short": f"{start.day} {_MONTHS[start.month - 1][:3]}",
        "event_day": _DAYS[start.weekday()],
        "event_time": clock_time(start),
        "event_time_24": f"{start:%H:%M}",
        "event_timezone": zone_name(start),
        "organization": organization,
    }
    if event.ends_at is not None:
        values["event_end_time"] = clock_time(event.ends_at.astimezone(zone))
    if group_name:
        values["group_name"] = group_name
    return values


def long_date(day: date) -> str:
    """Saturday, 21 November 2026, whatever the locale of the machine."""
    return f"{_DAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"


def clock_time(moment: datetime) -> str:
    """7:00 pm. Midnight is 12:00 am, noon is 12:00 pm."""
    half = "am" if moment.hour < 12 else "pm"
    return f"{moment.hour % 12 or 12}:{moment.minute:02} {half}"


def zone_name(moment: datetime) -> str:
    """The letters of the zone at that time, or its distance from UTC where it has none."""
    name = moment.tzname() or ""
    if name.isalpha():
        return name
    offset = moment.utcoffset()
    assert offset is not None
    minutes = round(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    return f"UTC{sign}{hours}:{rest:02}" if rest else f"UTC{sign}{hours}"
