"""The shape of everything that goes over the API: camelCase, strict input, ISO times."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from groupline.errors import InvalidInput
from groupline.events.clock_changes import ClockChange, read_wall_clock
from groupline.http.problem import PROBLEM_JSON
from groupline.text import is_storable

T = TypeVar("T")


class ApiModel(BaseModel):
    """The base of requests and answers. A field that is not known is refused, not ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, from_attributes=True, extra="forbid"
    )


def _with_its_time(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and _DATE_AND_TIME.match(value)):
        return value
    raise PydanticCustomError("datetime_type", "a date and a time")


_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]")
Moment = Annotated[datetime, BeforeValidator(_with_its_time)]
"""In requests. A count of seconds is no time that people mean, and a date alone is no midnight."""


class Listing(ApiModel, Generic[T]):
    """One page of a list; ``nextCursor`` asks for the next, ``null`` says that this is the end."""

    items: list[T]
    next_cursor: str | None = None


class CountedListing(Listing[T], Generic[T]):
    total: int


_MEANINGS = {
    400: "The request cannot be read",
    401: "No key or login, or one that is not valid",
    403: "The key or the role does not allow this",
    404: "Unknown, or somebody else's",
    409: "The present state does not allow it",
    413: "The request is too large",
    422: "Bad input: the fields are named, nothing was written",
    429: "Too many attempts; `Retry-After` says how long to wait",
    502: "The gateway failed",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For ``responses=`` of a route: the errors it can answer beyond those of every route."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}


Limit = Annotated[int, Query(ge=1, le=500, description="How many items at most")]
Cursor = Annotated[str | None, Query(max_length=500, description="`nextCursor` of the page before")]


def encode_cursor(*keys: str | int | None) -> str:
    """The place where a list goes on: the sort keys of its last item."""
    return urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *, keys: int) -> list[Any]:
    """The sort keys again. What is no cursor of ours is the caller's mistake."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(urlsafe_b64decode(padded.encode()))
    except ValueError as error:
        raise _no_cursor() from error
    if not isinstance(values, list) or len(values) != keys or not all(map(_is_key, values)):
        raise _no_cursor()
    return values


def _is_key(value: object) -> bool:
    return (
        value is None or isinstance(value, int) or (isinstance(value, str) and is_storable(value))
    )


def uuid_cursor(cursor: str | None) -> UUID | None:
    """The cursor of a list that is sorted by id."""
    if cursor is None:
        return None
    try:
        return UUID(str(decode_cursor(cursor, keys=1)[0]))
    except ValueError as error:
        raise _no_cursor() from error


def position_cursor(cursor: str | None) -> int | None:
    """The cursor of a list that is sorted by a growing number."""
    if cursor is None:
        return None
    (position,) = decode_cursor(cursor, keys=1)
    if not isinstance(position, int) or not 0 <= position < 2**63:
        raise _no_cursor()
    return position


def time_cursor(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The cursor of a list that is sorted by a time and, within it, by id."""
    if cursor is None:
        return None
    at, row_id = decode_cursor(cursor, keys=2)
    try:
        place = datetime.fromisoformat(str(at)), UUID(str(row_id))
    except ValueError as error:
        raise _no_cursor() from error
    if place[0].tzinfo is None:
        raise _no_cursor()
    return place


def _no_cursor() -> InvalidInput:
    return InvalidInput("This cursor is not one of ours.", fields={"cursor": "is not valid"})


def in_zone(moment: datetime, timezone: str) -> datetime:
    """A time that came without an offset is meant in the organization's zone."""
    return read_time(moment, timezone)[0]


def read_time(moment: datetime, timezone: str) -> tuple[datetime, ClockChange | None]:
    """The same, with what a change of the clocks there does to it."""
    if moment.tzinfo is not None:
        return moment, None
    zone = ZoneInfo(timezone)
    try:
        return read_wall_clock(moment, zone)
    except OverflowError:  # near the years 1 and 9999 there is no UTC: it is too far away anyhow
        return moment.replace(tzinfo=zone), None
