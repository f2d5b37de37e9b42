"""The entry of the outbox for events and campaigns: what must not leave is not written."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select
from tests.integration.messages.desk import Desk
from tests.integration.messages.outbox import PERSON
from tests.integration.messages.test_workers import counted_statements
from tests.support.clock import NOW
from tests.support.factories import make_campaign

from groupline.db import Database
from groupline.ids import new_id
from groupline.messages import service
from groupline.messages.changes import MESSAGES
from groupline.messages.drafts import draft_rows
from groupline.messages.rules import PRIORITY_CAMPAIGN
from groupline.messages.schemas import Draft, Enqueued
from groupline.models import WhatsappGroup, WhatsappMembership


def draft(desk: Desk, **facts: Any) -> Draft:
    defaults: dict[str, Any] = {
        "number_id": desk.number_id,
        "group_id": desk.groups[0],
        "content": "Hello",
        "scheduled_for": NOW,
        "expires_at": NOW + timedelta(hours=1),
        "priority": PRIORITY_CAMPAIGN,
    }
    return Draft(**defaults | facts)


async def enqueue(database: Database, desk: Desk, *drafts: Draft) -> Enqueued:
    async with database.writing() as session:
        return await service.enqueue(session, desk.organization_id, drafts, actor=PERSON, now=NOW)


async def stored(database: Database, desk: Desk) -> list[UUID]:
    async with database.reading() as session:
        statement = select(MESSAGES.c.id).where(MESSAGES.c.organization_id == desk.organization_id)
        return list(await session.scalars(statement.order_by(MESSAGES.c.id)))


async def test_what_may_leave_is_written_in_the_order_of_the_drafts(
    database: Database, desk: Desk
) -> None:
    ids = await enqueue(database, desk, *(draft(desk, group_id=each) for each in desk.groups))
    assert list(ids) == await stored(database, desk)
    assert (len(ids), list(ids.refused), list(ids.already)) == (2, [], [])


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"content": "Hi {name}"}, "unresolved_variable"),
        ({"content": " \n"}, "no_content"),
        ({"group": "community"}, "community_parent"),
        ({"group": "not_in"}, "not_a_member"),
        ({"group": "admins_only"}, "admins_only"),
        ({"group": "foreign_group"}, "unknown_group"),
        ({"number": "foreign_number"}, "unknown_number"),
        ({"number": "foreign_number", "group": "foreign_group"}, "unknown_number"),
    ],
)
async def test_what_may_not_leave_is_answered_with_its_reason_and_the_rest_is_written(
    database: Database, desk: Desk, facts: dict[str, str], code: str
) -> None:
    changed = {
        "content": facts.get("content", "Hello"),
        "group_id": getattr(desk, facts["group"]) if "group" in facts else desk.groups[1],
        "number_id": getattr(desk, facts["number"]) if "number" in facts else desk.number_id,
    }
    unfit = draft(desk, **changed)

    ids = await enqueue(database, desk, draft(desk), unfit)

    assert list(ids) == await stored(database, desk)
    assert len(ids) == 1
    assert [(each.draft, each.code) for each in ids.refused] == [(unfit, code)]
    assert ids.refused[0].reason.endswith(".")


async def test_a_foreign_group_is_not_even_named(database: Database, desk: Desk) -> None:
    ids = await enqueue(database, desk, draft(desk, group_id=desk.foreign_group))
    assert [each.group_name for each in ids.refused] == [None]


async def test_announcements_of_a_community_are_for_admins(database: Database, desk: Desk) -> None:
    async with database.writing() as session:
        group = await session.get_one(WhatsappGroup, desk.groups[0])
        group.is_community_announce, group.announce_only = True, False
    ids = await enqueue(database, desk, draft(desk))
    assert [each.code for each in ids.refused] == ["admins_only"]


async def test_nothing_is_written_twice_for_a_campaign_and_a_group(
    database: Database, desk: Desk
) -> None:
    async with database.writing() as session:
        campaign = await make_campaign(
            session, organization_id=desk.organization_id, number_id=desk.number_id
        )
    first, second = (draft(desk, group_id=each, campaign_id=campaign.id) for each in desk.groups)
    before = await enqueue(database, desk, first)

    ids = await enqueue(database, desk, first, second)

    assert [*before, *ids] == await stored(database, desk)
    assert (len(ids), ids.already) == (1, [first])
    again = await enqueue(database, desk, first, second)
    assert (list(again), again.already) == ([], [first, second])


async def test_two_that_write_the_same_at_once_write_it_once(
    database: Database, desk: Desk
) -> None:
    async with database.writing() as session:
        campaign = await make_campaign(
            session, organization_id=desk.organization_id, number_id=desk.number_id
        )
    drafts = [draft(desk, group_id=each, campaign_id=campaign.id) for each in desk.groups]

    answers = await asyncio.gather(
        enqueue(database, desk, *drafts), enqueue(database, desk, *reversed(drafts))
    )

    assert sorted(each for ids in answers for each in ids) == await stored(database, desk)
    assert sum(map(len, answers)) == 2
    assert sum(len(ids.already) for ids in answers) == 2


async def test_of_nothing_nothing_is_made(database: Database, desk: Desk) -> None:
    ids = await enqueue(database, desk)
    assert (list(ids), list(ids.refused), list(ids.already)) == ([], [], [])


async def test_three_thousand_at_once_cost_less_than_twice_the_bare_inserts(
    database: Database, desk: Desk
) -> None:
    group_ids = await _many_groups(database, desk, 3_000)
    drafts = [draft(desk, group_id=each) for each in group_ids]

    async def bare() -> None:
        async with database.writing() as session:
            rows = [*draft_rows(desk.organization_id, drafts, PERSON, NOW)]
            await session.execute(insert(MESSAGES), rows)

    async def whole() -> None:
        assert len(await enqueue(database, desk, *drafts)) == len(drafts)

    times = [(await _seconds(bare), await _seconds(whole)) for _ in range(6)]
    assert min(b for _, b in times) < 2 * min(a for a, _ in times), times
    async with database.reading() as session:
        written = await session.scalar(select(func.count()).select_from(MESSAGES))
    assert written == 12 * 3_000 + 1, "the one of the outsider"


async def test_three_thousand_take_as_many_statements_as_three(
    database: Database, desk: Desk
) -> None:
    drafts = [draft(desk, group_id=each) for each in await _many_groups(database, desk, 3_000)]
    taken = []
    for count in (3, 3_000):
        with counted_statements() as seen:
            await enqueue(database, desk, *drafts[:count])
        taken.append(len(seen))
    assert taken[0] == taken[1], taken


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    """Of this process alone, whatever else the machine does."""
    begin = time.process_time()
    await work()
    return time.process_time() - begin


async def _many_groups(database: Database, desk: Desk, count: int) -> list[UUID]:
    ids = [new_id() for _ in range(count)]
    own = {"organization_id": desk.organization_id, "synced_at": NOW, "created_at": NOW}
    async with database.writing() as session:
        await session.execute(
            insert(WhatsappGroup),
            [
                {"id": each, "group_jid": f"{each.int}@g.us", "group_name": "G", **own}
                for each in ids
            ],
        )
        await session.execute(
            insert(WhatsappMembership),
            [{"id": new_id(), "number_id": desk.number_id, "group_id": e, **own} for e in ids],
        )
    return ids
