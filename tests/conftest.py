"""Fixtures of all tests. Whatever uses ``database`` runs on SQLite and on PostgreSQL."""

import gc
import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from tests.support.app import RunningApp, open_test_runtime, running_app
from tests.support.cast import Cast, make_cast
from tests.support.clock import ManualClock
from tests.support.databases import Postgres, in_own_loop, migrated, postgres_server

from groupline.db import Announcements, Database
from groupline.runtime import Runtime

settings.register_profile(
    "groupline", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("groupline")
"""The same examples in every run, and none of them measured: the machine may be busy.
``--hypothesis-profile=default`` looks for new ones."""

_QUIETED = ("uvicorn", "uvicorn.error", "aiosqlite", "alembic", "asyncio")
"""Whose levels the logging of either program sets."""


def pytest_xdist_auto_num_workers() -> int:
    """One more than processors: a test that waits for processes of its own leaves one to others."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("takes_long") is None)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: looking for garbage in it was a third of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What a test's command line sets up for its logs is not the next test's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quieted = {logger: logger.level for logger in map(logging.getLogger, _QUIETED)}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for logger, before in quieted.items():
        logger.setLevel(before)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server per test process."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    in_own_loop(migrated(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Parametrise a test with ``indirect`` over this only if it is about one database."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of this test's own, with the schema and no rows."""
    with ExitStack() as stack:
        if dialect == "sqlite":
            path = tmp_path / "groupline.db"
            shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
            yield f"sqlite:///{path}"
        else:
            server: Postgres = request.getfixturevalue("postgres")
            untouched = request.node.get_closest_marker("untouched_database") is not None
            yield stack.enter_context(server.migrated(untouched=untouched))


@pytest.fixture
def empty_database_url(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """A database of this test's own without anything in it."""
    with ExitStack() as stack:
        if dialect == "sqlite":
            yield f"sqlite:///{tmp_path / 'empty.db'}"
        else:
            server: Postgres = request.getfixturevalue("postgres")
            yield stack.enter_context(server.empty())


@pytest.fixture
def announcements() -> Announcements:
    return Announcements()


@pytest.fixture
async def database(database_url: str, announcements: Announcements) -> AsyncIterator[Database]:
    database = Database(database_url, announcements=announcements)
    yield database
    await database.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def cast(database: Database) -> Cast:
    """An owner, a member of each role, and an outsider who must see nothing."""
    async with database.writing() as session:
        return await make_cast(session)


@pytest.fixture
async def runtime(database: Database, clock: ManualClock) -> AsyncIterator[Runtime]:
    """The parts of a process, on the test's database and with its clock."""
    async with open_test_runtime(database, clock) as runtime:
        yield runtime


@pytest.fixture
async def running(runtime: Runtime) -> AsyncIterator[RunningApp]:
    """The application itself; ``running.client()`` is nobody, ``client_of(person)`` somebody."""
    async with running_app(runtime) as app:
        yield app
