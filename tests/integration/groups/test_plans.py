"""The hot queries use their indexes, on both databases, with as many rows as somebody may have."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_number

from groupline.db import Database
from groupline.groups.names import search_name
from groupline.groups.queries import list_groups
from groupline.groups.saving import known_groups
from groupline.groups.schedule import due_numbers
from groupline.groups.schemas import GroupCursor, GroupFilter
from groupline.ids import new_id
from groupline.models import WhatsappGroup, WhatsappMembership, WhatsappNumber

pytestmark = pytest.mark.untouched_database

GROUPS = 12_000


@dataclass(frozen=True, slots=True)
class World:
    database: Database
    organization_id: UUID
    number_id: UUID


@dataclass(slots=True)
class Heard:
    """The statements that went to the database, as it got them."""

    statements: list[tuple[str, Any]] = field(default_factory=list)

    def note(self, _c: Any, _k: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.statements.append((statement, parameters))


@contextmanager
def hearing() -> Iterator[Heard]:
    heard = Heard()
    event.listen(Engine, "before_cursor_execute", heard.note)
    try:
        yield heard
    finally:
        event.remove(Engine, "before_cursor_execute", heard.note)


@pytest.fixture
async def world(database: Database, cast: Cast) -> World:
    """Two organizations with many groups, ten numbers in a tenth of them each."""
    async with database.writing() as session:
        own = [await make_number(session, organization_id=cast.organization_id) for _ in range(10)]
        for organization_id in (cast.organization_id, cast.outside_organization_id):
            groups = [_group(organization_id, number) for number in range(GROUPS)]
            await session.execute(insert(WhatsappGroup), groups)
            if organization_id == cast.organization_id:
                members = [
                    _member(organization_id, number.id, row["id"])
                    for place, number in enumerate(own)
                    for row in groups[place::10]
                ]
                await session.execute(insert(WhatsappMembership), members)
        numbers = [_number(cast.outside_organization_id, each) for each in range(5_000)]
        await session.execute(insert(WhatsappNumber), numbers)
    async with database.writing() as session:
        if database.dialect == "postgresql":  # what autovacuum does elsewhere
            await session.execute(
                text("SELECT gin_clean_pending_list('ix_whatsapp_groups_trigram')")
            )
        await session.execute(text("ANALYZE"))
    return World(database, cast.organization_id, own[0].id)


def _group(organization_id: UUID, number: int) -> dict[str, Any]:
    name, jid = f"Workshop {number:05d} of spring", f"{120363000000000000 + 7 * number}@g.us"
    return {
        "id": new_id(),
        "organization_id": organization_id,
        "group_jid": jid,
        "group_name": name,
        "search_name": search_name(name, jid),
        "created_at": NOW,
    }


def _member(organization_id: UUID, number_id: UUID, group_id: UUID) -> dict[str, Any]:
    return {
        "id": new_id(),
        "organization_id": organization_id,
        "number_id": number_id,
        "group_id": group_id,
        "created_at": NOW,
    }


def _number(organization_id: UUID, number: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "organization_id": organization_id,
        "phone_number": f"92{number:010d}",
        "created_at": NOW,
    }


async def plans_of(world: World, work: Callable[[AsyncSession], Awaitable[object]]) -> list[str]:
    """How the database carries out each statement of the work."""
    with hearing() as heard:
        async with world.database.reading() as session:
            await work(session)
    explain = "EXPLAIN QUERY PLAN " if world.database.dialect == "sqlite" else "EXPLAIN "
    plans = []
    async with world.database.reading() as session:
        connection = await session.connection()
        for statement, parameters in heard.statements:
            if statement.lstrip().upper().startswith(("SELECT", "WITH")):
                rows = await connection.exec_driver_sql(explain + statement, parameters)
                plans.append("\n".join(str(row[-1]) for row in rows))
    return plans


def has_sort(plan: str) -> bool:
    return "TEMP B-TREE FOR ORDER BY" in plan or "Sort Key" in plan


async def a_page_is_read_in_the_order_of_its_index(world: World) -> None:
    page, *_ = await plans_of(
        world, lambda session: list_groups(session, world.organization_id, GroupFilter())
    )

    assert "ix_whatsapp_groups_search" in page
    assert not has_sort(page)


async def a_page_in_the_middle_begins_where_the_last_one_ended(world: World) -> None:
    after = GroupCursor("workshop 06000 of spring", new_id())

    page, *_ = await plans_of(
        world,
        lambda session: list_groups(session, world.organization_id, GroupFilter(), after=after),
    )

    assert "ix_whatsapp_groups_search" in page
    assert not has_sort(page)
    boundary = {"sqlite": "(search_name,id)>(?,?)", "postgresql": "ROW(search_name"}
    assert boundary[world.database.dialect].replace(" ", "") in page.replace(" ", "").replace(
        "whatsapp_groups.", ""
    )


async def a_rare_word_is_found_by_the_index_of_names(world: World) -> None:
    plans = await plans_of(
        world,
        lambda session: list_groups(session, world.organization_id, GroupFilter(query="04711")),
    )

    if world.database.dialect == "sqlite":
        size, page, *_ = plans
        assert "VIRTUAL TABLE INDEX" in size
        assert "VIRTUAL TABLE INDEX" in page
        assert "SEARCH whatsapp_groups USING" in page
    else:
        assert "ix_whatsapp_groups_trigram" in plans[0]


async def a_common_word_is_read_in_order_until_the_page_is_full(world: World) -> None:
    plans = await plans_of(
        world,
        lambda session: list_groups(session, world.organization_id, GroupFilter(query="spring")),
    )

    page = plans[1] if world.database.dialect == "sqlite" else plans[0]
    assert "ix_whatsapp_groups_search" in page
    assert not has_sort(page)


async def a_page_of_a_number_with_many_groups_sorts_nothing(world: World) -> None:
    wanted = GroupFilter(number_id=world.number_id, query="spring", sendable=True)
    plans = await plans_of(
        world, lambda session: list_groups(session, world.organization_id, wanted)
    )

    (page,) = [plan for plan in plans if "ix_whatsapp_groups_search" in plan]
    assert not has_sort(page)
    if world.database.dialect == "postgresql":
        assert "Seq Scan on whatsapp_groups" not in "".join(plans)


async def the_memberships_of_a_page_are_looked_up_by_group(world: World) -> None:
    plans = await plans_of(
        world,
        lambda session: list_groups(
            session, world.organization_id, GroupFilter(number_id=world.number_id), limit=20
        ),
    )

    (members,) = [plan for plan in plans if "whatsapp_numbers" in plan]
    assert "ix_whatsapp_memberships_group" in members


async def a_sync_reads_the_groups_of_its_number_only(world: World) -> None:
    (plan,) = await plans_of(
        world, lambda session: known_groups(session, world.organization_id, world.number_id)
    )

    if world.database.dialect == "sqlite":
        assert "SEARCH whatsapp_memberships USING INDEX" in plan
        assert "(number_id=?)" in plan
        assert "SEARCH whatsapp_groups USING INDEX" in plan
    else:
        assert "uq_whatsapp_memberships_number_id_group_id" in plan


async def what_is_due_is_found_without_reading_all_numbers(world: World) -> None:
    (plan, *_) = await plans_of(world, lambda session: due_numbers(session, NOW))

    assert "ix_whatsapp_numbers_sync" in plan


async def test_the_hot_queries_use_their_indexes(world: World) -> None:
    """One test, because filling the tables takes longer than asking about all of them."""
    await a_page_is_read_in_the_order_of_its_index(world)
    await a_page_in_the_middle_begins_where_the_last_one_ended(world)
    await a_rare_word_is_found_by_the_index_of_names(world)
    await a_common_word_is_read_in_order_until_the_page_is_full(world)
    await a_page_of_a_number_with_many_groups_sorts_nothing(world)
    await the_memberships_of_a_page_are_looked_up_by_group(world)
    await a_sync_reads_the_groups_of_its_number_only(world)
    await what_is_due_is_found_without_reading_all_numbers(world)


async def test_a_new_name_costs_no_more_than_a_new_group_however_many_share_the_words(
    world: World,
) -> None:
    rows = [_group(world.organization_id, GROUPS + each) for each in range(300)]
    async with world.database.writing() as session:
        new = await _effort(session, session.execute(insert(WhatsappGroup), rows))
        rename = (
            update(WhatsappGroup)
            .where(WhatsappGroup.group_jid.in_([row["group_jid"] for row in rows]))
            .values(search_name=func.replace(WhatsappGroup.search_name, "spring", "autumn"))
        )
        renamed = await _effort(session, session.execute(rename))

    assert renamed < 10 * new


async def _effort(session: AsyncSession, work: Awaitable[object]) -> float:
    """What it takes, whatever else the machine does: no time passes here while others compute."""
    before = await _spent(session)
    await work
    return await _spent(session) - before


async def _spent(session: AsyncSession) -> float:
    """Of the processor, where SQLite works: in this process. Of PostgreSQL, blocks it looked at."""
    if session.get_bind().dialect.name == "sqlite":
        return time.process_time()
    return float(await session.scalar(text(_BLOCKS)) or 0)


_BLOCKS = """
    SELECT sum(pg_stat_get_xact_blocks_fetched(place))
    FROM (
        SELECT 'whatsapp_groups'::regclass::oid
        UNION SELECT indexrelid FROM pg_index WHERE indrelid = 'whatsapp_groups'::regclass
    ) AS places (place)
"""
