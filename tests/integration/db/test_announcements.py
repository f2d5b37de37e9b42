"""Announcements go out after the commit, to every process, and are never missing."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import text

from groupline.clock import SystemClock
from groupline.db import (
    RESYNC,
    Announcement,
    Announcements,
    Database,
    PostgresListener,
    Subscription,
    announce,
)
from groupline.ids import new_id

ONE = Announcement("groups", new_id(), new_id())

ELSEWHERE = """
import asyncio, sys, uuid
from groupline.db import Announcements, Database, announce

async def main():
    database = Database(sys.argv[1], announcements=Announcements())
    async with database.writing() as session:
        organization_id, subject_id = uuid.UUID(sys.argv[2]), uuid.UUID(sys.argv[3])
        await announce(
            session, "groups", organization_id=organization_id, subject_id=subject_id
        )
    await database.dispose()

asyncio.run(main())
"""


async def announce_in(database: Database, *announcements: Announcement) -> None:
    async with database.writing() as session:
        for each in announcements:
            assert each.topic != "everything"
            await announce(
                session,
                each.topic,
                organization_id=each.organization_id,
                subject_id=each.subject_id,
            )


@asynccontextmanager
async def hearing(
    database: Database, *, quiet_seconds: float = 30.0
) -> AsyncIterator[Subscription]:
    """What this process hears, as the product sets it up; the first RESYNC is taken off."""
    async with database.announcements.subscribe() as heard:
        if database.dialect == "sqlite":
            yield heard
            return
        listener = PostgresListener(database, SystemClock(), quiet_seconds=quiet_seconds)
        listening = asyncio.create_task(listener.run())
        assert await anext(heard) == RESYNC
        try:
            yield heard
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


async def test_an_announcement_is_heard_after_the_commit(database: Database) -> None:
    async with hearing(database) as heard:
        await announce_in(database, ONE)
        assert await anext(heard) == ONE


async def test_a_rollback_announces_nothing(database: Database) -> None:
    later = Announcement("numbers", None, None)
    async with hearing(database) as heard:
        with suppress(ZeroDivisionError):
            async with database.writing() as session:
                await announce(session, "groups", organization_id=None, subject_id=None)
                raise ZeroDivisionError
        await announce_in(database, later)
        assert await anext(heard) == later


async def test_nothing_is_heard_before_the_commit(database: Database) -> None:
    async with hearing(database) as heard:
        listening = asyncio.ensure_future(anext(heard))
        async with database.writing() as session:
            await announce(session, "groups", organization_id=None, subject_id=None)
            await session.execute(text("SELECT 1"))
            assert not listening.done()
        assert await listening == Announcement("groups", None, None)


async def test_a_transaction_announces_each_thing_once(database: Database) -> None:
    other = Announcement("groups", ONE.organization_id, new_id())
    async with hearing(database) as heard:
        await announce_in(database, ONE, other, ONE)
        assert {await anext(heard), await anext(heard)} == {ONE, other}
        end = Announcement("alerts", None, None)
        await announce_in(database, end)
        assert await anext(heard) == end


async def test_many_of_one_topic_become_one(database: Database) -> None:
    organization_id = new_id()
    many = [Announcement("messages", organization_id, new_id()) for _ in range(500)]
    async with hearing(database) as heard:
        await announce_in(database, *many)
        assert await anext(heard) == Announcement("messages", organization_id, None)


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_another_process_is_heard(database: Database, database_url: str) -> None:
    async with hearing(database) as heard:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ELSEWHERE, database_url),
            *(str(ONE.organization_id), str(ONE.subject_id)),
        )
        assert await anext(heard) == ONE
        assert await process.wait() == 0


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_nothing_is_lost_while_the_listener_checks_its_connection(
    database: Database,
) -> None:
    async with hearing(database, quiet_seconds=0.001) as heard:
        for _ in range(50):
            announcement = Announcement("groups", None, new_id())
            await announce_in(database, announcement)
            assert await anext(heard) == announcement


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_listener_that_lost_its_connection_fetches_everything(database: Database) -> None:
    async with hearing(database) as heard:
        async with database.writing() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'groupline-listen'"
                    " AND datname = current_database()"
                )
            )
        assert await anext(heard) == RESYNC
        await announce_in(database, ONE)
        assert await anext(heard) == ONE


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "payload", ["", "x", "[]", "{}", '["groups", "no-id", null]', '["news", null, null]', "1"]
)
async def test_a_payload_of_another_version_may_mean_anything(
    database: Database, payload: str
) -> None:
    async with hearing(database) as heard:
        async with database.writing() as session:
            await session.execute(text("SELECT pg_notify('groupline', :it)"), {"it": payload})
        assert await anext(heard) == RESYNC


async def test_a_subscriber_that_fell_behind_fetches_everything() -> None:
    announcements = Announcements(queue_size=3)
    async with announcements.subscribe() as slow, announcements.subscribe() as quick:
        for _ in range(10):
            announcement = Announcement("groups", None, new_id())
            announcements.publish(announcement)
            assert await anext(quick) == announcement
        announcements.close()
        assert [each async for each in slow] == [RESYNC]


async def test_what_waits_twice_is_heard_once() -> None:
    announcements = Announcements()
    async with announcements.subscribe() as heard:
        announcements.publish(ONE, ONE)
        announcements.close()
        assert [each async for each in heard] == [ONE]


async def test_closing_ends_those_who_wait_and_those_who_come() -> None:
    announcements = Announcements()
    async with announcements.subscribe() as heard:
        waiting = asyncio.ensure_future(anext(heard, None))
        await asyncio.sleep(0)
        announcements.close()
        assert await waiting is None
    async with announcements.subscribe() as late:
        assert [each async for each in late] == []
