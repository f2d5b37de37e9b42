"""A whole transaction in one trip: what it promises, on SQLite and PostgreSQL alike."""

import asyncio
import sqlite3

import psycopg
import pytest
from sqlalchemy import URL, func, select
from tests.integration.db.test_announcements import hearing
from tests.support.clock import NOW

from groupline.db import Announcement, Announcements, Database, Statement, Unexpected, direct
from groupline.ids import new_id
from groupline.models import Lease

FAILS = Statement("INSERT INTO leases (name) VALUES (NULL)", {})
UNSENDABLE = Statement("SELECT :object", {"object": object()})
VALUE_REFUSED = (sqlite3.Error, psycopg.ProgrammingError)
REFUSED = (sqlite3.IntegrityError, psycopg.errors.NotNullViolation)


def write(name: str, *, affects: int | None = None) -> Statement:
    source = "INSERT INTO leases (name, owner, expires_at) VALUES (:name, 'worker', :at)"
    return Statement(source, {"name": name, "at": NOW}, affects)


async def names(database: Database) -> list[str]:
    async with database.reading() as session:
        return list(await session.scalars(select(Lease.name).order_by(Lease.name)))


async def test_all_statements_are_carried_out_in_their_order(database: Database) -> None:
    count = Statement("SELECT count(*), max(name) FROM leases", {})
    answers = await database.carry_out([write("one"), count, write("two"), count])

    assert [answer.affected for answer in answers[::2]] == [1, 1]
    assert [tuple(answer.rows[0]) for answer in answers[1::2]] == [(1, "one"), (2, "two")]
    async with database.reading() as session:
        [expires_at] = set(await session.scalars(select(Lease.expires_at)))
    assert expires_at == NOW


@pytest.mark.parametrize("affects", [None, 1])
async def test_a_statement_that_fails_undoes_the_others(
    database: Database, affects: int | None
) -> None:
    with pytest.raises(REFUSED):
        await database.carry_out([write("one", affects=affects), FAILS, write("two")])
    assert await names(database) == []

    await database.carry_out([write("three")])
    assert await names(database) == ["three"]


async def test_a_statement_that_affects_other_rows_than_expected_undoes_everything(
    database: Database,
) -> None:
    rename = Statement("UPDATE leases SET owner = 'x' WHERE name = 'none'", {}, affects=1)
    with pytest.raises(Unexpected):
        await database.carry_out([write("one"), rename, write("two")])
    assert await names(database) == []

    await database.carry_out([write("three", affects=1)])
    assert await names(database) == ["three"]


async def test_what_it_announces_is_heard_after_the_commit_or_never(database: Database) -> None:
    told, never = (Announcement("groups", new_id(), None) for _ in range(2))
    async with hearing(database) as heard:
        with pytest.raises(REFUSED):
            await database.carry_out([FAILS], [never])
        await database.carry_out([write("one")], [told])
        assert await anext(heard) == told
        assert await names(database) == ["one"]


async def test_it_shares_the_right_to_write(database: Database) -> None:
    async def write_slowly(name: str) -> None:
        async with database.writing() as session:
            session.add(Lease(name=name, owner="worker", expires_at=NOW))
            await session.flush()
            await asyncio.sleep(0.02)

    both = [write_slowly(f"slow {n}") for n in range(5)]
    await asyncio.gather(*both, *(database.carry_out([write(f"quick {n}")]) for n in range(5)))
    assert len(await names(database)) == 10


async def test_a_cancelled_one_has_ended_before_anybody_else_writes(database: Database) -> None:
    writing = asyncio.create_task(database.carry_out([write(f"{n}") for n in range(200)]))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    await database.carry_out([write("after")])
    assert len(await names(database)) in (1, 201), "all or nothing"


async def test_what_cannot_be_sent_undoes_what_was(database: Database) -> None:
    """The first statement has left by then, the other one never does."""
    with pytest.raises(VALUE_REFUSED):
        await database.carry_out([write("one", affects=1), write("two"), UNSENDABLE])
    await database.carry_out([write("three")])
    assert await names(database) == ["three"]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_connection_that_was_cut_while_idle_is_replaced_before_anything_fails(
    database: Database,
) -> None:
    [answer] = await database.carry_out([Statement("SELECT pg_backend_pid()", {})])
    async with database.writing() as session:
        await session.execute(select(func.pg_terminate_backend(answer.rows[0][0], 60_000)))

    await database.carry_out([write("one")])
    await database.carry_out([write("two", affects=1)])
    assert await names(database) == ["one", "two"]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_connection_that_lives_is_kept(database: Database) -> None:
    asked = Statement("SELECT pg_backend_pid()", {})
    served_by = {(await database.carry_out([asked]))[0].rows[0][0] for _ in range(5)}
    assert len(served_by) == 1


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_transactions_do_not_meet_a_connection_that_was_cut(database: Database) -> None:
    cut = """
        SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """
    await database.carry_out([write("before")])
    await database.ping()
    with psycopg.connect(_plain(database.url)) as connection:
        assert (connection.execute(cut).fetchone() or [0])[0] >= 2

    assert await names(database) == ["before"]
    async with database.writing() as session:
        session.add(Lease(name="between", owner="worker", expires_at=NOW))
    await database.carry_out([write("after")])
    assert await names(database) == ["after", "before", "between"]


def _plain(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def test_a_database_that_was_never_written_to_this_way_closes(database: Database) -> None:
    other = Database(
        database.url.render_as_string(hide_password=False), announcements=Announcements()
    )
    await other.ping()
    await other.dispose()


@pytest.mark.parametrize(("seconds", "renewed"), [(0.0, True), (3600.0, False)])
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_plan_is_kept_but_not_for_long(
    database: Database, monkeypatch: pytest.MonkeyPatch, seconds: float, *, renewed: bool
) -> None:
    """What was best for an empty table is not what is best for a full one."""
    monkeypatch.setattr(direct, "PLAN_SECONDS", seconds)
    await database.carry_out([Statement("SELECT count(*) FROM leases", {})])
    asked = "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%leases'"
    [answer] = await database.carry_out([Statement(asked, {})])
    [[name]] = answer.rows
    await database.carry_out([Statement("SET enable_seqscan = off", {})])

    [plan] = await database.carry_out([Statement(f"EXPLAIN EXECUTE {name}", {})])
    assert ("Seq Scan" not in str(plan.rows)) is renewed, plan.rows
