"""A campaign to thousands of groups in one request, against the bare inserts of its messages."""

import asyncio
import logging
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import psycopg
import structlog
from sqlalchemy import Table, delete, insert, select, text
from tests.support.app import open_test_runtime, running_app
from tests.support.cast import Cast, make_cast
from tests.support.clock import NOW, ManualClock
from tests.support.databases import in_own_loop, migrated, postgres_server
from tests.support.factories import make_number

from bench.figures import Figure
from groupline.cli import interpreter
from groupline.db import Announcements, Database
from groupline.ids import new_id
from groupline.models import ScheduledWhatsappMessage, WhatsappGroup, WhatsappMembership
from groupline.orgs.rules import Scope

GROUPS: Final = 3_000
RUNS: Final = 7
TIMES_THE_BARE_INSERTS: Final = 2.0
_TABLE: Final[Table] = ScheduledWhatsappMessage.__table__  # type: ignore[assignment]


async def run() -> list[Figure]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as home, postgres_server() as server:
        url = f"sqlite:///{Path(home) / 'bench.db'}"
        in_own_loop(migrated(url))
        figures = [in_own_loop(_figure("SQLite", url))]
        with server.migrated() as postgresql:
            figures.append(in_own_loop(_figure("PostgreSQL", postgresql)))
    return figures


async def _figure(kind: str, url: str) -> Figure:
    """The request and the inserts take turns, so that a slow moment of the machine is of both."""
    database = Database(url, announcements=Announcements())
    ours, bare = [], []
    try:
        async with database.writing() as session:
            cast = await make_cast(session)
            number_id = (await make_number(session, organization_id=cast.organization_id)).id
        groups = await _fill(database, cast, number_id)
        body = _body(number_id, groups)
        async with (
            open_test_runtime(database, ManualClock()) as runtime,
            running_app(runtime) as app,
            await app.client_of(cast.owner, *Scope) as client,
        ):
            interpreter.tune()  # as in the process that serves
            for _ in range(RUNS):
                ours.append(await _request(client, body))
                rows = await _rows(database)
                await _empty(database)
                bare.append(await asyncio.to_thread(_insert, database, url, rows))
                await _empty(database)
    finally:
        await database.dispose()
    return Figure(
        f"a campaign to {GROUPS:,} groups in one request, {kind}",
        statistics.median(ours) * 1000,
        statistics.median(bare) * 1000,
        "ms",
        "the bare inserts",
        TIMES_THE_BARE_INSERTS,
    )


def _body(number_id: UUID, groups: Sequence[UUID]) -> dict[str, Any]:
    return {
        "name": "Bench",
        "numberId": str(number_id),
        "groupIds": [str(each) for each in groups],
        "content": "Hello {group_name}, this is {organization}. We are live on Saturday.",
        "scheduledFor": (NOW + timedelta(days=1)).isoformat(),
        "start": True,
    }


async def _request(client: httpx.AsyncClient, body: dict[str, Any]) -> float:
    """From the request to its answer: checks, texts, rows, journal, counts, commit."""
    started = time.perf_counter()
    response = await client.post("/api/v1/campaigns", json=body)
    seconds = time.perf_counter() - started
    assert response.status_code == 201, response.text
    assert response.json()["counts"]["pending"] == GROUPS
    return seconds


async def _fill(database: Database, cast: Cast, number_id: UUID) -> list[UUID]:
    ids = [new_id() for _ in range(GROUPS)]
    common: dict[str, Any] = {"organization_id": cast.organization_id, "created_at": NOW}
    groups = [
        {**common, "id": each, "group_jid": f"{120363000000000000 + n}@g.us", "group_name": f"G{n}"}
        for n, each in enumerate(ids)
    ]
    members = [
        {**common, "id": new_id(), "number_id": number_id, "group_id": each, "synced_at": NOW}
        for each in ids
    ]
    async with database.writing() as session:
        await session.execute(insert(WhatsappGroup), groups)
        await session.execute(insert(WhatsappMembership), members)
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))
    return ids


# The bare inserts: the rows that the request has written, as the driver takes them


async def _rows(database: Database) -> list[tuple[Any, ...]]:
    async with database.reading() as session:
        rows = (await session.execute(select(_TABLE).order_by(_TABLE.c.id))).all()
    is_sqlite = database.dialect == "sqlite"
    return [tuple(map(_stored, row)) if is_sqlite else tuple(row) for row in rows]


async def _empty(database: Database) -> None:
    async with database.writing() as session:
        await session.execute(delete(ScheduledWhatsappMessage))
        await session.execute(text("DELETE FROM notification_campaigns WHERE name <> 'Bench'"))


def _stored(value: Any) -> Any:
    """SQLite stores ids and times as text."""
    if isinstance(value, UUID):
        return value.hex
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


def _insert(database: Database, url: str, rows: Sequence[tuple[Any, ...]]) -> float:
    is_sqlite = database.dialect == "sqlite"
    marks = ", ".join(["?" if is_sqlite else "%s"] * len(_TABLE.c))
    names = ", ".join(column.name for column in _TABLE.c)
    statement = f"INSERT INTO {_TABLE.name} ({names}) VALUES ({marks})"
    with closing(_connect(database, url)) as connection:
        started = time.perf_counter()
        cursor = connection.cursor()
        if is_sqlite:
            cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(statement, rows)
        connection.commit()
        return time.perf_counter() - started


def _connect(database: Database, url: str) -> Any:
    if database.dialect != "sqlite":
        return psycopg.connect(url)
    connection = sqlite3.connect(str(database.url.database), isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection
