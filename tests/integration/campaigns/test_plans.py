"""The hot questions about campaigns go by an index, however long the history is."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from tests.integration.messages.test_plans import plans, walked_through
from tests.support.clock import NOW, ManualClock
from tests.support.factories import make_campaign, make_group, make_number, make_organization

from groupline.campaigns import queries
from groupline.campaigns.loop import CampaignLoop
from groupline.campaigns.results import count_results, page_of_results
from groupline.campaigns.schemas import ResultCursor, ResultFilter
from groupline.db import Database
from groupline.ids import new_id
from groupline.messages.bulk import Selection, first_of
from groupline.messages.changes import MESSAGES
from groupline.messages.schemas import Filter
from groupline.messages.waiting import lanes

pytestmark = pytest.mark.untouched_database

CAMPAIGNS, GROUPS, LEFT = 40, 250, 5

Place = tuple[UUID, UUID, UUID]
Ask = Callable[[AsyncSession, Place], Awaitable[object]]


async def fill(session: AsyncSession) -> Place:
    """Campaigns that have ended, days ago or now, and the last, which is being sent."""
    organization = (await make_organization(session)).id
    number = (await make_number(session, organization_id=organization)).id
    groups = [(await make_group(session, organization_id=organization)).id for _ in range(GROUPS)]
    rows, campaign = [], UUID(int=0)
    for n in range(CAMPAIGNS):
        is_last = n == CAMPAIGNS - 1
        made = await make_campaign(
            session,
            organization_id=organization,
            number_id=number,
            status="sending" if is_last else "completed",
            started_at=NOW - timedelta(days=n),
            finished_at=None if is_last else NOW - timedelta(days=n),
        )
        campaign = made.id
        for place, group in enumerate(groups):
            done = not is_last or place >= LEFT
            message_id = new_id()
            rows.append(
                {
                    "id": message_id,
                    "organization_id": organization,
                    "number_id": number,
                    "group_id": group,
                    "campaign_id": campaign,
                    "content": "Hello",
                    "scheduled_for": NOW - timedelta(days=n),
                    "expires_at": NOW + timedelta(days=1),
                    "priority": 2,
                    "status": "sent" if done else "pending",
                    "sent_at": NOW if done else None,
                    "gateway_message_id": "3EB0" if done else None,
                    "client_ref": str(message_id),
                    "created_at": NOW,
                    "updated_at": NOW,
                }
            )
    await session.execute(insert(MESSAGES), rows)
    return organization, campaign, number


@pytest.fixture
async def place(database: Database) -> Place:
    async with database.writing() as session:
        made = await fill(session)
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))
    return made


async def page(session: AsyncSession, place: Place) -> object:
    wanted = ResultFilter(states=frozenset(("failed", "uncertain")))
    after = ResultCursor("g", new_id())
    return await page_of_results(session, place[0], place[1], wanted, after=after, limit=50)


async def first_page(session: AsyncSession, place: Place) -> object:
    return await page_of_results(session, place[0], place[1], ResultFilter(), limit=50)


HOT: dict[str, Ask] = {
    "counts of the list": lambda session, place: queries.list_views(session, place[0], limit=4),
    "counts of one": lambda session, place: queries.get_view(session, place[0], place[1]),
    "results": first_page,
    "results of a state": page,
    "number of results": lambda session, place: count_results(
        session, place[0], place[1], ResultFilter()
    ),
    "rate": lambda session, place: queries.sent_since(
        session, place[0], place[1], NOW - timedelta(minutes=5)
    ),
    "soonest expiry": lambda session, place: queries.soonest_expiry(session, place[0], place[1]),
    "others of the number": lambda session, place: queries.others_of(
        session, place[2], campaign_id=place[1], begin=NOW, end=NOW + timedelta(hours=1)
    ),
    "ended ones of messages": lambda session, place: queries.lock_ended_of(
        session, place[0], first_of(place[0], "send_again", Selection(Filter()), now=NOW)
    ),
    "what is next": lambda session, place: lanes(session, {place[2]}, NOW),
}


@pytest.mark.parametrize("name", HOT)
async def test_nothing_hot_walks_through_the_history(
    database: Database, place: Place, name: str
) -> None:
    plan = await plans(database, lambda session: HOT[name](session, place))
    assert not walked_through(plan), plan


async def test_the_loop_that_ends_campaigns_does_not_walk_through_the_history(
    database: Database, place: Place
) -> None:
    loop = CampaignLoop(database, ManualClock())
    plan = await plans(database, lambda _: loop.run_once())
    assert not walked_through(plan), plan
