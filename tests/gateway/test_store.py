"""The store: batches that keep their members apart, versions, and what is forgotten."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.gateway import running_gateway

from groupline_gateway.contract import WebhookType
from groupline_gateway.errors import StartRefused
from groupline_gateway.ledger import KEPT
from groupline_gateway.store import Store
from groupline_gateway.webhooks import KEPT_AFTER_GIVING_UP, TRIED_FOR, Webhooks


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "gateway.db")
    await store.open()
    await store.migrate("notes", ("CREATE TABLE notes (text TEXT PRIMARY KEY)",))
    yield store
    await store.close()


async def _write(store: Store, text: str) -> int:
    return await store.write(
        lambda connection: connection.execute("INSERT INTO notes VALUES (?)", (text,)).rowcount
    )


async def _notes(store: Store) -> list[str]:
    rows = await store.read(
        lambda connection: connection.execute("SELECT text FROM notes ORDER BY text").fetchall()
    )
    return [row["text"] for row in rows]


async def test_one_failing_write_takes_nothing_of_the_others_with_it(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(_write(store, text) for text in ("a", "b", "a", "c")), return_exceptions=True
    )
    assert [isinstance(one, sqlite3.IntegrityError) for one in outcomes] == [
        False,
        False,
        True,
        False,
    ]
    assert await _notes(store) == ["a", "b", "c"]


async def test_half_a_write_is_no_write(store: Store) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ValueError("changed my mind")

    outcomes = await asyncio.gather(
        _write(store, "whole"), store.write(half), return_exceptions=True
    )
    assert isinstance(outcomes[1], ValueError)
    assert await _notes(store) == ["whole"]


async def test_writes_at_once_are_all_written(store: Store) -> None:
    """More than one batch holds."""
    await asyncio.gather(*(_write(store, str(number)) for number in range(450)))
    assert len(await _notes(store)) == 450


async def test_what_was_handed_in_is_written_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store = Store(path)
    await store.open()
    await store.migrate("notes", ("CREATE TABLE notes (text TEXT PRIMARY KEY)",))
    store.write_soon(lambda connection: _insert(connection, "late"), event="test.write_failed")
    await store.close()
    again = Store(path)
    await again.open()
    assert await _notes(again) == ["late"]
    await again.close()


def _insert(connection: sqlite3.Connection, text: str) -> None:
    connection.execute("INSERT INTO notes VALUES (?)", (text,))


async def test_scripts_are_applied_once_and_in_order(store: Store, tmp_path: Path) -> None:
    scripts = (
        "CREATE TABLE notes (text TEXT PRIMARY KEY)",
        "ALTER TABLE notes ADD COLUMN colour TEXT; INSERT INTO notes VALUES ('n', 'red')",
    )
    await store.migrate("notes", scripts)
    await store.migrate("notes", scripts)
    assert await _notes(store) == ["n"]


async def test_a_store_of_a_newer_gateway_is_refused(store: Store) -> None:
    await store.migrate("notes", ("CREATE TABLE notes (text TEXT)", "SELECT 1"))
    with pytest.raises(StartRefused, match="newer gateway"):
        await store.migrate("notes", ("CREATE TABLE notes (text TEXT)",))


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_text("this is not a database " * 100)
    with pytest.raises(StartRefused, match="cannot be opened"):
        await Store(path).open()


async def test_references_are_kept_for_ninety_days(tmp_path: Path, clock: ManualClock) -> None:
    async with running_gateway(tmp_path, clock=clock) as gateway:
        jid, *_ = await gateway.connect()
        await gateway.send(jid, "old")
        clock.advance(KEPT.total_seconds() - 10)
        await gateway.send(jid, "new")
        # The housekeeping looks again an hour later.
        await clock.sleepers()
        clock.advance(3600)
        while (await gateway.message_status("old"))["found"]:
            pass
        assert (await gateway.message_status("new"))["found"]


async def test_events_that_were_given_up_are_forgotten(store: Store, clock: ManualClock) -> None:
    webhooks = Webhooks(store, clock, url="http://127.0.0.1:9/hooks/1", secret="whsec_c2VjcmV0")
    await webhooks.emit(WebhookType.REACTION, {"n": 1})
    clock.advance(TRIED_FOR.total_seconds() + 1)
    await webhooks.run_once()
    assert await webhooks.pending() == 0
    await webhooks.forget_old()
    assert await _events(store) == 1
    clock.advance((KEPT_AFTER_GIVING_UP + timedelta(seconds=1)).total_seconds())
    await webhooks.forget_old()
    assert await _events(store) == 0
    await webhooks.stop()


async def _events(store: Store) -> int:
    return await store.read(
        lambda connection: int(
            connection.execute("SELECT count(*) FROM webhook_events").fetchone()[0]
        )
    )
