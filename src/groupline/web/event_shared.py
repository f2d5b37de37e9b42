"""What the pages of workshops and webinars share."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends
from starlette.responses import Response

from groupline.errors import Conflict, InvalidInput, NotFound
from groupline.events import clock_changes
from groupline.events.queries import get_event
from groupline.events.rules import check_planned
from groupline.events.schemas import EventInput, EventView
from groupline.http.auth import page_allowed
from groupline.models import EventKind
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.rendering import Pages

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(page_allowed(Permission.OPERATE))]
Sender = Annotated[Principal, Depends(page_allowed(Permission.SEND))]


def _event_id(event_id: str) -> UUID:
    try:
        return UUID(event_id)
    except ValueError as error:
        raise NotFound("There is no such event.") from error


EventId = Annotated[UUID, Depends(_event_id)]
"""Of the address. What is no id names no event."""


def words(kind: EventKind) -> dict[str, Any]:
    """How a page speaks of it."""
    return {"kind": kind, "Kind": kind.capitalize(), "base": f"/{kind}s"}


async def find(
    runtime: Runtime, principal: Principal, kind: EventKind, event_id: UUID
) -> EventView:
    async with runtime.database.reading() as session:
        return await get_event(
            session, principal.organization_id, event_id, now=runtime.clock.now(), kind=kind
        )


def why_over(event: EventView) -> str | None:
    """Why nothing can be planned of it any more."""
    try:
        check_planned(event.kind, event.status)
    except Conflict as error:
        return error.detail
    return None


def left_if_over(pages: Pages, event: EventView) -> Response | None:
    """To its own page, instead of to a form that cannot be saved."""
    why = why_over(event)
    if why is None:
        return None
    return pages.redirect(f"/{event.kind}s/{event.id}", toast=("warning", why))


def pending_count(event: EventView) -> int:
    return sum(event.counts.get(state, 0) for state in ("scheduled", "waiting"))


def wall_clock(moment: datetime, zone: ZoneInfo) -> str:
    """As a field for a date and a time takes it."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


Clocks = dict[clock_changes.Field, clock_changes.ClockChange | None]
"""What there was to say about times when they were read."""


@dataclass(frozen=True, slots=True)
class Times:
    """The start and the end that somebody typed."""

    starts_at: datetime
    ends_at: datetime | None
    clocks: Clocks


def clock_notes(event: EventInput, clocks: Clocks | None = None) -> list[str]:
    """What a change of the clocks does to the times of an event, in sentences."""
    return [each.sentence for each in clock_changes.changes_of(event, clocks).values()]


Read = tuple[datetime, clock_changes.ClockChange | None]


def read_times(starts: str, ends: str, zone: ZoneInfo, event: EventView | None = None) -> Times:
    """Of the wall clock in the zone. What was left as the event has it stays to the second, and
    in the same one of two hours, neither of which the field shows."""
    before = (event.starts_at, event.ends_at) if event and event.timezone == zone.key else ()
    known = {wall_clock(moment, zone): moment for moment in before if moment is not None}

    def read(text: str, field: str) -> Read:
        kept = known.get(text)
        return (kept, None) if kept is not None else _read_wall_clock(text, zone, field)

    starts_at, of_start = read(starts, "starts")
    ends_at, of_end = read(ends, "ends") if ends else (None, None)
    return Times(starts_at, ends_at, {"startsAt": of_start, "endsAt": of_end})


def _read_wall_clock(text: str, zone: ZoneInfo, field: str) -> Read:
    try:
        wall = datetime.fromisoformat(text)
    except ValueError as error:
        why = "Choose a date and a time."
        raise InvalidInput(why, fields={field: why}) from error
    if not 2000 <= wall.year <= 2200:
        why = "This year is too far away."
        raise InvalidInput(why, fields={field: why})
    return clock_changes.read_wall_clock(wall, zone) if wall.tzinfo is None else (wall, None)
