"""Lists and timelines of events stay quick with years of them: every question goes by an index."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, get_args
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from tests.integration.messages.test_plans import plans
from tests.support.clock import NOW
from tests.support.factories import (
    make_group,
    make_number,
    make_organization,
    make_sequence,
    make_step,
    make_template,
)

from groupline.db import Database
from groupline.events.group_queries import event_groups
from groupline.events.pending import count_stale
from groupline.events.queries import count_events, get_event, list_events
from groupline.events.schemas import EventCursor, EventFilter, Period
from groupline.events.service import EVENTS, GROUPS, VARIABLES
from groupline.events.timeline import step_messages, timeline
from groupline.ids import new_id
from groupline.messages.changes import MESSAGES

pytestmark = pytest.mark.untouched_database

EACH, GROUPS_EACH, VALUES_EACH = 400, 10, 8
"""So many events of each organization, a day apart, the later half still to come."""
ORGANIZATIONS, BARE = 3, 6_000
"""Other organizations have events too: so many, without anything of theirs."""


@dataclass(frozen=True, slots=True)
class Place:
    organization_id: UUID
    event_id: UUID
    step_id: UUID


async def fill(session: AsyncSession) -> Place:
    made = [await _organization(session) for _ in range(ORGANIZATIONS)]
    other = (await make_organization(session)).id
    await session.execute(insert(EVENTS), [_event(other, n) for n in range(BARE)])
    return made[0]


def _event(organization_id: UUID, n: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": new_id(),
        "organization_id": organization_id,
        "kind": "workshop",
        "title": f"Pottery {n}",
        "timezone": "UTC",
        "status": "planned",
        "starts_at": NOW + timedelta(days=n % EACH - EACH / 2, hours=1),
        "created_at": NOW,
        "updated_at": NOW,
        **fields,
    }


async def _organization(session: AsyncSession) -> Place:
    organization = (await make_organization(session)).id
    inside: dict[str, Any] = {"organization_id": organization}
    number = (await make_number(session, **inside)).id
    sequence = (await make_sequence(session, **inside)).id
    template = (await make_template(session, **inside, content="{event_title}")).id
    own = {"sequence_id": sequence, "template_id": template}
    step = (await make_step(session, **inside, **own, position=1)).id
    groups = [(await make_group(session, **inside)).id for _ in range(GROUPS_EACH)]
    times = {"created_at": NOW, "updated_at": NOW}
    sends = {"number_id": number, "sequence_id": sequence}
    events = [_event(organization, n, **sends) for n in range(EACH)]
    await session.execute(insert(EVENTS), events)
    of_groups, values, messages = [], [], []
    for event in events:
        of_event = {**inside, "event_id": event["id"]}
        for n in range(VALUES_EACH):
            value = {"key": f"value_{n}", "value": "x", "updated_at": NOW}
            values.append({**of_event, "id": new_id(), **value})
        for group in groups:
            of_groups.append({**of_event, "id": new_id(), "group_id": group, "created_at": NOW})
            message_id, is_over = new_id(), event["starts_at"] < NOW
            messages.append(
                {
                    **of_event,
                    **times,
                    "id": message_id,
                    "client_ref": str(message_id),
                    "number_id": number,
                    "group_id": group,
                    "step_id": step,
                    "priority": 1,
                    "content": "Pottery",
                    "scheduled_for": event["starts_at"],
                    "status": "sent" if is_over else "pending",
                    "sent_at": NOW if is_over else None,
                    "gateway_message_id": "3EB0" if is_over else None,
                }
            )
    await session.execute(insert(GROUPS), of_groups)
    await session.execute(insert(VARIABLES), values)
    await session.execute(insert(MESSAGES), messages)
    return Place(organization, events[EACH // 2]["id"], step)


@pytest.fixture
async def place(database: Database) -> Place:
    async with database.writing() as session:
        made = await fill(session)
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))
    return made


Ask = Callable[[AsyncSession, Place], Awaitable[object]]


def a_list(wanted: EventFilter, after: EventCursor | None = None) -> Ask:
    return lambda session, place: list_events(
        session, place.organization_id, wanted, after=after, limit=51, now=NOW
    )


async def a_timeline(session: AsyncSession, place: Place) -> object:
    event = await get_event(session, place.organization_id, place.event_id, now=NOW)
    return await timeline(session, event, NOW)


async def messages_of_a_step(session: AsyncSession, place: Place) -> object:
    event = await get_event(session, place.organization_id, place.event_id, now=NOW)
    return await step_messages(session, event, place.step_id, after=new_id(), limit=51)


async def older_texts(session: AsyncSession, place: Place) -> object:
    event = await get_event(session, place.organization_id, place.event_id, now=NOW)
    return await count_stale(session, event)


PERIODS: tuple[Period, ...] = get_args(Period)
HOT: dict[str, Ask] = {
    **{f"list, {period}": a_list(EventFilter("workshop", period)) for period in PERIODS},
    "list, further on": a_list(
        EventFilter("workshop", "upcoming"), EventCursor(NOW + timedelta(days=30), new_id())
    ),
    "list, with a word": a_list(EventFilter("workshop", "all", "37")),
    "how many": lambda session, place: count_events(
        session, place.organization_id, EventFilter("workshop", "past"), NOW
    ),
    "one event": lambda session, place: get_event(
        session, place.organization_id, place.event_id, now=NOW
    ),
    "its groups": lambda session, place: event_groups(
        session, place.organization_id, place.event_id, None
    ),
    "its timeline": a_timeline,
    "its messages of a step": messages_of_a_step,
    "its messages with an older text": older_texts,
}
LARGE = "events|event_groups|event_variables|scheduled_whatsapp_messages"


def walked_through(plan: str) -> list[str]:
    """The parts of a plan that read all events, or all that belongs to events."""
    whole = re.compile(rf"Seq Scan on ({LARGE})\b|SCAN ({LARGE})$")
    return [line for line in plan.splitlines() if whole.search(line)]


async def test_no_list_and_no_timeline_walks_through_all_events(
    database: Database, place: Place
) -> None:
    found: dict[str, list[str]] = {}
    for name, ask in HOT.items():
        plan = await plans(database, partial(_asked, ask, place), about="SELECT")
        if lines := walked_through(plan):
            found[name] = lines
    assert not found


async def _asked(ask: Ask, place: Place, session: AsyncSession) -> object:
    return await ask(session, place)


async def test_the_pages_of_a_list_come_in_the_order_of_the_index(
    database: Database, place: Place
) -> None:
    """A page costs what a page costs, however many events there are."""
    upcoming = HOT["list, upcoming"]
    plan = await plans(database, lambda session: upcoming(session, place), about="FROM events")
    assert "ix_events_list" in plan, plan
    if database.dialect == "sqlite":
        first = plan.partition("SEARCH whatsapp_numbers")[0]
        assert "TEMP B-TREE" not in first, plan
