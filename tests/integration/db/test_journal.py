"""The journal is written with what it tells of, and can be followed without a gap."""

from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from structlog.testing import capture_logs
from tests.support.cast import Cast
from tests.support.clock import NOW

from groupline.db import Announcement, Announcements, Database
from groupline.ids import new_id
from groupline.journal import (
    START,
    SYSTEM,
    Actor,
    Entry,
    cursor_of,
    load_cursor,
    newest,
    newest_cursor,
    read_after,
    realign_after_restore,
    record,
    record_all,
    save_cursor,
)


async def tell(
    session: AsyncSession,
    action: str,
    organization_id: UUID | None = None,
    subject_id: UUID | None = None,
) -> UUID:
    return await record(
        session,
        action=action,
        actor=SYSTEM,
        organization_id=organization_id,
        subject="number",
        subject_id=subject_id,
        data={"groups": 27},
        at=NOW,
    )


async def actions_after_start(database: Database) -> list[str]:
    async with database.reading() as session:
        return [entry.action for entry in await read_after(session, None, START, 100)]


async def test_an_entry_keeps_what_was_told(database: Database, cast: Cast) -> None:
    actor = Actor("user", "Owner", cast.owner.user_id)
    subject_id = new_id()
    async with database.writing() as session:
        entry_id = await record(
            session,
            action="number.taken_over",
            actor=actor,
            organization_id=cast.organization_id,
            subject="number",
            subject_id=subject_id,
            data={"workshops": 3},
            at=NOW,
        )
    async with database.reading() as session:
        (entry,) = await newest(session, cast.organization_id)
    assert (entry.id, entry.action, entry.at) == (entry_id, "number.taken_over", NOW)
    assert (entry.subject, entry.subject_id, entry.data) == ("number", subject_id, {"workshops": 3})
    assert (entry.actor_kind, entry.actor_label) == ("user", "Owner")
    assert entry.actor_id == str(cast.owner.user_id)


def test_an_actor_has_a_short_reference() -> None:
    assert Actor("user", "Owner", UUID(int=1)).reference == f"user:{UUID(int=1)}"
    assert SYSTEM.reference == "system"


async def test_a_rollback_leaves_no_entry(database: Database) -> None:
    with suppress(ZeroDivisionError):
        async with database.writing() as session:
            await tell(session, "never")
            raise ZeroDivisionError
    assert await actions_after_start(database) == []


async def test_entries_are_announced(
    database: Database, announcements: Announcements, cast: Cast
) -> None:
    async with announcements.subscribe() as heard:
        async with database.writing() as session:
            await tell(session, "one", cast.organization_id)
        if database.dialect == "sqlite":  # PostgreSQL tells the listener, see the announcements
            assert await anext(heard) == Announcement("journal", cast.organization_id, None)


async def test_a_reader_goes_on_where_it_stopped(database: Database) -> None:
    async with database.writing() as session:
        await record_all(
            session,
            [
                Entry(
                    action=str(n),
                    actor=SYSTEM,
                    organization_id=None,
                    subject="test",
                    subject_id=None,
                    at=NOW,
                )
                for n in range(5)
            ],
        )
    seen: list[str] = []
    while True:
        async with database.writing() as session:
            cursor = await load_cursor(session, "alerts") or START
            entries = await read_after(session, None, cursor, 2)
            if not entries:
                break
            seen += [entry.action for entry in entries]
            await save_cursor(session, "alerts", cursor_of(entries[-1]))
    assert seen == ["0", "1", "2", "3", "4"]


async def test_a_new_reader_can_begin_with_what_comes(database: Database) -> None:
    async with database.writing() as session:
        await tell(session, "past")
    async with database.reading() as session:
        cursor = await newest_cursor(session)
    async with database.writing() as session:
        await tell(session, "future")
    async with database.reading() as session:
        entries = await read_after(session, None, cursor, 10)
    assert [entry.action for entry in entries] == ["future"]


async def test_a_reader_of_one_organization_sees_no_other(database: Database, cast: Cast) -> None:
    async with database.writing() as session:
        await tell(session, "inside", cast.organization_id)
        await tell(session, "outside", cast.outside_organization_id)
        await tell(session, "installation")
    async with database.reading() as session:
        followed = await read_after(session, cast.organization_id, START, 10)
        paged = await newest(session, cast.organization_id)
    assert [entry.action for entry in followed] == ["inside"]
    assert [entry.action for entry in paged] == ["inside"]


async def test_pages_go_back_in_time_and_can_be_about_one_subject(
    database: Database, cast: Cast
) -> None:
    subject_id = new_id()
    async with database.writing() as session:
        for n in range(4):
            await tell(session, str(n), cast.organization_id, subject_id if n % 2 else None)
    async with database.reading() as session:
        first = await newest(session, cast.organization_id, limit=2)
        second = await newest(session, cast.organization_id, before=first[-1].position, limit=2)
        about = await newest(session, cast.organization_id, subject_id=subject_id)
    assert [entry.action for entry in first + second] == ["3", "2", "1", "0"]
    assert [entry.action for entry in about] == ["3", "1"]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_an_entry_that_commits_late_is_not_missed(database: Database) -> None:
    """It took its position first; a reader that had gone past it would never see it."""
    async with database.writing() as slow:
        await tell(slow, "slow")
        async with database.writing() as quick:
            await tell(quick, "quick")
        assert await actions_after_start(database) == []
        async with database.reading() as session:
            cursor = await newest_cursor(session)
    assert await actions_after_start(database) == ["slow", "quick"]
    async with database.reading() as session:
        entries = await read_after(session, None, cursor, 10)
    assert [entry.action for entry in entries] == ["slow", "quick"]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_a_restored_journal_is_read_on_without_loss(database: Database) -> None:
    async with database.writing() as session:
        await tell(session, "read")
    async with database.writing() as session:
        await tell(session, "unread")
        # As a dump from a cluster whose transactions were far ahead.
    async with database.writing() as session:
        await session.execute(text("UPDATE journal SET transaction_id = transaction_id + 1000000"))
    async with database.writing() as session:
        read = (await newest(session, None))[-1]
        await save_cursor(session, "alerts", cursor_of(read))
    assert await actions_after_start(database) == []

    async with database.writing() as session:
        assert await realign_after_restore(session)
    async with database.writing() as session:
        assert not await realign_after_restore(session)
        await tell(session, "new")

    async with database.reading() as session:
        cursor = await load_cursor(session, "alerts")
        assert cursor is not None
        entries = await read_after(session, None, cursor, 10)
    assert [entry.action for entry in entries] == ["unread", "new"]


async def test_what_was_committed_is_logged_without_its_data(
    database: Database, cast: Cast
) -> None:
    number_id = new_id()
    with capture_logs() as logged:
        with suppress(LookupError):
            async with database.writing() as session:
                await tell(session, "number.forgotten", cast.organization_id, number_id)
                raise LookupError
        async with database.writing() as session:
            await tell(session, "number.connected", cast.organization_id, number_id)
            assert logged == []
    assert logged == [
        {
            "event": "number.connected",
            "log_level": "info",
            "by": "system",
            "organization_id": str(cast.organization_id),
            "number_id": str(number_id),
        }
    ]
