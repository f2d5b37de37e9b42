"""What the pages of workshops and webinars share."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends

from groupline.errors import InvalidInput, NotFound
from groupline.events.queries import get_event
from groupline.events.schemas import EventView
from groupline.events.steps import at_wall_clock
from groupline.http.auth import page_allowed
from groupline.models import EventKind
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

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


def pending_count(event: EventView) -> int:
    return sum(event.counts.get(state, 0) for state in ("scheduled", "waiting"))


def wall_clock(moment: datetime, zone: ZoneInfo) -> str:
    """As a field for a date and a time takes it."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def read_wall_clock(text: str, zone: ZoneInfo, field: str) -> datetime:
    try:
        wall = datetime.fromisoformat(text)
    except ValueError as error:
        why = "Choose a date and a time."
        raise InvalidInput(why, fields={field: why}) from error
    if not 2000 <= wall.year <= 2200:
        why = "This year is too far away."
        raise InvalidInput(why, fields={field: why})
    return at_wall_clock(wall, zone) if wall.tzinfo is None else wall
