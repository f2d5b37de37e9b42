"""A sync of 5,000 groups against the bare statements, and search pages over 100,000 groups."""

import asyncio
import logging
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import psycopg
import structlog
from sqlalchemy import Uuid, bindparam, insert, text
from tests.support.app import open_test_runtime, running_app
from tests.support.cast import Cast, make_cast
from tests.support.clock import ManualClock
from tests.support.databases import in_own_loop, migrated, postgres_server
from tests.support.factories import make_number

from bench.figures import Figure
from groupline.db import Announcements, Database
from groupline.gateways.port import GatewayGroup, GroupListing
from groupline.groups.names import search_name
from groupline.groups.sync import write_listing
from groupline.ids import new_id
from groupline.models import WhatsappGroup, WhatsappMembership
from groupline.orgs.rules import Scope

GROUPS: Final = 5_000
SEARCHED: Final = 100_000
RUNS: Final = 5
PAGES: Final = 25
TIMES_THE_BARE_STATEMENTS: Final = 3.0
PAGE_MILLISECONDS: Final = 20.0

_AT: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_GROUP_COLUMNS: Final = (
    "id organization_id group_jid group_name search_name participant_count is_community"
    " is_community_announce announce_only synced_at created_at"
).split()
_MEMBERSHIP_COLUMNS: Final = (
    "id organization_id number_id group_id is_admin is_active synced_at created_at"
).split()


async def run() -> list[Figure]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    figures: list[Figure] = []
    with _fresh_databases() as fresh:
        for kind, url in fresh.items():
            figures += in_own_loop(_sync_figures(kind, url))
        for kind, url in fresh.items():
            figures += in_own_loop(_search_figures(kind, url))
    return figures


