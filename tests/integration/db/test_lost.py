"""Connections to PostgreSQL that break at the wrong moment, or say nothing any more."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from tests.integration.db.test_direct import names, write
from tests.support.clock import NOW
from tests.support.proxy import Proxy, proxy_to

from groupline.clock import SystemClock
from groupline.db import (
    RESYNC,
    Announcement,
    Announcements,
    Database,
    PostgresListener,
    Statement,
    announce,
    engine,
)
from groupline.db import listen as listening
from groupline.db.failures import OutcomeUnknown, explained, is_unreachable
from groupline.db.punctual import ANSWER_SECONDS, PROMPT_SECONDS, Silence, patience
from groupline.ids import new_id
from groupline.models import Lease

pytestmark = pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    async with proxy_to(database_url) as proxy:
        yield proxy


@pytest.fixture
async def there(proxy: Proxy) -> AsyncIterator[Database]:
    """The database, by way of the proxy; it has one connection."""
    url = f"{proxy.url}?connect_timeout=2"
    database = Database(url, announcements=Announcements(), pool_size=1)
    yield database
    await database.dispose()


async def save(database: Database, name: str) -> None:
    async with database.writing() as session:
        session.add(Lease(name=name, owner="worker", expires_at=NOW))


@contextmanager
def soon() -> Iterator[None]:
    """It took less than any answer is waited for where a test does not say how long, and may take
    much longer than the test says: the machine may be busy."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < PROMPT_SECONDS - 3


@pytest.mark.parametrize("on_the_way", [True, False])
async def test_a_connection_lost_at_the_commit_leaves_the_outcome_open(
    proxy: Proxy, there: Database, database: Database, *, on_the_way: bool
) -> None:
    proxy.lose_the_answer_to(b"COMMIT", on_the_way=on_the_way)
    with pytest.raises(OutcomeUnknown) as raised:
        await save(there, "one")
    assert proxy.lost == 1
    assert await names(database) == ([] if on_the_way else ["one"]), "it can be either"

    problem = explained(raised.value, changes=True).problem()
    assert (problem["status"], problem["code"]) == (500, "db_outcome_unknown")
    assert "othing was changed" not in str(problem)

    await save(there, "two")
    assert "two" in await names(database)


async def test_a_connection_lost_before_the_commit_has_changed_nothing(
    proxy: Proxy, there: Database, database: Database
) -> None:
    proxy.lose_the_answer_to(b"INSERT")
    with pytest.raises(OperationalError) as raised:
        await save(there, "one")
    assert await names(database) == []
    assert explained(raised.value, changes=True).detail == (
        "The database cannot be reached right now. Nothing was changed."
    )


async def test_a_silent_server_is_given_up_and_its_place_is_free_again(
    proxy: Proxy, there: Database, database: Database
) -> None:
    await there.ping()

    async def look() -> None:
        async with there.reading() as session:
            await session.execute(text("SELECT 1"))
            proxy.go_silent()
            await session.execute(text("SELECT 1"))

    with soon(), patience(0.3), pytest.raises(OperationalError) as raised:
        await look()
    assert isinstance(raised.value.orig, Silence)
    assert is_unreachable(raised.value)
    proxy.fail_over()
    await save(there, "one")
    assert await names(database) == ["one"]


