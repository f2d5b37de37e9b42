"""Lists by name in the dashboard, and what is removed from them: templates and sequences alike."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import Conflict
from groupline.events.name_pages import NameCursor, NamePage
from groupline.http.schemas import decode_cursor, encode_cursor
from groupline.runtime import Runtime
from groupline.web.rendering import Pages


def name_cursor(cursor: str | None) -> NameCursor | None:
    return None if cursor is None else NameCursor.from_keys(decode_cursor(cursor, keys=2))


def next_url(base: str, page: NamePage[Any], query: str) -> str | None:
    if page.next_cursor is None:
        return None
    asked = {"q": query, "cursor": encode_cursor(*page.next_cursor.keys)}
    return f"{base}?" + urlencode({name: said for name, said in asked.items() if said})


async def removed(
    runtime: Runtime,
    pages: Pages,
    base: str,
    row_id: UUID,
    remove: Callable[[AsyncSession], Awaitable[None]],
) -> Response:
    """The list, or the page of what is still in use, with by whom."""
    try:
        async with runtime.database.writing() as session:
            await remove(session)
    except Conflict as error:
        said = " ".join(filter(None, ("Not deleted.", error.detail, error.hint)))
        return pages.redirect(f"{base}/{row_id}", toast=("error", said))
    return pages.redirect(base, toast=("success", "Deleted."))
