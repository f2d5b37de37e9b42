"""The gateway's own SQLite file: what must survive a crash.

Writes are group-committed: whatever asks to be written while a transaction is on its way to
the disk goes into the next one together. ``synchronous=FULL``, because a committed intent to
send has to survive a power cut. All work on a connection happens in that connection's single
thread; one thread hop carries a whole batch, which a coroutine per statement could not.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import structlog

from groupline_gateway.errors import StartRefused

log = structlog.get_logger()

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], T]
"""May be run again from the start, so it must change nothing but the database."""

_BATCH = 200

GATEWAY_SCHEMA = (
    """
    CREATE TABLE messages (
        client_ref TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        session_id TEXT NOT NULL,
        recipient TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('intended', 'accepted', 'sent', 'failed')),
        message_id TEXT,
        error TEXT,
        intended_at REAL NOT NULL,
        settled_at REAL
    ) WITHOUT ROWID;
    CREATE INDEX messages_by_age ON messages (intended_at);
    CREATE TABLE webhook_events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL,
        type TEXT NOT NULL,
        lane TEXT,
        at REAL NOT NULL,
        data TEXT NOT NULL,
        due_at REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        given_up_at REAL
    );
    CREATE INDEX webhook_events_due ON webhook_events (due_at, seq) WHERE given_up_at IS NULL;
    CREATE INDEX webhook_events_lane ON webhook_events (lane, seq) WHERE given_up_at IS NULL;
    """,
    "CREATE TABLE ledger (began_at REAL NOT NULL);",
)


class Store:
    """One file, one writing connection, one reading connection."""

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        self._writer = _Connection(self._path, "store-write")
        self._reader = _Connection(self._path, "store-read")
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._committing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file and bring the gateway's own tables up to date."""
        await self._writer.open()
        await self._reader.open()
        await self.migrate("gateway", GATEWAY_SCHEMA)

    async def close(self) -> None:
        """Finish what was handed in, then let go of the file."""
        while self._committing is not None:
            await self._committing
        await self._reader.close()
        await self._writer.close()

    async def migrate(self, part: str, scripts: tuple[str, ...]) -> None:
        """Apply the scripts that a part of the gateway has not applied to this file yet."""
        await self._writer.run(lambda connection: _migrate(connection, part, scripts))

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on the reading connection; it sees every write that was answered."""
        return await self._reader.run(work)

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in the next transaction; return once that transaction is on disk."""
        result: T = await self._enqueue(work)
        return result

    def write_soon(self, work: Work[None], *, event: str) -> None:
        """Let ``work`` ride with the next transaction; a failure is logged as ``event``."""

        def done(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                log.error(event, exc_info=error)

        self._enqueue(work).add_done_callback(done)

    def _enqueue(self, work: Work[Any]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_until_idle())
        return future

    async def _commit_until_idle(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                await self._commit(batch)
        finally:
            self._committing = None

    async def _commit(self, batch: list[tuple[Work[Any], asyncio.Future[Any]]]) -> None:
        works = [work for work, _ in batch]
        try:
            outcomes = await self._writer.run(lambda connection: _in_transaction(connection, works))
        except Exception as error:  # noqa: BLE001
            # Not swallowed: everybody whose work was in the lost transaction gets it raised.
            outcomes = [error] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


class _Connection:
    """A connection that lives in a thread of its own."""

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        try:
            self._connection = await self._in_thread(self._connect)
        except sqlite3.Error as error:
            raise StartRefused(f"the store {self._path} cannot be opened: {error}") from error

    async def close(self) -> None:
        if self._connection is not None:
            await self._in_thread(self._connection.close)
            self._connection = None
        self._thread.shutdown(wait=False)

    async def run(self, work: Work[T]) -> T:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the store is not open")
        return await self._in_thread(lambda: work(connection))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=256)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def _in_transaction(connection: sqlite3.Connection, works: list[Work[Any]]) -> list[Any]:
    """Outcomes in order; one that fails takes nothing of the others with it.

    A savepoint around each would cost as much as the work itself, so they are set only when it
    turns out that one of the works fails.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        try:
            outcomes = [work(connection) for work in works]
        except Exception:  # noqa: BLE001
            # Not swallowed: the work that failed fails again, alone.
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [_in_savepoint(connection, work) for work in works]
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return outcomes


def _in_savepoint(connection: sqlite3.Connection, work: Work[Any]) -> Any:
    connection.execute("SAVEPOINT work")
    try:
        outcome = work(connection)
    except Exception as error:  # noqa: BLE001
        # Not swallowed: the caller who handed in this work gets it raised from `write`.
        connection.execute("ROLLBACK TO work")
        outcome = error
    connection.execute("RELEASE work")
    return outcome


def _migrate(connection: sqlite3.Connection, part: str, scripts: tuple[str, ...]) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_versions (part TEXT PRIMARY KEY, version INT NOT NULL)"
    )
    row = connection.execute(
        "SELECT version FROM schema_versions WHERE part = ?", (part,)
    ).fetchone()
    version = row["version"] if row else 0
    if version > len(scripts):
        raise StartRefused(
            f"the store was written by a newer gateway ({part} {version}); update this one"
        )
    for number, script in enumerate(scripts[version:], start=version + 1):
        statements = [text for text in script.split(";") if text.strip()]
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_versions (part, version) VALUES (?, ?)"
            " ON CONFLICT (part) DO UPDATE SET version = excluded.version",
            (part, number),
        )
        connection.execute("COMMIT")
