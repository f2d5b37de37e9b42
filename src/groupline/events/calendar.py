"""An event and its messages as a calendar file (RFC 5545). Pure.

All times are in UTC, so that no definition of a zone is needed. Who imports the file again updates
the same entries: their ids are those of the event and its steps.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from groupline.events.schemas import EventView
from groupline.events.timeline import StepOnTimeline

_OCTETS: Final = 75
_PRODUCT: Final = "-//Groupline//Groupline//EN"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": None})
_LENGTH: Final = timedelta(minutes=5)
"""Of a message in the calendar: too short to be in the way, long enough to be seen."""


def calendar_of(event: EventView, steps: Sequence[StepOnTimeline], *, url: str) -> str:
    """The whole file. ``url`` is where the event is in the dashboard."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:{_PRODUCT}",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(event.title)}",
        *_entry(
            event,
            "event",
            event.title,
            starts=event.starts_at,
            ends=event.ends_at or event.starts_at + timedelta(hours=1),
            description=f"{event.kind.capitalize()} with {_count(event.groups, 'group')}.",
            url=url,
        ),
    ]
    for step in steps:
        lines += _entry(
            event,
            step.key,
            f"{event.title}: {step.title}",
            starts=step.at,
            ends=step.at + _LENGTH,
            description=_described(step),
            url=f"{url}/steps/{step.key}" if step.messages else url,
        )
    return "".join(f"{part}\r\n" for line in [*lines, "END:VCALENDAR"] for part in fold(line))


def _entry(
    event: EventView,
    key: str,
    summary: str,
    *,
    starts: datetime,
    ends: datetime,
    description: str,
    url: str,
) -> Iterator[str]:
    cancelled = event.status == "cancelled"
    yield "BEGIN:VEVENT"
    yield f"UID:{event.id}-{key}@groupline"
    yield f"DTSTAMP:{_utc(event.updated_at)}"
    yield f"DTSTART:{_utc(starts)}"
    yield f"DTEND:{_utc(ends)}"
    yield f"SUMMARY:{_text(summary)}"
    yield f"DESCRIPTION:{_text(description)}"
    yield f"URL:{url}"
    yield f"STATUS:{'CANCELLED' if cancelled else 'CONFIRMED'}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _described(step: StepOnTimeline) -> str:
    if not step.messages:
        return "Not scheduled yet."
    states = ", ".join(f"{count:,} {state}" for state, count in step.counts.items())
    return f"{_count(step.messages, 'message')}: {states}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(text: str) -> str:
    return text.translate(_ESCAPES)


def fold(line: str) -> Iterable[str]:
    """Lines of at most 75 octets; what goes on begins with a space. No character is cut."""
    parts, part, room = [], "", _OCTETS
    for char in line:
        size = len(char.encode())
        if size > room:
            parts.append(part)
            part, room = " ", _OCTETS - 1
        part += char
        room -= size
    return [*parts, part]
