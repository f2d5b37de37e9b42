"""The migrations make exactly the schema that the models describe, whoever runs them."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    Inspector,
    MetaData,
    Table,
    Uuid,
    bindparam,
    insert,
    inspect,
    select,
    text,
)
from tests.support.clock import NOW
from tests.support.databases import migrated
from tests.support.factories import make_gateway, make_organization

from groupline.db import Announcements, Database, UtcDateTime, migrate
from groupline.db.engine import migration_engine
from groupline.groups.names import search_name
from groupline.groups.queries import list_groups
from groupline.groups.schemas import GroupFilter
from groupline.ids import new_id
from groupline.models import Base, WhatsappGroup, WhatsappSession

UPGRADE = """
import asyncio, sys
from groupline.db import Announcements, Database, migrate

async def main():
    database = Database(sys.argv[1], announcements=Announcements())
    await migrate.upgrade(database)
    await database.dispose()

asyncio.run(main())
"""


@pytest.fixture
async def empty_database(empty_database_url: str) -> AsyncIterator[Database]:
    database = Database(empty_database_url, announcements=Announcements())
    yield database
    await database.dispose()


async def test_an_upgrade_from_nothing_needs_nothing_more(empty_database: Database) -> None:
    assert await migrate.current(empty_database) is None
    assert await migrate.needed(empty_database)

    assert await migrate.upgrade(empty_database) is None

    assert await migrate.current(empty_database) == migrate.newest()
    assert not await migrate.needed(empty_database)
    assert await migrate.upgrade(empty_database) == migrate.newest()


async def test_models_and_migrations_agree(database: Database) -> None:
    assert await migrate.check(database, Base.metadata) == []


async def test_a_difference_is_found(database: Database) -> None:
    async with database.writing() as session:
        await session.execute(text("DROP INDEX ix_logins_user"))
    (difference,) = await migrate.check(database, Base.metadata)
    assert "ix_logins_user" in difference


async def test_what_alembic_does_not_compare_agrees_too(database: Database) -> None:
    """Checks, and the conditions of partial indexes."""

    def names(inspector: Inspector) -> dict[str, Any]:
        return {
            table: (
                {check["name"] for check in inspector.get_check_constraints(table)},
                {index["name"]: _condition(index) for index in inspector.get_indexes(table)},
            )
            for table in Base.metadata.tables
        }

    async with database.reading() as session:
        connection = await session.connection()
        found = await connection.run_sync(lambda sync: names(inspect(sync)))
    for table in Base.metadata.tables.values():
        checks, indexes = found[table.name]
        assert checks == {c.name for c in table.constraints if isinstance(c, CheckConstraint)}
        for index in table.indexes:
            expected = index.dialect_options[database.dialect]["where"]
            assert (expected is None) == (indexes[index.name] is None), index.name


def _condition(index: Any) -> Any:
    options = index.get("dialect_options", {})
    return options.get("sqlite_where", options.get("postgresql_where"))


async def test_an_upgrade_is_all_or_nothing(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with empty_database.writing() as session:
        await session.execute(text("CREATE TABLE leases (in_the_way INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        await migrate.upgrade(empty_database)
    assert await migrate.current(empty_database) is None
    async with empty_database.reading() as session:
        connection = await session.connection()
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert tables == ["leases"]


async def test_an_upgrade_leaves_logging_alone(empty_database: Database) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("alembic").disabled)
    await migrate.upgrade(empty_database)
    assert (root.level, list(root.handlers), logging.getLogger("alembic").disabled) == before


async def test_processes_that_upgrade_at_once_do_not_collide(empty_database_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", UPGRADE, empty_database_url), stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    errors = [(await process.communicate())[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    await migrated(empty_database_url)


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_rows_left_without_their_reference_undo_an_upgrade(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.writing() as session:
        await session.execute(text("CREATE TABLE strays (user_id TEXT REFERENCES users (id))"))
    engine = migration_engine(database.url)  # without foreign keys
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO strays VALUES ('nobody')"))
    await engine.dispose()
    with pytest.raises(migrate.BrokenReferences, match="strays"):
        await migrate.upgrade(database)


async def test_groups_without_a_name_are_found_by_all_of_their_id_after_the_upgrade(
    empty_database: Database,
) -> None:
    await migrate.upgrade(empty_database, revision="0015")
    organization_id = new_id()
    kept = [
        (None, "120363000012345678@g.us", " 345678"),
        ("Workshop", "120363000087654321@g.us", "workshop 654321"),
    ]
    rows = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "group_jid": jid,
            "group_name": name,
            "search_name": stored,
            "created_at": NOW,
        }
        for name, jid, stored in kept
    ]
    async with empty_database.writing() as session:
        await session.execute(
            text(
                "INSERT INTO organizations (id, name, slug, timezone, created_at)"
                " VALUES (:id, 'One', 'one', 'UTC', :at)"
            ).bindparams(bindparam("id", type_=Uuid()), bindparam("at", type_=UtcDateTime())),
            {"id": organization_id, "at": NOW},
        )
        await session.execute(insert(WhatsappGroup), rows)

    await migrate.upgrade(empty_database)

    async with empty_database.reading() as session:
        found = await list_groups(session, organization_id, GroupFilter(query="000012345"))
        stored = set(await session.scalars(select(WhatsappGroup.search_name)))
    assert [group.id for group in found.groups] == [rows[0]["id"]]
    assert stored == {search_name(name, jid) for name, jid, _ in kept}


SENTENCES = {
    "WhatsApp has banned this number until 3 March 2026, 12:00 UTC.": "banned",
    "This version of the gateway is too old for WhatsApp. Update Groupline.": "outdated",
    "WhatsApp cannot be reached from this machine. The gateway keeps trying.": (
        "whatsapp_unreachable"
    ),
    "The gateway has been trying to reach WhatsApp again for a while.": "whatsapp_unreachable",
    "The proxy of this session does not lead to WhatsApp. The gateway keeps trying.": "trying",
    "The phone was logged out.": None,
}
"""As they were stored before there was a column for what they mean."""


async def test_what_stands_in_the_way_of_sessions_is_taken_out_of_their_sentences_once(
    empty_database: Database,
) -> None:
    await migrate.upgrade(empty_database, revision="0018")
    async with empty_database.writing() as session:
        place, gateway = await make_organization(session), await make_gateway(session)
        columns = [each for each in WhatsappSession.__table__.c if each.name != "obstacle"]
        row = {
            "organization_id": place.id,
            "gateway_id": gateway.id,
            "status_source": "gateway",
            **dict.fromkeys(("status_at", "pairing_started_at", "created_at"), NOW),
        }
        ended = {"status": "disconnected", "disconnected_at": NOW, "ended_reason": "disconnected"}
        rows = [row | ended | {"last_error": said} for said in SENTENCES]
        rows += [row | {"status": "connecting", "status_detail": said} for said in SENTENCES]
        old = Table(
            "whatsapp_sessions", MetaData(), *(Column(each.name, each.type) for each in columns)
        )
        for number, values in enumerate(rows):
            named = {"id": new_id(), "gateway_session_id": f"wa_{number}"}
            await session.execute(insert(old).values(**values, **named))

    await migrate.upgrade(empty_database)

    async with empty_database.reading() as session:
        found = (await session.scalars(select(WhatsappSession))).all()
    assert {each.last_error or each.status_detail: each.obstacle for each in found} == SENTENCES
    assert len(found) == 2 * len(SENTENCES)
