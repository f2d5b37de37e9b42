"""Running a sequence: the right messages at the right times, once, however often it is run."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event as events
from sqlalchemy import update
from sqlalchemy.engine import Engine
from tests.integration.events.studio import (
    DUE,
    PERSON,
    STARTS,
    Studio,
    journal_of,
    make_member_group,
    make_studio,
    messages_of,
)
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_event_group, make_group, make_step

from groupline.db import Announcements, Database
from groupline.events import service
from groupline.events.groups import set_groups
from groupline.events.rules import NotReady
from groupline.events.run import run_sequence
from groupline.events.schemas import RunResult
from groupline.events.texts import UnresolvedVariables
from groupline.events.values import set_values
from groupline.messages import service as messages
from groupline.models import Event, ScheduledWhatsappMessage, SequenceStep

LINK = {"zoom_link": "https://example.org/zoom"}


async def give_values(database: Database, studio: Studio, values: dict[str, str]) -> None:
    async with database.writing() as session:
        await set_values(
            session, studio.organization_id, studio.event_id, values, actor=PERSON, now=NOW
        )


async def run(database: Database, studio: Studio, now: datetime = NOW, **options: Any) -> RunResult:
    async with database.writing() as session:
        return await run_sequence(
            session, studio.organization_id, studio.event_id, actor=PERSON, now=now, **options
        )


async def change(database: Database, row: type[Any], row_id: UUID, **values: Any) -> None:
    async with database.writing() as session:
        await session.execute(update(row).where(row.id == row_id).values(**values))


async def test_forty_groups_and_five_steps_are_two_hundred_messages_at_the_right_instants(
    database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        studio = await make_studio(session, cast, groups=40)
    await give_values(database, studio, LINK)

    result = await run(database, studio)

    assert result == RunResult(scheduled=200, already=0, skipped_past=0, cancelled=0)
    rows = await messages_of(database, studio.event_id)
    assert Counter(row.scheduled_for for row in rows) == dict.fromkeys(DUE.values(), 40)
    assert len({(row.step_id, row.group_id) for row in rows}) == 200
    late = {row.expires_at - row.scheduled_for for row in rows if row.expires_at}
    assert late == {timedelta(minutes=30), timedelta(minutes=10)}
    assert {row.content for row in rows} == {"Pottery at 7:00 pm: https://example.org/zoom"}
    (_, ran) = await journal_of(database, studio.event_id)
    assert (ran.action, ran.data["scheduled"]) == ("event.sequence_run", 200)


async def test_new_york_across_the_change_of_its_clocks(database: Database, studio: Studio) -> None:
    """The organization is in Kolkata; the event is where its participants are."""
    starts = datetime(2026, 3, 8, 23, 0, tzinfo=UTC)  # 19:00 on the day that clocks go forward
    await change(database, Event, studio.event_id, starts_at=starts, timezone="America/New_York")
    await give_values(database, studio, LINK)
    await run(database, studio)
    rows = await messages_of(database, studio.event_id)
    assert sorted({row.scheduled_for for row in rows}) == [
        datetime(2026, 3, 7, 15, 0, tzinfo=UTC),  # 10:00 in winter time
        datetime(2026, 3, 8, 22, 0, tzinfo=UTC),
        datetime(2026, 3, 8, 22, 50, tzinfo=UTC),
        datetime(2026, 3, 8, 23, 0, tzinfo=UTC),
        datetime(2026, 3, 9, 13, 0, tzinfo=UTC),  # 09:00 in summer time
    ]
    assert {row.content for row in rows} == {"Pottery at 7:00 pm: https://example.org/zoom"}


async def test_a_second_run_adds_nothing(database: Database, studio: Studio) -> None:
    await give_values(database, studio, LINK)
    await run(database, studio)
    before = await messages_of(database, studio.event_id)
    assert await run(database, studio) == RunResult(0, 15, 0, 0)
    after = await messages_of(database, studio.event_id)
    assert [row.id for row in after] == [row.id for row in before]


async def test_two_runs_at_once_write_the_messages_once(
    database: Database, studio: Studio, database_url: str
) -> None:
    """Two processes, each with connections of its own."""
    await give_values(database, studio, LINK)
    other = Database(database_url, announcements=Announcements())
    try:
        results = await asyncio.gather(
            *(run(each, studio) for each in (database, other, database, other))
        )
    finally:
        await other.dispose()
    assert sorted(result.scheduled for result in results) == [0, 0, 0, 15]
    assert sorted(result.already for result in results) == [0, 15, 15, 15]
    assert len(await messages_of(database, studio.event_id)) == 15


async def test_a_group_that_is_added_later_gets_what_is_still_to_come(
    database: Database, studio: Studio
) -> None:
    await give_values(database, studio, LINK)
    await run(database, studio)
    async with database.writing() as session:
        added = await make_member_group(
            session, studio.organization_id, studio.number_id, "Late comers"
        )
        await set_groups(
            session,
            studio.organization_id,
            studio.event_id,
            [*studio.group_ids, added],
            actor=PERSON,
            now=NOW,
        )
    tomorrow = NOW + timedelta(days=1)
    assert await run(database, studio, tomorrow) == RunResult(4, 15, 1, 0)
    rows = [row for row in await messages_of(database, studio.event_id) if row.group_id == added]
    assert len(rows) == 4


async def test_a_step_that_is_added_later_is_run_for_all_groups(
    database: Database, studio: Studio
) -> None:
    await give_values(database, studio, LINK)
    await run(database, studio)
    async with database.writing() as session:
        await make_step(
            session,
            organization_id=studio.organization_id,
            sequence_id=studio.sequence_id,
            template_id=studio.template_id,
            position=6,
            offset_minutes=60,
        )
    assert await run(database, studio) == RunResult(3, 15, 0, 0)


async def test_a_step_that_was_removed_is_not_run(database: Database, studio: Studio) -> None:
    await give_values(database, studio, LINK)
    await change(database, SequenceStep, studio.step_ids["Start"], removed_at=NOW)
    assert await run(database, studio) == RunResult(12, 0, 0, 0)


async def test_steps_that_are_over_are_skipped_and_counted(
    database: Database, studio: Studio
) -> None:
    await give_values(database, studio, LINK)
    at_the_start = await run(database, studio, STARTS)
    assert at_the_start == RunResult(scheduled=6, already=0, skipped_past=9, cancelled=0)


async def test_a_value_that_is_missing_refuses_the_run_and_is_named(
    database: Database, studio: Studio
) -> None:
    with pytest.raises(UnresolvedVariables) as refused:
        await run(database, studio)
    first = refused.value.extra["unresolved"][0]
    assert first["variable"] == "zoom_link"
    assert (first["step"], first["template"]) == ("The day before", "Reminder")
    assert len(refused.value.found) == 5
    assert "{zoom_link}" in refused.value.detail
    assert await messages_of(database, studio.event_id) == []
    assert await journal_of(database, studio.event_id) == []


@pytest.mark.parametrize("written", ["{zoom link}", "{{zoom_link}}", "{Zoom_Link}", "{zoom_link"])
async def test_what_only_looks_like_a_variable_never_leaves(
    database: Database, studio: Studio, written: str
) -> None:
    from groupline.models import Template

    await give_values(database, studio, LINK)
    await change(database, Template, studio.template_id, content=f"Join: {written}")
    with pytest.raises(UnresolvedVariables) as refused:
        await run(database, studio)
    assert {each.text for each in refused.value.found} == {written}
    assert await messages_of(database, studio.event_id) == []


async def test_the_name_of_the_group_is_filled_in_for_each(
    database: Database, studio: Studio
) -> None:
    from groupline.models import Template

    await change(database, Template, studio.template_id, content="Hello {group_name}")
    await run(database, studio)
    rows = await messages_of(database, studio.event_id)
    assert {row.content for row in rows} == {"Hello Group 0", "Hello Group 1", "Hello Group 2"}


@pytest.mark.parametrize("lacks", ["number_id", "sequence_id"])
async def test_an_event_that_lacks_something_says_what(
    database: Database, studio: Studio, lacks: str
) -> None:
    await change(database, Event, studio.event_id, **{lacks: None})
    with pytest.raises(NotReady) as refused:
        await run(database, studio)
    assert refused.value.extra["missing"] == [lacks.removesuffix("_id")]


async def test_groups_that_cannot_be_written_to_are_named_and_added_once_they_can(
    database: Database, studio: Studio
) -> None:
    await give_values(database, studio, LINK)
    async with database.writing() as session:
        strangers = await make_group(
            session, organization_id=studio.organization_id, group_name="Strangers"
        )
        await make_event_group(
            session,
            organization_id=studio.organization_id,
            event_id=studio.event_id,
            group_id=strangers.id,
        )
    result = await run(database, studio)
    assert (result.scheduled, result.refused) == (15, 5)
    (group,) = result.refused_groups
    assert (group.group_id, group.code) == (strangers.id, "not_a_member")


async def test_what_a_person_called_off_stays_off_unless_asked_for(
    database: Database, studio: Studio
) -> None:
    await give_values(database, studio, LINK)
    await run(database, studio)
    rows = await messages_of(database, studio.event_id)
    async with database.writing() as session:
        await messages.cancel(session, studio.organization_id, rows[0].id, actor=PERSON, now=NOW)
    assert await run(database, studio) == RunResult(0, 14, 0, 1)
    assert await run(database, studio, include_cancelled=True) == RunResult(1, 14, 0, 0)


async def test_a_group_that_comes_back_gets_its_messages_again(
    database: Database, studio: Studio
) -> None:
    await give_values(database, studio, LINK)
    await run(database, studio)
    for groups in (studio.group_ids[:2], studio.group_ids):
        async with database.writing() as session:
            await set_groups(
                session,
                studio.organization_id,
                studio.event_id,
                groups,
                cancel_messages=True,
                actor=PERSON,
                now=NOW,
            )
    assert await run(database, studio) == RunResult(5, 10, 0, 0)


@asynccontextmanager
async def counted() -> AsyncIterator[list[str]]:
    """The statements that go to the database."""
    heard: list[str] = []

    def note(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        heard.append(statement)

    events.listen(Engine, "before_cursor_execute", note)
    try:
        yield heard
    finally:
        events.remove(Engine, "before_cursor_execute", note)


async def test_the_count_of_statements_does_not_grow_with_the_groups(
    database: Database, cast: Cast
) -> None:
    counts = []
    for groups in (3, 60):
        async with database.writing() as session:
            made = await make_studio_again(session, cast, groups)
        await give_values(database, made, LINK)
        async with counted() as statements:
            await run(database, made)
            async with database.writing() as session:
                await service.cancel(
                    session, made.organization_id, made.event_id, actor=PERSON, now=NOW
                )
        counts.append(len(statements))
    assert counts[0] == counts[1]


async def make_studio_again(session: Any, cast: Cast, groups: int) -> Studio:
    """Names are unique in an organization."""
    studio = await make_studio(session, cast, groups=groups)
    from groupline.models import Sequence, Template

    for row, row_id in ((Sequence, studio.sequence_id), (Template, studio.template_id)):
        await session.execute(update(row).where(row.id == row_id).values(name=f"Of {groups}"))
    return studio


async def test_messages_of_an_event_go_after_what_is_sent_now_and_before_campaigns(
    database: Database, studio: Studio
) -> None:
    await give_values(database, studio, LINK)
    await run(database, studio)
    rows = await messages_of(database, studio.event_id)
    assert {row.priority for row in rows} == {1}
    assert all(isinstance(row, ScheduledWhatsappMessage) for row in rows)
