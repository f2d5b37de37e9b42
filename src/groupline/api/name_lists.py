"""Lists by name over the API: templates and sequences alike."""

from collections.abc import Callable
from typing import TypeVar

from groupline.events.name_pages import NameCursor, NamePage
from groupline.http.schemas import CountedListing, decode_cursor, encode_cursor

View = TypeVar("View")
Out = TypeVar("Out")


def name_cursor(cursor: str | None) -> NameCursor | None:
    return None if cursor is None else NameCursor.from_keys(decode_cursor(cursor, keys=2))


def listing(page: NamePage[View], out: Callable[[View], Out]) -> CountedListing[Out]:
    return CountedListing(
        items=[out(each) for each in page.items],
        next_cursor=None if page.next_cursor is None else encode_cursor(*page.next_cursor.keys),
        total=page.total,
    )
