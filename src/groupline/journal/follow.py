"""Readers that make something of the journal: each entry once, whoever reads, and none is missed.

A reader has a row with its cursor. Whoever holds the lock on that row reads on, and moves the
cursor in the transaction of what it made of the entries. Another process finds the row locked and
leaves it alone; a process that dies leaves nothing behind but an unlocked row.

How far one may read is asked before reading (``newest_cursor``): up to the oldest transaction
still under way. On PostgreSQL an entry that took its position early may commit late, and a reader
that had gone past it would never see it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, literal, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import Tuple

from groupline.journal.read import Cursor, cursor_of, load_cursor, newest_cursor, save_cursor
from groupline.models import JournalEntry, JournalReader

_FAR: Final = 10_000
"""So far behind, the cursor is moved although nothing concerned the reader: it reads less."""


@dataclass(frozen=True, slots=True)
class Reading:
    entries: list[JournalEntry]
    goes_on: bool
    """There may be more."""


class News(Enum):
    NONE = "none"
    NOW = "now"
    LATER = "later"
    """There is an entry, but a transaction still under way may get one in front of it. When that
    ends without an entry, nobody is told: whoever waits for it looks again soon."""


async def news(session: AsyncSession, reader: str, actions: Collection[str]) -> News:
    """Whether turning to ``read_on`` is worth a transaction that writes."""
    cursor = await load_cursor(session, reader)
    if cursor is None:
        return News.NOW
    horizon = await newest_cursor(session)
    if horizon > cursor and horizon.distance_to(cursor) > _FAR:
        return News.NOW
    found = (
        select(JournalEntry.transaction_id, JournalEntry.position)
        .where(*_after(cursor, actions))
        .order_by(JournalEntry.transaction_id, JournalEntry.position)
        .limit(1)
    )
    first = (await session.execute(found)).one_or_none() if actions else None
    if first is None:
        return News.NONE
    return News.NOW if Cursor(*first) <= horizon else News.LATER


async def read_on(
    session: AsyncSession, reader: str, actions: Collection[str], limit: int
) -> Reading:
    """The next entries of these actions, oldest first; the cursor is behind them when it commits.

    Empty while another process reads. A new reader begins with what comes.
    """
    cursor = await _locked_cursor(session, reader)
    if cursor is None:
        return Reading([], goes_on=False)
    horizon = await newest_cursor(session)
    found = (
        select(JournalEntry)
        .where(*_after(cursor, actions), _order() <= _place(horizon))
        .order_by(JournalEntry.transaction_id, JournalEntry.position)
        .limit(limit)
    )
    entries = list(await session.scalars(found)) if actions else []
    goes_on = len(entries) == limit
    await save_cursor(session, reader, cursor_of(entries[-1]) if goes_on else max(cursor, horizon))
    return Reading(entries, goes_on)


async def lock_reader(session: AsyncSession, reader: str) -> bool:
    """For what a reader also does in turns: whether it is this process's turn, until the commit."""
    return await _locked_cursor(session, reader) is not None


async def _locked_cursor(session: AsyncSession, reader: str) -> Cursor | None:
    if await load_cursor(session, reader) is None:
        await _begin(session, reader)
    row = await session.scalar(
        select(JournalReader)
        .where(JournalReader.name == reader)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return None if row is None else Cursor(row.transaction_id, row.position)


async def _begin(session: AsyncSession, reader: str) -> None:
    """Two processes may begin at once: the second finds the row of the first."""
    start = await newest_cursor(session)
    row = {"name": reader, "transaction_id": start.transaction_id, "position": start.position}
    build = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    await session.execute(build(JournalReader).values(row).on_conflict_do_nothing())


def _order() -> Tuple:
    return tuple_(JournalEntry.transaction_id, JournalEntry.position)


def _after(cursor: Cursor, actions: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    return _order() > _place(cursor), JournalEntry.action.in_(sorted(actions))


def _place(cursor: Cursor) -> Tuple:
    return tuple_(literal(cursor.transaction_id, BigInteger), literal(cursor.position, BigInteger))