@contextmanager
def _fresh_databases() -> Iterator[dict[str, Callable[[], str]]]:
    """What makes an empty database with the schema, by kind."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres_server())

        def sqlite() -> str:
            url = f"sqlite:///{home / f'{new_id()}.db'}"
            in_own_loop(migrated(url))
            return url

        yield {
            "SQLite": sqlite,
            "PostgreSQL": lambda: stack.enter_context(server.migrated()),
        }


# A sync


@dataclass(frozen=True, slots=True)
class _Place:
    url: str
    database: Database
    cast: Cast
    number_id: UUID

    @property
    def organization_id(self) -> UUID:
        return self.cast.organization_id


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[_Place]:
    database = Database(url, announcements=Announcements())
    try:
        async with database.writing() as session:
            cast = await make_cast(session)
            number = await make_number(session, organization_id=cast.organization_id)
        yield _Place(url, database, cast, number.id)
    finally:
        await database.dispose()


def _listing(participants: int, season: str = "spring") -> GroupListing:
    groups = tuple(
        GatewayGroup(
            jid=f"{120363000000000000 + number}@g.us",
            name=f"Workshop {number:05d} of the {season}, Café Québec",
            participant_count=participants,
            is_admin=number % 3 == 0,
        )
        for number in range(GROUPS)
    )
    return GroupListing(groups=groups, complete=True, reported=GROUPS)


async def _sync_figures(kind: str, fresh: Callable[[], str]) -> list[Figure]:
    first, changed, renamed, unchanged = [], [], [], []
    bare_first, bare_changed, bare_renamed, bare_unchanged = [], [], [], []
    for _ in range(RUNS):
        async with _opened(await asyncio.to_thread(fresh)) as place:
            bare = _Bare(place)
            bare_first.append(bare.insert_all())
            bare_changed.append(bare.change_all())
            bare_unchanged.append(bare.read_all())
            bare_renamed.append(bare.rename_all())
        async with _opened(await asyncio.to_thread(fresh)) as place:
            before, after, autumn = _listing(10), _listing(11), _listing(11, "autumn")
            first.append(await _sync(place, before, _AT))
            changed.append(await _sync(place, after, _AT + timedelta(1)))
            unchanged.append(await _sync(place, after, _AT + timedelta(2)))
            renamed.append(await _sync(place, autumn, _AT + timedelta(3)))
    return [
        _sync_figure(f"{GROUPS:,} new groups, {kind}", first, bare_first),
        _sync_figure(f"{GROUPS:,} groups, only counts change, {kind}", changed, bare_changed),
        _sync_figure(f"{GROUPS:,} groups, nothing changes, {kind}", unchanged, bare_unchanged),
        _sync_figure(f"{GROUPS:,} groups, all names change, {kind}", renamed, bare_renamed),
    ]


def _sync_figure(
    what: str,
    ours: Sequence[float],
    bare: Sequence[float],
) -> Figure:
    return Figure(
        f"sync of {what}",
        statistics.median(ours) * 1000,
        statistics.median(bare) * 1000,
        "ms",
        "the bare statements",
        TIMES_THE_BARE_STATEMENTS,
    )


async def _sync(place: _Place, listing: GroupListing, at: datetime) -> float:
    """From the list in memory to the commit, counts included."""
    started = time.perf_counter()
    async with place.database.writing() as session:
        result = await write_listing(
            session, place.organization_id, place.number_id, listing, at=at
        )
    seconds = time.perf_counter() - started
    assert result.saved_count == GROUPS
    return seconds


class _Bare:
    """The same rows, read and written by the driver alone, with every value computed beforehand."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._groups = [self._group(group) for group in _listing(10).groups]
        self._memberships = [
            self._encoded(
                new_id(), place.organization_id, place.number_id, row[0], False, True, _AT, _AT
            )
            for row in self._groups
        ]

    def insert_all(self) -> float:
        return self._timed(
            (self._insert("whatsapp_groups", _GROUP_COLUMNS), self._groups),
            (self._insert("whatsapp_memberships", _MEMBERSHIP_COLUMNS), self._memberships),
        )

    def change_all(self) -> float:
        mark = self._mark
        statement = (
            f"UPDATE whatsapp_groups SET participant_count = {mark}, synced_at = {mark}"
            f" WHERE organization_id = {mark} AND group_jid = {mark}"
        )
        rows = [(11, row[-1], row[1], row[2]) for row in self._groups]
        return self._timed((statement, rows), reads=True)

    def read_all(self) -> float:
        return self._timed(reads=True)

    def rename_all(self) -> float:
        mark = self._mark
        statement = (
            f"UPDATE whatsapp_groups SET group_name = {mark}, search_name = {mark},"
            f" synced_at = {mark} WHERE organization_id = {mark} AND group_jid = {mark}"
        )
        rows = [
            (group.name, search_name(group.name, group.jid), row[-1], row[1], row[2])
            for group, row in zip(_listing(10, "autumn").groups, self._groups, strict=True)
        ]
        return self._timed((statement, rows), reads=True)

    @property
    def _is_sqlite(self) -> bool:
        return self._place.database.dialect == "sqlite"

    @property
    def _mark(self) -> str:
        return "?" if self._is_sqlite else "%s"

    def _insert(self, table: str, columns: Sequence[str]) -> str:
        marks = ", ".join([self._mark] * len(columns))
        return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"

    def _group(self, group: GatewayGroup) -> tuple[Any, ...]:
        return self._encoded(
            new_id(),
            self._place.organization_id,
            group.jid,
            group.name,
            search_name(group.name, group.jid),
            group.participant_count,
            False,
            False,
            False,
            _AT,
            _AT,
        )

    def _encoded(self, *values: Any) -> tuple[Any, ...]:
        """SQLite stores ids and times as text."""
        if not self._is_sqlite:
            return values
        texts: dict[type, Callable[[Any], Any]] = {
            UUID: lambda value: value.hex,
            datetime: lambda value: value.strftime("%Y-%m-%d %H:%M:%S.%f"),
        }
        return tuple(texts.get(type(value), lambda same: same)(value) for value in values)

    @property
    def _read(self) -> str:
        """What is known of the groups: without it nobody could tell what has changed."""
        return (
            "SELECT group_jid, g.id, m.id, group_name, participant_count, is_community,"
            " is_community_announce, announce_only, invite_link, is_admin, is_active"
            " FROM whatsapp_memberships m"
            " JOIN whatsapp_groups g ON g.organization_id = m.organization_id AND g.id = group_id"
            f" WHERE m.organization_id = {self._mark} AND number_id = {self._mark}"
        )

    def _timed(self, *work: tuple[str, Sequence[Any]], reads: bool = False) -> float:
        of_number = self._encoded(self._place.organization_id, self._place.number_id)
        with closing(self._connect()) as connection:
            started = time.perf_counter()
            cursor = connection.cursor()
            if self._is_sqlite:
                cursor.execute("BEGIN IMMEDIATE")
            if reads:
                cursor.execute(self._read, of_number)
                assert len(cursor.fetchall()) == GROUPS
            for statement, rows in work:
                cursor.executemany(statement, rows)
            connection.commit()
            return time.perf_counter() - started

    def _connect(self) -> Any:
        url = self._place.database.url
        if not self._is_sqlite:
            return psycopg.connect(self._place.url)
        connection = sqlite3.connect(str(url.database), isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


# A search page


@dataclass(frozen=True, slots=True)
class _Search:
    what: str
    params: dict[str, Any]
    like: str | None
    """What the bare query looks for."""


async def _search_figures(kind: str, fresh: Callable[[], str]) -> list[Figure]:
    async with _opened(await asyncio.to_thread(fresh)) as place:
        await _fill(place)
        searches = [
            _Search("a rare word", {"q": "54321"}, "%54321%"),
            _Search("two words, other case", {"q": "QUEBEC café 0777"}, "%0777%"),
            _Search("a common word", {"q": "workshop"}, "%workshop%"),
            _Search("two letters", {"q": "zy"}, "%zy%"),
            _Search("no word", {}, None),
            _Search("of one number", {"numberId": str(place.number_id), "q": "spring"}, "%spring%"),
        ]
        figures: list[Figure] = []
        async with (
            open_test_runtime(place.database, ManualClock()) as runtime,
            running_app(runtime) as app,
            await app.client_of(place.cast.owner, Scope.READ) as client,
        ):
            for search in searches:
                figures += await _page_figures(kind, place, client, search)
        return figures


async def _page_figures(
    kind: str, place: _Place, client: httpx.AsyncClient, search: _Search
) -> list[Figure]:
    async def page() -> None:
        response = await client.get("/api/v1/groups", params=search.params)
        assert response.status_code == 200, response.text

    what = f"page of 50 of {SEARCHED:,} groups, {search.what}, {kind}"
    ours = await _median_milliseconds(page)
    bare = await _median_milliseconds(lambda: _bare_page(place, search))
    # A list of one number is asked for by its own groups, however many the organization has.
    limit = None if "numberId" in search.params else 1.0
    return [
        Figure(what, ours, bare, "ms", "the bare query"),
        Figure(what, ours, PAGE_MILLISECONDS, "ms", "the limit", limit),
    ]


async def _bare_page(place: _Place, search: _Search) -> None:
    """The same page and the same total, as one would type them into a console."""
    tables, condition = "whatsapp_groups", "whatsapp_groups.organization_id = :organization"
    values = {"organization": place.organization_id, "like": search.like}
    if "numberId" in search.params:
        tables += " JOIN whatsapp_memberships ON group_id = whatsapp_groups.id"
        condition += " AND number_id = :number"
        values["number"] = place.number_id
    if search.like is not None:
        condition += " AND search_name LIKE :like"
    count = f"SELECT count(*) FROM {tables} WHERE {condition}"
    page = f"SELECT whatsapp_groups.* FROM {tables} WHERE {condition} ORDER BY search_name LIMIT 51"
    bound = [bindparam(name, type_=Uuid()) for name in ("organization", "number") if name in values]
    async with place.database.reading() as session:
        for statement in (page, count):
            (await session.execute(text(statement).bindparams(*bound), values)).all()


async def _median_milliseconds(work: Callable[[], Awaitable[None]]) -> float:
    times = []
    for _ in range(PAGES):
        started = time.perf_counter()
        await work()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


async def _fill(place: _Place) -> None:
    """All groups are of one organization, and a part of them of the number."""
    ids = [new_id() for _ in range(SEARCHED)]
    names = [f"Workshop {number:06d} of the spring, Café Québec" for number in range(SEARCHED)]
    jids = [f"{120363000000000000 + 7 * number}@g.us" for number in range(SEARCHED)]
    common = {"organization_id": place.organization_id, "created_at": _AT, "synced_at": _AT}
    async with place.database.writing() as session:
        for start in range(0, SEARCHED, 10_000):
            rows = [
                common
                | {"id": ids[n], "group_jid": jids[n], "group_name": names[n]}
                | {"search_name": search_name(names[n], jids[n]), "participant_count": n % 500}
                for n in range(start, start + 10_000)
            ]
            await session.execute(insert(WhatsappGroup), rows)
        members = [
            common | {"id": new_id(), "number_id": place.number_id, "group_id": group_id}
            for group_id in ids[:: SEARCHED // GROUPS]
        ]
        await session.execute(insert(WhatsappMembership), members)
    async with place.database.writing() as session:
        await session.execute(text("ANALYZE"))
