"""Real databases for tests: SQLite files, and a PostgreSQL server of their own.

The schema is made once per kind by the real migrations; every test gets a copy.
"""

import asyncio
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.ports import free_port

from groupline.db import Announcements, Database, migrate
from groupline.models import Base

POSTGRES_URL_VARIABLE: Final = "GROUPLINE_TEST_POSTGRES_URL"

_START_SECONDS: Final = 60.0
_SETTINGS: Final = {
    "fsync": "off",  # the tests' data may die with the machine
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "autovacuum": "off",
}
_KEPT: Final = {
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "min_wal_size": "512MB",
}
_INITDB: Final = "-U postgres -A trust --encoding=UTF8 --no-locale --no-sync".split()
_END_OTHERS: Final = """
    SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_REMOVE_ROWS: Final = sql.SQL("; ").join(
    (
        sql.SQL("UPDATE organizations SET community_number_id = NULL"),
        *(
            sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name))
            for table in reversed(Base.metadata.sorted_tables)
        ),
    )
)
_T = TypeVar("_T")


class PostgresMissing(Exception):
    """Tests on PostgreSQL are never skipped; this says what to install."""


class Postgres:
    """A PostgreSQL server: hands out databases, empty or with the schema."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._prefix = f"groupline_test_{os.getpid()}"
        self._numbers = itertools.count(1)
        self._template: str | None = None
        self._untouched: object = None
        self._clean: list[str] = []
        self._cleaners: dict[str, psycopg.Connection[Any]] = {}

    @property
    def server_url(self) -> str:
        """Of a database that every server has."""
        return self._url.render_as_string(hide_password=False)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a database without anything in it."""
        name = f"{self._prefix}_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with self._dropping(name):
            yield self._url_of(name)

    @contextmanager
    def migrated(self, *, untouched: bool = False) -> Iterator[str]:
        """The URL of a database with the schema, and without rows.

        One that is not ``untouched`` had rows before, and its indexes are as large as these were.
        """
        if self._template is None:
            self._template = f"{self._prefix}_template"
            self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._template)))
            in_own_loop(migrated(self._url_of(self._template)))
        reused = self._clean and not untouched
        name = self._clean.pop() if reused else self._clone(self._template)
        try:
            yield self._url_of(name)
        finally:
            if self._cleaned(name):
                self._clean.append(name)
            else:
                self._drop(name)

    def _clone(self, template: str) -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        if self._untouched is None:
            with psycopg.connect(self._url_of(name)) as connection:
                self._untouched = _fingerprint(connection)
        return name

    def _cleaned(self, name: str) -> bool:
        """Removes the rows, which is quicker than a copy, unless more than rows was changed."""
        connection = self._cleaner(name)
        if _fingerprint(connection) != self._untouched:
            return False
        connection.execute(_REMOVE_ROWS)
        return True

    def _cleaner(self, name: str) -> "psycopg.Connection[Any]":
        """The only connection to the database, and one that knows its tables already."""
        connection = self._cleaners.get(name)
        if connection is not None:
            try:
                connection.execute(_END_OTHERS)
            except psycopg.OperationalError:  # a test has ended it, with all others
                connection.close()
            else:
                return connection
        connection = psycopg.connect(self._url_of(name), autocommit=True)
        self._cleaners[name] = connection
        connection.execute(_END_OTHERS)
        return connection

    def drop_all(self) -> None:
        while self._clean:
            self._drop(self._clean.pop())
        if self._template is not None:
            self._drop(self._template)

    def close(self) -> None:
        for connection in self._cleaners.values():
            connection.close()

    @contextmanager
    def _dropping(self, name: str) -> Iterator[None]:
        try:
            yield
        finally:
            self._drop(name)

    def _drop(self, name: str) -> None:
        if name in self._cleaners:
            self._cleaners.pop(name).close()
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _url_of(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _execute(self, statement: sql.Composed) -> None:
        url = self._url.render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


def _fingerprint(connection: "psycopg.Connection[Any]") -> object:
    """Changes with the schema, with the planner's statistics, and with a size worth dropping."""
    counts = ", ".join(
        f"(SELECT (count(*), max(xmin::text::bigint))::text FROM {catalog})"
        for catalog in ("pg_class", "pg_attribute", "pg_constraint", "pg_trigger", "pg_proc")
    )
    return connection.execute(
        f"SELECT {counts}, (SELECT count(*) FROM pg_statistic),"
        " pg_database_size(current_database()) / 33554432"
    ).fetchone()


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Postgres]:
    """The server named by the environment, or one of our own that lives as long as the tests.

    A durable one writes as a server in production does: for what is measured.
    """
    given = os.environ.get(POSTGRES_URL_VARIABLE)
    if given:
        server = Postgres(make_url(given).set(drivername="postgresql"))
        yield server
        server.drop_all()
        return
    binaries = _find_binaries()
    home = Path(tempfile.mkdtemp(prefix="groupline-pg-"))
    try:
        settings = _KEPT if durable else _SETTINGS
        with _running(binaries, home, settings) as url:
            server = Postgres(url)
            yield server
            server.close()
    finally:
        shutil.rmtree(home)


@contextmanager
def _running(binaries: Path, home: Path, settings: Mapping[str, str]) -> Iterator[URL]:
    user = _server_user()
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)
    as_user: dict[str, Any] = (
        {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    )
    log = home / "log"
    with log.open("wb") as output:
        subprocess.run(
            [binaries / "initdb", "-D", home / "data", *_INITDB],
            check=True,
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
            **as_user,
        )
        port = free_port()
        options = [f"-c{name}={value}" for name, value in settings.items()]
        server = subprocess.Popen(
            [binaries / "postgres", "-D", home / "data", "-k", home, "-p", str(port), *options],
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
            **as_user,
        )
    try:
        url = URL.create("postgresql", "postgres", host="127.0.0.1", port=port, database="postgres")
        _wait_until_ready(url, server, log)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # "fast": do not wait for clients
        server.wait(timeout=_START_SECONDS)


def _wait_until_ready(url: URL, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(url.render_as_string(), connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from error
            time.sleep(0.05)


def _find_binaries() -> Path:
    """The newest installed server: where distributions put it, then what pg_config says."""

    def version(path: Path) -> int:
        name = path.parent.name
        return int(name) if name.isdigit() else 0

    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    for tool in ("postgres", "initdb"):
        if found := shutil.which(tool):
            candidates.append(Path(found).parent)
    if pg_config := shutil.which("pg_config"):
        shown = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
        candidates.append(Path(shown.stdout.strip()))
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    raise PostgresMissing(
        "The tests need a PostgreSQL server. Install one (Debian, Ubuntu: apt install postgresql; "
        "Fedora: dnf install postgresql-server; macOS: brew install postgresql), or name a "
        f"running one in {POSTGRES_URL_VARIABLE}; its user must be allowed to create databases."
    )


def _server_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


async def migrated(url: str) -> None:
    database = Database(url, announcements=Announcements())
    try:
        await migrate.upgrade(database)
    finally:
        await database.dispose()


def in_database(url: str, work: Callable[[AsyncSession], Awaitable[_T]]) -> _T:
    """What this finds, or writes, in the database of processes that may be running."""

    async def run() -> _T:
        database = Database(url, announcements=Announcements())
        try:
            async with database.writing() as session:
                return await work(session)
        finally:
            await database.dispose()

    return in_own_loop(run())


def in_own_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Run it in a thread, away from the event loop of the tests."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
