"""Brings a database to the schema of this version, however many processes start at once."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncConnection

from groupline.db.engine import Database, migration_engine

_LOCK: Final = 0x67726F7570  # any number, the same for every process of Groupline
_SEARCH_TABLES: Final = "whatsapp_groups_search"
_TRIGRAM_INDEX: Final = "ix_whatsapp_groups_trigram"
_T = TypeVar("_T")


class BrokenReferences(Exception):
    """A migration on SQLite left rows that refer to nothing; it was rolled back."""


def newest() -> str:
    """The revision that this version of Groupline works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError("this installation of Groupline contains no migrations")
    return head


async def current(database: Database) -> str | None:
    """The revision the database is at; ``None`` if it is empty."""
    return await _in_transaction(database, _revision)


async def needed(database: Database) -> bool:
    return await current(database) != newest()


async def upgrade(database: Database, *, revision: str = "head") -> str | None:
    """Apply what is missing, all or nothing, one process at a time. Returns the revision before."""

    def run(connection: Connection) -> str | None:
        before = _revision(connection)
        command.upgrade(_config(connection), revision)
        return before

    return await _in_transaction(database, run, alone=True)


async def check(database: Database, metadata: MetaData) -> list[str]:
    """How the database differs from these tables, in words; empty if it does not."""

    def run(connection: Connection) -> list[str]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": _is_model}
        )
        return [repr(difference) for difference in compare_metadata(context, metadata)]

    return await _in_transaction(database, run)


def _is_model(name: str | None, _kind: str, _parents: object) -> bool:
    """The indexes of search are made of what SQLAlchemy has no words for."""
    return name != _TRIGRAM_INDEX and not str(name).startswith(_SEARCH_TABLES)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _in_transaction(
    database: Database, run: Callable[[Connection], _T], *, alone: bool = False
) -> _T:
    async with _connection(database) as connection:
        if alone and database.dialect == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        result = await connection.run_sync(run)
        if alone and database.dialect == "sqlite":
            await _check_references(connection)
        return result


@asynccontextmanager
async def _connection(database: Database) -> AsyncIterator[AsyncConnection]:
    engine = migration_engine(database.url)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def _check_references(connection: AsyncConnection) -> None:
    """Foreign keys are off while tables are rebuilt; this is what they would have said."""
    broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
    if broken:
        tables = sorted({row[0] for row in broken})
        raise BrokenReferences(f"rows without what they refer to in: {', '.join(tables)}")
