"""The journal stays quick to read, however long it is: every filter goes by an index."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from tests.integration.messages.test_plans import plans
from tests.support.clock import NOW
from tests.support.factories import make_organization

from groupline.chronicle.queries import entries
from groupline.chronicle.schemas import Filter
from groupline.db import Database
from groupline.ids import new_id
from groupline.models import JournalEntry

pytestmark = pytest.mark.untouched_database

ENTRIES = 8_000
OTHERS = 4
"""So many organizations share the table."""


@dataclass(frozen=True, slots=True)
class Place:
    organization_id: UUID
    person: str
    """Who did something once, long ago."""
    subject_id: UUID


async def fill(session: AsyncSession) -> Place:
    """Messages mostly, with a campaign now and then, as a year of sending leaves them."""
    organizations = [(await make_organization(session)).id for _ in range(OTHERS)]
    person, subject = new_id(), new_id()
    rows: list[dict[str, Any]] = [
        {
            "transaction_id": n,
            "id": new_id(),
            "organization_id": organizations[n % OTHERS],
            "at": NOW - timedelta(minutes=ENTRIES - n),
            "actor_kind": "system" if n % 100 else "user",
            "actor_id": None if n % 100 else str(new_id() if n else person),
            "actor_label": "Groupline",
            "action": "message.sent" if n % 50 else "campaign.finished",
            "subject": "message",
            "subject_id": subject if n < OTHERS else new_id(),
            "data": {},
        }
        for n in range(ENTRIES)
    ]
    await session.execute(insert(JournalEntry), rows)
    return Place(organizations[0], str(person), subject)


@pytest.fixture
async def place(database: Database) -> Place:
    async with database.writing() as session:
        made = await fill(session)
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))
    return made


def filters(place: Place) -> dict[str, Filter]:
    month = timedelta(days=10)
    return {
        "nothing": Filter(),
        "a section": Filter(section="campaigns"),
        "the section of messages": Filter(section="messages"),
        "an action": Filter(action="campaign.finished"),
        "an action of messages": Filter(action="message.failed"),
        "a person": Filter(actor_kind="user", actor_id=place.person),
        "a kind of actor": Filter(actor_kind="user"),
        "a subject": Filter(subject_id=place.subject_id),
        "a time": Filter(since=NOW - month, until=NOW - month + timedelta(hours=1)),
        "a time and a person": Filter(
            actor_kind="user", actor_id=place.person, since=NOW - month, until=NOW
        ),
    }


def walked_through(plan: str, asked: Filter) -> list[str]:
    """The parts of a plan that read the whole journal, or sort more of it than a range of time."""
    is_range = asked.since is not None or asked.until is not None
    whole = r"Seq Scan on journal|SCAN journal( USING.*)?$" + ("" if is_range else "|TEMP B-TREE")
    return [line for line in plan.splitlines() if re.search(whole, line)]


async def plan_of(
    database: Database, place: Place, asked: Filter, before: int | None = None
) -> str:
    return await plans(
        database,
        lambda session: entries(session, place.organization_id, asked, before=before, limit=51),
        about="FROM journal",
    )


@pytest.mark.parametrize("before", [None, ENTRIES // 2], ids=["first page", "further on"])
async def test_no_filter_walks_through_the_journal(
    database: Database, place: Place, before: int | None
) -> None:
    found = {
        name: plan
        for name, asked in filters(place).items()
        if walked_through(plan := await plan_of(database, place, asked, before), asked)
    }
    assert not found


@pytest.mark.parametrize("name", ["a person", "a subject"])
async def test_what_is_rare_is_found_by_an_index_of_its_own(
    database: Database, place: Place, name: str
) -> None:
    """By the order of the journal alone it would be looked for among everything else."""
    plan = await plan_of(database, place, filters(place)[name])
    assert re.search("ix_journal_(actor|subject)", plan), plan
