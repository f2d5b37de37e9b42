"""Lists by name: templates and sequences are paged, searched and counted in one way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import InvalidInput
from groupline.text import is_storable

View = TypeVar("View")
AnySelect: TypeAlias = Select[*tuple[Any, ...]]
ByName = tuple[ColumnElement[str], Any]
"""The name in small letters, and the id."""


@dataclass(frozen=True, slots=True)
class NameCursor:
    """The last row of a page of a list by name."""

    name: str
    id: UUID

    @property
    def keys(self) -> tuple[str, str]:
        return self.name, str(self.id)

    @classmethod
    def from_keys(cls, keys: Sequence[object]) -> NameCursor:
        """Raises ``InvalidInput`` for what never was a cursor."""
        try:
            name, row_id = keys
            return cls(str(name), UUID(str(row_id)))
        except ValueError:
            why = "is not valid"
            raise InvalidInput("This cursor is not one of ours.", fields={"cursor": why}) from None


@dataclass(frozen=True, slots=True)
class NamePage(Generic[View]):
    items: tuple[View, ...]
    total: int
    next_cursor: NameCursor | None


async def page_by_name(
    session: AsyncSession,
    matching: AnySelect,
    by_name: ByName,
    views: Callable[[Sequence[Any]], Awaitable[tuple[View, ...]]],
    *,
    after: NameCursor | None,
    limit: int,
) -> NamePage[View]:
    """A page of what matches, and how many that are. ``views`` makes of rows what is shown."""
    page = matching.add_columns(by_name[0].label("key")).order_by(*by_name).limit(limit + 1)
    if after is not None:
        page = page.where(tuple_(*by_name) > tuple_(after.name, after.id))
    rows = (await session.execute(page)).all()
    total = select(func.count()).select_from(matching.subquery())
    last = rows[limit - 1] if len(rows) > limit else None
    return NamePage(
        items=await views(rows[:limit]),
        total=(await session.execute(total)).scalar_one(),
        next_cursor=None if last is None else NameCursor(last.key, last.id),
    )


def words_of(query: str) -> list[str]:
    """What no database stores is in nothing that it has: then the words are one that is nowhere."""
    return query.split() if is_storable(query) else ["\N{REPLACEMENT CHARACTER}"]
