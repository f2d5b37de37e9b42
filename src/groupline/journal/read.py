"""Reading the journal: newest first for people, or onward from a cursor without ever a gap."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    cast,
    func,
    insert,
    literal,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import JournalEntry, JournalReader

_LAST_POSITION: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """The last entry that was read, in the order in which entries became visible for good."""

    transaction_id: int
    position: int

    def distance_to(self, other: "Cursor") -> int:
        """Roughly how much lies between them: transactions, or entries of one."""
        apart = abs(self.transaction_id - other.transaction_id)
        return apart or abs(self.position - other.position)


START: Final = Cursor(-_LAST_POSITION, 0)


async def read_after(
    session: AsyncSession, organization_id: UUID | None, cursor: Cursor, limit: int
) -> list[JournalEntry]:
    """The next entries, oldest first; ``None`` reads those of all organizations.

    Only entries are returned that no transaction still under way can get in front of, so a
    reader that goes on from the last one never misses any.
    """
    statement = (
        _of(organization_id)
        .where(
            tuple_(JournalEntry.transaction_id, JournalEntry.position)
            > tuple_(
                literal(cursor.transaction_id, BigInteger), literal(cursor.position, BigInteger)
            ),
            _settled(session),
        )
        .order_by(JournalEntry.transaction_id, JournalEntry.position)
        .limit(limit)
    )
    return list(await session.scalars(statement))


def cursor_of(entry: JournalEntry) -> Cursor:
    return Cursor(entry.transaction_id, entry.position)


async def newest_cursor(session: AsyncSession) -> Cursor:
    """Where a new reader starts that does not care about the past."""
    if _is_sqlite(session):
        newest = await session.scalar(select(func.max(JournalEntry.position)))
        return Cursor(0, newest or 0)
    settled_before = (await session.execute(select(_oldest_under_way()))).scalar_one()
    return Cursor(settled_before - 1, _LAST_POSITION)


async def load_cursor(session: AsyncSession, reader: str) -> Cursor | None:
    """How far the reader has come; ``None`` if it never read."""
    row = await session.get(JournalReader, reader)
    return None if row is None else Cursor(row.transaction_id, row.position)


async def save_cursor(session: AsyncSession, reader: str, cursor: Cursor) -> None:
    """In the transaction of what the reader made of the entries: both happen, or neither."""
    place = {"transaction_id": cursor.transaction_id, "position": cursor.position}
    known = await session.execute(
        update(JournalReader).where(JournalReader.name == reader).values(place)
    )
    if not known.rowcount:  # type: ignore[attr-defined]  # an UPDATE answers with a count
        await session.execute(insert(JournalReader).values(name=reader, **place))


async def newest(
    session: AsyncSession,
    organization_id: UUID | None,
    *,
    subject_id: UUID | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[JournalEntry]:
    """A page for people, newest first; ``before`` is the position of the last entry seen."""
    statement = _of(organization_id).order_by(JournalEntry.position.desc()).limit(limit)
    if subject_id is not None:
        statement = statement.where(JournalEntry.subject_id == subject_id)
    if before is not None:
        statement = statement.where(JournalEntry.position < before)
    return list(await session.scalars(statement))


async def realign_after_restore(session: AsyncSession) -> bool:
    """A dump that was restored into a new PostgreSQL cluster carries transaction ids from its
    future; readers would wait for it to catch up. Shift them, and all cursors, into its past.
    """
    if _is_sqlite(session):
        return False
    highest = await session.scalar(select(func.max(JournalEntry.transaction_id)))
    now = (await session.execute(select(_number(func.pg_current_xact_id())))).scalar_one()
    if highest is None or highest < now:
        return False
    shift = highest - now + 1
    await session.execute(
        update(JournalEntry).values(transaction_id=JournalEntry.transaction_id - shift)
    )
    await session.execute(
        update(JournalReader).values(transaction_id=JournalReader.transaction_id - shift)
    )
    return True


def _of(organization_id: UUID | None) -> Select[JournalEntry]:
    statement = select(JournalEntry)
    if organization_id is None:
        return statement
    return statement.where(JournalEntry.organization_id == organization_id)


def _settled(session: AsyncSession) -> ColumnElement[bool]:
    if _is_sqlite(session):
        return true()
    return JournalEntry.transaction_id < _oldest_under_way()


def _oldest_under_way() -> ColumnElement[int]:
    return _number(func.pg_snapshot_xmin(func.pg_current_snapshot()))


def _number(transaction_id: ColumnElement[object]) -> ColumnElement[int]:
    return cast(cast(transaction_id, Text), BigInteger)


def _is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"