async def test_a_connection_that_went_silent_while_nobody_asked_is_soon_replaced(
    proxy: Proxy, there: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a failover leaves it: the old connection says nothing, a new one is answered."""
    monkeypatch.setattr(engine, "PROBE_SECONDS", 0.3)
    await there.ping()
    proxy.go_silent()
    proxy.fail_over()
    with soon():
        await there.ping()


async def test_nobody_waits_for_ever_for_a_new_connection(proxy: Proxy, there: Database) -> None:
    proxy.go_silent()
    with soon(), pytest.raises(OperationalError) as raised:
        await there.ping()
    assert is_unreachable(raised.value)


async def test_a_silent_commit_leaves_the_outcome_open(proxy: Proxy, there: Database) -> None:
    async def save_slowly() -> None:
        async with there.writing() as session:
            session.add(Lease(name="one", owner="worker", expires_at=NOW))
            await session.flush()
            proxy.go_silent()

    with soon(), patience(0.3), pytest.raises(OutcomeUnknown):
        await save_slowly()


async def test_what_takes_long_is_not_silent_while_it_tells_something(
    database: Database,
) -> None:
    rows = text("SELECT pg_sleep(0.1), repeat('x', 20000) FROM generate_series(1, 25)")
    with patience(2):  # less than all of them take, and much longer than from one to the next
        async with database.reading() as session:
            assert len((await session.execute(rows)).all()) == 25


async def test_a_whole_transaction_in_one_trip_gives_a_silent_server_up(
    proxy: Proxy, there: Database, database: Database
) -> None:
    await there.carry_out([write("one")])
    proxy.go_silent()
    with soon(), patience(0.3), pytest.raises(Silence):
        await there.carry_out([write("two")])
    proxy.fail_over()
    await there.carry_out([write("three")])
    assert await names(database) == ["one", "three"]


async def test_claims_and_results_wait_less_than_a_loop_does(
    proxy: Proxy, there: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PROMPT_SECONDS", 0.3)
    await there.carry_out([write("one")])
    proxy.go_silent()
    with soon(), pytest.raises(Silence):
        await there.carry_out([write("two")])


async def test_a_frozen_server_process_is_given_up(database: Database, database_url: str) -> None:
    """It still acknowledges what it is sent: no keepalive tells."""
    async with database.reading() as session:
        pid = await session.scalar(select(func.pg_backend_pid()))
        assert pid is not None
        try:
            os.kill(pid, signal.SIGSTOP)
            with soon(), patience(0.3), pytest.raises(DBAPIError):
                await session.execute(text("SELECT 1"))
        finally:
            os.kill(pid, signal.SIGCONT)
    await database.ping()


async def test_a_task_that_is_cancelled_does_not_wait_for_a_silent_server(
    proxy: Proxy, there: Database
) -> None:
    asked = asyncio.Event()

    async def look() -> None:
        async with there.reading() as session:
            await session.execute(text("SELECT 1"))
            proxy.go_silent()
            asked.set()
            await session.execute(text("SELECT 1"))

    looking = asyncio.create_task(look())
    await asked.wait()
    await asyncio.sleep(0.1)  # until it waits for the answer
    with soon():
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
    proxy.fail_over()
    await there.ping()


async def test_the_listener_notices_silence_and_listens_again(
    proxy: Proxy, there: Database, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Announcement("groups", new_id(), None)
    async with there.announcements.subscribe() as heard:
        listener = PostgresListener(there, SystemClock(), quiet_seconds=0.2)
        task = asyncio.create_task(listener.run())
        assert await anext(heard) == RESYNC
        with monkeypatch.context() as patched:  # only for now: later it must not be impatient
            patched.setattr(listening, "PROBE_SECONDS", 0.3)
            proxy.go_silent()
            await asyncio.sleep(0.3)
            proxy.fail_over()
            assert await anext(heard) == RESYNC
        async with database.writing() as session:
            await announce(session, "groups", organization_id=told.organization_id, subject_id=None)
        assert await anext(heard) == told
        task.cancel()
        await asyncio.wait([task])


async def listening_processes(database: Database) -> set[tuple[int, datetime]]:
    """Their ids, and when each was last told or asked something."""
    asked = text(
        "SELECT pid, query_start FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'groupline-listen'"
    )
    async with database.reading() as session:
        return {(row.pid, row.query_start) for row in await session.execute(asked)}


async def test_a_listener_with_nothing_to_hear_stays_connected_until_it_gets_no_answer(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short its patience is: it has asked nothing while it listens."""
    with patience(0.4):
        listener = PostgresListener(database, SystemClock(), quiet_seconds=0.5)
        task = asyncio.create_task(listener.run())
    async with database.announcements.subscribe() as heard, asyncio.timeout(60):
        assert await anext(heard) == RESYNC
        seen: set[tuple[int, datetime]] = set()
        while len(seen) < 4:  # it is told to listen, and asked three times whether it is there
            seen |= await listening_processes(database)
            await asyncio.sleep(0.05)
        [pid] = {pid for pid, _ in seen}

        monkeypatch.setattr(listening, "PROBE_SECONDS", 0.3)
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await anext(heard) == RESYNC
        finally:
            os.kill(pid, signal.SIGCONT)
    task.cancel()
    await asyncio.wait([task])


async def test_the_kernel_is_told_how_soon_to_give_a_peer_up(
    database: Database, database_url: str
) -> None:
    async with database.reading() as session:
        raw = await (await session.connection()).get_raw_connection()
        driver = raw.driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        with socket.socket(fileno=os.dup(driver.fileno())) as copy:
            keepalive = copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            unacknowledged = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert keepalive
    assert 0 < idle < ANSWER_SECONDS
    assert 0 < unacknowledged < ANSWER_SECONDS * 1000


async def test_what_the_url_says_about_the_connection_counts(database_url: str) -> None:
    url = f"{database_url}?keepalives_idle=77&application_name=mine"
    database = Database(url, announcements=Announcements())
    async with database.reading() as session:
        driver = (await (await session.connection()).get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        assert driver.info.get_parameters()["keepalives_idle"] == "77"
        assert driver.info.get_parameters()["application_name"] == "mine"
    await database.dispose()


async def test_the_server_is_told_how_soon_to_give_us_up(database: Database) -> None:
    """Those who are cut off from it would hold their locks for hours otherwise."""
    told = text("SELECT name, setting FROM pg_settings WHERE source = 'session'")
    async with database.reading() as session:
        pooled = {str(name): str(value) for name, value in await session.execute(told)}
    (answer,) = await database.carry_out([Statement(told.text, {})])
    direct = dict(answer.rows)
    assert int(direct["lock_timeout"]) < PROMPT_SECONDS * 1000
    for settings in (pooled, direct):
        assert 0 < int(settings["idle_in_transaction_session_timeout"]) <= 20_000
        assert 0 < int(settings["lock_timeout"]) <= 20_000
        assert 0 < int(settings["tcp_keepalives_idle"]) <= 10
        assert 0 < int(settings["tcp_user_timeout"]) <= 15_000
        assert 0 < int(settings["client_connection_check_interval"]) <= 10_000


@asynccontextmanager
async def lock_held(database: Database) -> AsyncIterator[asyncio.Task[None]]:
    """By a transaction that goes on, and ends, at the end of the block."""
    has_it, may_go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.writing() as session:
            await session.execute(text("LOCK TABLE leases"))
            has_it.set()
            await may_go_on.wait()
            await session.execute(text("SELECT 1"))

    holding = asyncio.create_task(hold())
    await has_it.wait()
    yield holding
    may_go_on.set()
    await asyncio.wait([holding])


async def test_who_idles_in_a_transaction_is_ended_and_holds_nobody_up(
    database_url: str, database: Database
) -> None:
    url = f"{database_url}?options=-c%20idle_in_transaction_session_timeout=300ms"
    idle = Database(url, announcements=Announcements())
    async with lock_held(idle) as holding:
        with soon():
            await save(database, "one")
    with pytest.raises(DBAPIError) as raised:
        await holding
    assert is_unreachable(raised.value)
    await idle.ping()
    await idle.dispose()


async def test_who_waits_for_a_lock_gives_up_and_has_changed_nothing(
    database_url: str, database: Database
) -> None:
    url = f"{database_url}?options=-c%20lock_timeout=200ms"
    waiting = Database(url, announcements=Announcements())
    async with lock_held(database) as holding:
        with soon(), pytest.raises(OperationalError) as raised:
            await save(waiting, "one")
    problem = explained(raised.value, changes=True).problem()
    assert (problem["status"], problem["code"]) == (503, "db_unreachable")
    assert "held up" in str(problem["detail"])
    assert "Nothing was changed." in str(problem["detail"])
    await holding
    await save(waiting, "two")
    assert await names(database) == ["two"]
    await waiting.dispose()


async def test_the_migrations_may_take_their_time(database: Database) -> None:
    engine_of_migrations = engine.migration_engine(database.url)
    async with engine_of_migrations.begin() as connection:
        assert await connection.scalar(text("SHOW lock_timeout")) == "0"
    await engine_of_migrations.dispose()
