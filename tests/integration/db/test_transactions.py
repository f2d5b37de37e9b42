"""What a transaction promises, on SQLite and PostgreSQL alike."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from tests.support.clock import NOW
from tests.support.factories import make_member, make_organization

from groupline.db import Announcements, Database, announce
from groupline.models import Lease


def lease(name: str) -> Lease:
    return Lease(name=name, owner="worker", expires_at=NOW)


async def count_leases(database: Database) -> int:
    async with database.reading() as session:
        return (await session.execute(select(func.count()).select_from(Lease))).scalar_one()


async def test_a_transaction_commits_when_it_ends(database: Database) -> None:
    async with database.writing() as session:
        session.add(lease("one"))
    assert await count_leases(database) == 1


async def test_rows_can_be_used_after_the_commit(database: Database) -> None:
    async with database.writing() as session:
        organization = await make_organization(session, name="Kept")
    assert organization.name == "Kept"


async def test_an_exception_undoes_everything(database: Database) -> None:
    async def fail() -> None:
        async with database.writing() as session:
            session.add(lease("one"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await count_leases(database) == 0


async def test_reading_refuses_writes(database: Database) -> None:
    async with database.writing() as session:
        session.add(lease("one"))
    for statement in (
        delete(Lease),
        update(Lease).values(owner="thief"),
        insert(Lease).values(name="two", owner="thief", expires_at=NOW),
    ):
        with pytest.raises(DBAPIError, match=r"(?i)read-?only"):
            async with database.reading() as session:
                await session.execute(statement)
    assert await count_leases(database) == 1
    async with database.writing() as session:  # the connection that refused can still write
        await session.execute(delete(Lease))


async def test_readers_do_not_wait_for_the_writer(database: Database) -> None:
    async with database.writing() as session:
        session.add(lease("one"))
        await session.flush()
        assert await count_leases(database) == 0
    assert await count_leases(database) == 1


async def test_writers_do_not_lose_what_others_wrote(database: Database) -> None:
    async with database.writing() as session:
        session.add(lease("counter"))

    async def append() -> None:
        async with database.writing() as session:
            row = (await session.scalars(select(Lease).with_for_update())).one()
            row.owner += "+"

    await asyncio.gather(*(append() for _ in range(20)))
    async with database.reading() as session:
        row = (await session.scalars(select(Lease))).one()
    assert row.owner == "worker" + "+" * 20


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_a_task_that_would_wait_for_itself_is_told(database: Database) -> None:
    async with database.writing():
        with pytest.raises(RuntimeError, match="already in a writing transaction"):
            async with database.writing():
                pass
    async with database.writing() as session:
        session.add(lease("afterwards"))
    assert await count_leases(database) == 1


async def test_writers_of_two_databases_objects_take_turns(
    database: Database, database_url: str
) -> None:
    """As two processes on one SQLite file do: the file has one writer, the others wait."""
    other = Database(database_url, announcements=Announcements())
    first_holds, first_may_end = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.writing() as session:
            session.add(lease("one"))
            await session.flush()
            first_holds.set()
            await first_may_end.wait()

    holding = asyncio.create_task(hold())
    await first_holds.wait()

    async def write() -> None:
        async with other.writing() as session:
            session.add(lease("two"))

    writing = asyncio.create_task(write())
    first_may_end.set()
    await asyncio.gather(holding, writing)
    await other.dispose()
    assert await count_leases(database) == 2


async def test_a_failing_commit_surfaces_and_announces_nothing(
    database: Database, announcements: Announcements
) -> None:
    async def fail_at_the_commit(organization_id: UUID) -> None:
        nobody = organization_id
        async with database.writing() as session:
            if database.dialect == "sqlite":
                await session.execute(text("PRAGMA defer_foreign_keys = ON"))
            await make_member(session, organization_id=organization_id, user_id=nobody)
            await announce(session, "organization", organization_id=None, subject_id=None)

    async with database.writing() as session:
        if database.dialect == "postgresql":
            await session.execute(
                text(
                    "ALTER TABLE organization_members ALTER CONSTRAINT"
                    " fk_organization_members_user_id DEFERRABLE INITIALLY DEFERRED"
                )
            )
        organization = await make_organization(session)
    async with announcements.subscribe() as heard:
        with pytest.raises(IntegrityError):
            await fail_at_the_commit(organization.id)
        announcements.close()
        assert [each async for each in heard] == []
    await database.ping()


async def test_times_come_back_aware_and_in_utc(database: Database) -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    async with database.writing() as session:
        moment = datetime(2026, 3, 2, 0, 30, 0, 250, tzinfo=india)
        session.add(Lease(name="one", owner="w", expires_at=moment))
    async with database.reading() as session:
        stored = (await session.scalars(select(Lease.expires_at))).one()
    assert stored == datetime(2026, 3, 1, 19, 0, 0, 250, tzinfo=UTC)
    assert stored.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="without a zone"):
        async with database.writing() as session:
            session.add(Lease(name="one", owner="w", expires_at=datetime(2026, 3, 2)))  # noqa: DTZ001


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_sqlite_keeps_what_it_committed_and_its_references(database: Database) -> None:
    async with database.writing() as session:
        pragmas = {
            name: (await session.execute(text(f"PRAGMA {name}"))).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 15_000,
    }


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
async def test_the_usual_postgresql_urls_are_understood(scheme: str) -> None:
    database = Database(f"{scheme}://me:secret@127.0.0.1:1/x", announcements=Announcements())
    assert database.dialect == "postgresql"
    assert database.url.drivername == "postgresql+psycopg"
    assert "secret" not in str(database.url)
    await database.dispose()


@pytest.mark.parametrize(
    "url", ["mysql://me:secret@host/x", "sqlite://", "sqlite:///:memory:", "nonsense secret"]
)
def test_a_url_that_cannot_work_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"database URL|SQLite database") as refusal:
        Database(url, announcements=Announcements())
    assert "secret" not in str(refusal.value)


async def test_a_database_that_cannot_be_reached_says_so() -> None:
    database = Database("postgresql://me@127.0.0.1:1/x", announcements=Announcements())
    with pytest.raises(DBAPIError):
        await database.ping()
    await database.dispose()
