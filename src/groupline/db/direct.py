"""Whole transactions in one trip to the database, for the few that are carried out all the time.

On SQLite a statement of SQLAlchemy is several hand-overs between the event loop and the thread of
its connection, on PostgreSQL a round trip; each of them waits for its turn in a busy event loop.
Where the statements of a transaction are known beforehand, they go there together, on a connection
of their own.
"""

import asyncio
import re
import select
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor
from psycopg.errors import DivisionByZero

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with ``:names`` for its values, on both databases."""

    sql: str
    values: Mapping[str, Any]
    affects: int | None = None
    """So many rows have to be changed by it, or nothing of the transaction happens. It has no
    RETURNING then."""


class Answer(NamedTuple):
    rows: Sequence[tuple[Any, ...]]
    affected: int


class Unexpected(Exception):
    """A statement did not affect what it had to; the transaction was rolled back."""


class Direct(Protocol):
    async def carry_out(self, statements: Sequence[Statement]) -> list[Answer]:
        """One transaction: all of the statements, in their order, or none."""
        ...

    async def close(self) -> None: ...


# --- SQLite


class DirectSqlite:
    """A connection in a thread of its own. The caller sees to it that nobody else writes."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="groupline-sqlite")

    async def carry_out(self, statements: Sequence[Statement]) -> list[Answer]:
        return await self._in_thread(lambda: self._transaction(statements))

    async def close(self) -> None:
        if self._connection is not None:
            await self._in_thread(self._connection.close)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        working = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait([working])  # nobody else writes before it has ended
            raise

    def _transaction(self, statements: Sequence[Statement]) -> list[Answer]:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            answers = [_ask(connection, each) for each in statements]
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        return answers


def _ask(connection: sqlite3.Connection, statement: Statement) -> Answer:
    cursor = connection.execute(statement.sql, sqlite_values(statement))
    answer = Answer(cursor.fetchall(), cursor.rowcount)
    if statement.affects not in (None, answer.affected):
        raise Unexpected(f"{answer.affected} rows instead of {statement.affects}")
    return answer


def sqlite_values(statement: Statement) -> dict[str, Any]:
    return {name: _stored(value) for name, value in statement.values.items()}


def _stored(value: Any) -> Any:
    """As the column types store it on SQLite."""
    if isinstance(value, UUID):
        return value.hex
    return stored_instant(value) if isinstance(value, datetime) else value


def stored_instant(moment: datetime) -> str:
    """In UTC, as ``UtcDateTime`` stores it where a database keeps no zones."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return _written(moment.astimezone(UTC))


@lru_cache(maxsize=64)
def _written(moment: datetime) -> str:
    """What is stored together has happened at one time, mostly."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


# --- PostgreSQL

_BEGIN: Final = Statement("BEGIN", {})
_COMMIT: Final = Statement("COMMIT", {})
_REPLAN: Final = Statement("DISCARD PLANS", {})
PLAN_SECONDS: Final = 1.0
"""A plan takes as long as many a statement. It is kept, but never for so long that a table which
was empty when it was made has become a large one meanwhile."""


class DirectPostgres:
    """A connection whose statements leave together, without waiting for each other's answer."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._connection: AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._plans_until = 0.0

    async def carry_out(self, statements: Sequence[Statement]) -> list[Answer]:
        async with self._turn:
            connection = await self._connected()
            try:
                return await self._transaction(connection, statements)
            except BaseException:
                await self.close()  # whatever state it is in, it ends with the connection
                raise

    async def close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is not None and _is_stale(self._connection):
            await self.close()
        if self._connection is None:
            self._connection = await self._connect()
            self._connection.cursor_factory = AsyncRawCursor
        return self._connection

    async def _transaction(
        self, connection: AsyncConnection[Any], statements: Sequence[Statement]
    ) -> list[Answer]:
        """The commit leaves with the statements: their locks are held for as long as the database
        needs, and not until a busy event loop has read its answers. After an error it is left out,
        and what breaks off in the middle has never sent it."""
        now = asyncio.get_running_loop().time()
        first = [_REPLAN, _BEGIN] if now >= self._plans_until else [_BEGIN]
        answers = await _together(connection, [*first, *statements, _COMMIT])
        if _REPLAN in first:
            self._plans_until = now + PLAN_SECONDS
        return answers[len(first) : -1]


def _is_stale(connection: AsyncConnection[Any]) -> bool:
    """Whether the other side has closed it while it was idle: told without asking anything.

    What can be read from a connection that was asked nothing is that, or why it was ended.
    """
    if connection.closed:
        return True
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    return bool(look.poll(0))


async def _together(
    connection: AsyncConnection[Any], statements: Sequence[Statement]
) -> list[Answer]:
    try:
        async with connection.pipeline():
            cursors = [await connection.execute(*_for_psycopg(each)) for each in statements]
    except DivisionByZero as error:
        raise Unexpected("a statement changed other rows than it had to") from error
    return [await _answer(*each) for each in zip(statements, cursors, strict=True)]


async def _answer(statement: Statement, cursor: AsyncCursor[Any]) -> Answer:
    if statement.affects is not None:
        return Answer((), statement.affects)
    rows = await cursor.fetchall() if cursor.description else ()
    return Answer(rows, cursor.rowcount)


def _for_psycopg(statement: Statement) -> tuple[bytes, Sequence[Any]]:
    sql, values = statement.sql, statement.values
    if statement.affects is not None:
        sql, values = counting(sql), {**values, "expected": statement.affects}
    numbered, names = _numbered(sql)
    return numbered, [values[name] for name in names]


@cache
def counting(sql: str) -> str:
    """What is sent for a statement that ``affects`` so many rows: with another number it fails, by
    a division by zero, which nothing else here can come to."""
    return f"""
        WITH changed AS ({sql} RETURNING 1)
        SELECT count(*) / CAST(count(*) = :expected AS integer) FROM changed
    """  # noqa: S608 - a statement of ours


_NAMES: Final = re.compile(r"(?<![:\w]):([a-z_]+)")


@cache
def _numbered(sql: str) -> tuple[bytes, Sequence[str]]:
    """With ``$1`` and so on for its values, whose names follow: psycopg would look for them in
    each statement that is as long as a claim, every time."""
    names = list(dict.fromkeys(_NAMES.findall(sql)))
    return _NAMES.sub(lambda found: f"${names.index(found[1]) + 1}", sql).encode(), names
