"""The database: how a transaction begins, on SQLite and on PostgreSQL alike."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

from psycopg import AsyncConnection
from sqlalchemy import URL, Connection, NullPool, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from groupline.db.announce import Announcement, Announcements, take_collected
from groupline.db.direct import Answer, Direct, DirectPostgres, DirectSqlite, Statement
from groupline.db.failures import OutcomeUnknown
from groupline.db.ledger import note_begun, note_committed
from groupline.db.punctual import (
    POOL_SECONDS,
    PROBE_SECONDS,
    PROMPT_SECONDS,
    SESSION,
    connection_options,
    current_patience,
    open_punctual,
    patience,
)
from groupline.db.urls import DialectName, dialect_of, driver_url

NOTIFY_CHANNEL: Final = "groupline"

_BUSY_SECONDS: Final = 15.0
_DIRECT: Final = {
    **SESSION,
    # Its transactions arrive whole, and take milliseconds. All workers wait for a claim.
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "10s",
}
_NOTIFY = text(f"SELECT pg_notify('{NOTIFY_CHANNEL}', :payload)")


class Database:
    """One database: short transactions that either read or write.

    PostgreSQL runs any number of both. SQLite runs one writer at a time: writers of this process
    queue up here, those of other processes at the file; readers see a snapshot and wait for nobody.
    """

    def __init__(self, url: str, *, announcements: Announcements, pool_size: int = 10) -> None:
        self._url = driver_url(url)
        self.dialect: DialectName = dialect_of(self._url)
        self.announcements = announcements
        if self.dialect == "sqlite":
            self._writer = _sqlite_engine(self._url, begin="BEGIN IMMEDIATE", pool_size=1)
            self._reader = _sqlite_engine(
                self._url, begin="BEGIN", query_only=True, pool_size=pool_size
            )
            self._turn: _Turn | None = _Turn()
            self._direct: Direct = DirectSqlite(lambda: _open_sqlite(self._url))
        else:
            self._writer = _postgresql_engine(
                self._url,
                open_punctual,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=POOL_SECONDS,
                pool_pre_ping=True,
            )
            self._reader = self._writer.execution_options(postgresql_readonly=True)
            self._turn = None
            self._direct = DirectPostgres(lambda: _open_postgresql(self._url))

    @property
    def url(self) -> URL:
        """With the driver; its text hides the password."""
        return self._url

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A read-only transaction: the database itself refuses a write."""
        async with AsyncSession(self._reader, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed on leaving, rolled back on an exception.

        What was announced in it goes out after the commit. ``OutcomeUnknown`` is the one exception
        after which it may have been committed nevertheless.
        """
        note_begun()
        async with (
            self._turn or nullcontext(),
            AsyncSession(self._writer, expire_on_commit=False) as session,
        ):
            await session.connection()  # takes the write lock first: nothing read can be outdated
            yield session
            await self._commit(session)
            note_committed()

    async def carry_out(
        self, statements: Sequence[Statement], announcements: Sequence[Announcement] = ()
    ) -> list[Answer]:
        """A whole writing transaction in one trip; raises ``Unexpected`` if one of the statements
        did not affect what it had to. What it announces goes out after the commit."""
        if self.dialect == "postgresql":
            told = [_notifying(announcements)] if announcements else []
            with patience(min(current_patience(), PROMPT_SECONDS)):
                answers = await self._direct.carry_out([*statements, *told])
            return answers[: len(statements)]
        async with self._turn or nullcontext():
            answers = await self._direct.carry_out(statements)
        self.announcements.publish_all(announcements)
        return answers

    async def _commit(self, session: AsyncSession) -> None:
        await session.flush()
        announced = take_collected(session)
        if self.dialect == "postgresql":
            if announced:
                await session.execute(_NOTIFY, [{"payload": _encode(each)} for each in announced])
            await _commit_on_postgresql(session)
            return
        try:
            await session.commit()
        except asyncio.CancelledError:
            # The commit may have happened. One announcement too many does no harm.
            self.announcements.publish_all(announced)
            raise
        self.announcements.publish_all(announced)

    async def version_of_file(self) -> tuple[object, int]:
        """SQLite only: another one after each commit through a connection that is not the writer
        of ``writing``, in this process or elsewhere. The connection it is true for comes with it.
        """
        async with self._turn or nullcontext(), self._writer.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            async with driver.execute("PRAGMA data_version") as cursor:
                (version,) = await cursor.fetchone()
        return driver, version

    async def ping(self) -> None:
        """Ask the database anything; it raises what keeps it from answering."""
        async with self.reading() as session:
            await session.execute(text("SELECT 1"))

    async def dispose(self) -> None:
        """Close all connections. Open transactions are the caller's to end first."""
        await self._direct.close()
        await self._writer.dispose()
        if self._turn is not None:
            await self._reader.dispose()


class _Turn:
    """The right to write. Waiting for oneself would never end, so it is an error."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._holder: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> None:
        if self._holder is not None and self._holder is asyncio.current_task():
            raise RuntimeError("this task is already in a writing transaction")
        await self._lock.acquire()
        self._holder = asyncio.current_task()

    async def __aexit__(self, *_error: object) -> None:
        self._holder = None
        self._lock.release()


def migration_engine(url: URL) -> AsyncEngine:
    """Without a pool, and on SQLite without foreign keys, which a table rebuild would break."""
    if dialect_of(url) == "sqlite":
        return _sqlite_engine(url, begin="BEGIN IMMEDIATE", foreign_keys=False, poolclass=NullPool)
    # A rebuilt table or the turn of another process may take as long as it takes.
    return _postgresql_engine(url, AsyncConnection.connect, poolclass=NullPool)


async def _commit_on_postgresql(session: AsyncSession) -> None:
    """A connection that breaks now takes the answer along, and nobody knows what it was."""
    try:
        await session.commit()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise OutcomeUnknown(str(error.orig)) from error
        raise


def _encode(announcement: Announcement) -> str:
    organization_id, subject_id = announcement.organization_id, announcement.subject_id
    return json.dumps(
        [
            announcement.topic,
            str(organization_id) if organization_id else None,
            str(subject_id) if subject_id else None,
        ]
    )


def _notifying(announcements: Sequence[Announcement]) -> Statement:
    return Statement(
        "SELECT pg_notify(:channel, payload)"
        " FROM unnest(CAST(:payloads AS text[])) AS listed (payload)",
        {"channel": NOTIFY_CHANNEL, "payloads": [_encode(each) for each in announcements]},
    )


async def _open_postgresql(url: URL) -> AsyncConnection[Any]:
    connection = await open_punctual(
        url.set(drivername="postgresql").render_as_string(hide_password=False),
        autocommit=True,  # transactions begin and end with statements of their own
        prepare_threshold=0,
        session=_DIRECT,
        **connection_options(url, application_name="groupline"),
    )
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")  # see PLAN_SECONDS
    except BaseException:
        await connection.close()
        raise
    return connection


def _postgresql_engine(
    url: URL, connect: Callable[..., Awaitable[AsyncConnection[Any]]], **pool: Any
) -> AsyncEngine:
    options = connection_options(url, application_name="groupline")
    engine = create_async_engine(
        url,
        connect_args={"async_creator_fn": connect, **options},
        hide_parameters=True,  # values are message texts and phone numbers: never in a log
        **pool,
    )
    ping = engine.dialect.do_ping

    def do_ping(connection: Any) -> bool:
        """Asked of each connection before it is used: what went silent is replaced soon."""
        with patience(PROBE_SECONDS):
            return ping(connection)

    engine.dialect.do_ping = do_ping  # type: ignore[method-assign, assignment]
    return engine


class _RollsBackOnClose(sqlite3.Connection):
    """When a task is cancelled in the middle of a statement, its connection is closed with the
    statement still open. SQLite then keeps the transaction, and the lock on the file, for as long
    as the statement lives: so the transaction ends first.
    """

    def close(self) -> None:
        try:
            self.rollback()
        finally:
            super().close()


_SQLITE: Final[dict[str, Any]] = {
    "isolation_level": None,  # the driver would begin transactions late and deferred
    "timeout": _BUSY_SECONDS,
    "factory": _RollsBackOnClose,
}
_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",  # a committed result must survive a power cut
)


def _open_sqlite(url: URL) -> sqlite3.Connection:
    connection: sqlite3.Connection = sqlite3.connect(
        str(url.database), check_same_thread=False, **_SQLITE
    )
    for pragma in (*_PRAGMAS, "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _sqlite_engine(
    url: URL, *, begin: str, query_only: bool = False, foreign_keys: bool = True, **pool: Any
) -> AsyncEngine:
    if "pool_size" in pool:
        pool["max_overflow"] = 0
    engine = create_async_engine(url, connect_args=_SQLITE, hide_parameters=True, **pool)
    pragmas = [
        *_PRAGMAS,
        f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
        f"query_only = {'ON' if query_only else 'OFF'}",
    ]

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
