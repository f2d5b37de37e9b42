"""Looking at an event before it begins: what is found, and exactly once by the workers."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.integration.events.studio import PERSON, STARTS, Studio, journal_of, make_member_group
from tests.integration.events.test_run import LINK, change, give_values, run
from tests.support.clock import NOW, ManualClock
from tests.support.factories import (
    make_event_group,
    make_group,
    make_message,
    make_step,
    make_template,
)

from groupline.db import Announcements, Database
from groupline.errors import Conflict
from groupline.events.preflight import Finding
from groupline.events.preflight_now import looks_now, troubled_now
from groupline.events.preflight_run import Preflights
from groupline.events.preflight_store import last_looks, take_turn, troubled_events
from groupline.events.queries import get_event
from groupline.messages.media import MediaPolicy
from groupline.models import (
    Event,
    Preflight,
    Template,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)


async def no_such_host(host: str) -> Sequence[str]:
    raise OSError(f"{host} cannot be resolved")


POLICY = MediaPolicy(resolve=no_such_host)


@pytest.fixture
def preflights(database: Database, clock: ManualClock) -> Preflights:
    return Preflights(database, clock, POLICY)


async def look(preflights: Preflights, studio: Studio) -> tuple[Finding, ...]:
    looked = await preflights.look(studio.organization_id, studio.event_id, actor=PERSON)
    return looked.findings


async def scheduled(database: Database, studio: Studio) -> None:
    await give_values(database, studio, LINK)
    await run(database, studio)


async def test_an_event_that_is_ready_has_no_findings(
    preflights: Preflights, database: Database, studio: Studio
) -> None:
    await scheduled(database, studio)
    assert await look(preflights, studio) == ()
    async with database.reading() as session:
        stored = (await last_looks(session, studio.organization_id, [studio.event_id])).get(
            studio.event_id
        )
        assert stored is not None
        assert (stored.point, stored.checked_at, stored.findings) == ("button", NOW, ())
    actions = [entry.action for entry in await journal_of(database, studio.event_id)]
    assert "preflight.failed" not in actions


async def where(database: Database, row: type[Any], *conditions: Any, **values: Any) -> None:
    async with database.writing() as session:
        await session.execute(update(row).where(*conditions).values(**values))


async def test_everything_that_stands_in_the_way_is_named(
    preflights: Preflights, database: Database, studio: Studio
) -> None:
    await scheduled(database, studio)
    left, muted, community = studio.group_ids
    number = WhatsappMembership.number_id == studio.number_id
    gone = {"is_active": False, "missing_since": NOW}
    await where(database, WhatsappMembership, number, WhatsappMembership.group_id == left, **gone)
    await change(database, WhatsappGroup, muted, announce_only=True)
    await change(database, WhatsappGroup, community, is_community=True)
    await change(database, WhatsappNumber, studio.number_id, paused_at=NOW)
    await where(
        database,
        WhatsappSession,
        WhatsappSession.number_id == studio.number_id,
        status="disconnected",
        disconnected_at=NOW,
        ended_reason="logged_out",
    )
    await change(
        database,
        Template,
        studio.template_id,
        content="New: {zoom_link}",
        media_url="https://nowhere.example/a.png",
        media_type="image",
    )

    found = await look(preflights, studio)

    by_code = {finding.code: finding for finding in found}
    assert set(by_code) == {"group", "number", "number_paused", "media", "stale_text"}
    assert len([each for each in found if each.code == "group"]) == 3
    assert "logged out" in by_code["number"].sentence
    assert "Paused" not in by_code["number"].sentence, "that is a finding of its own"
    assert ": Paused since " in by_code["number_paused"].sentence
    assert by_code["number"].link == "/settings/connection"
    assert by_code["media"].link == f"/templates/{studio.template_id}"
    assert by_code["stale_text"].severity == "warning"
    entries = await journal_of(database, studio.event_id)
    assert entries[-1].action == "event.checked", "who asked sees it at once: nobody is alerted"
    assert entries[-1].data["problems"] == 6
    assert {each["code"] for each in entries[-1].data["findings"]} == set(by_code)


async def test_what_was_never_run_or_lacks_a_value_is_found(
    preflights: Preflights, database: Database, studio: Studio
) -> None:
    (missing,) = await look(preflights, studio)
    assert missing.code == "variable"
    assert "{zoom_link} has no value." in missing.sentence
    await give_values(database, studio, LINK)
    (unscheduled,) = await look(preflights, studio)
    assert unscheduled.sentence == "15 messages are not scheduled yet: run the sequence."


async def test_a_value_that_is_erased_after_the_run_is_found_as_readiness_has_it(
    preflights: Preflights, database: Database, studio: Studio
) -> None:
    await scheduled(database, studio)
    await give_values(database, studio, {})
    async with database.reading() as session:
        event = await get_event(session, studio.organization_id, studio.event_id, now=NOW)
    lacking = [step.sentence for step in event.readiness if not step.done]
    assert lacking == ["Without a value: {zoom_link}."]

    variable, stale = await look(preflights, studio)

    assert (variable.code, variable.severity) == ("variable", "problem")
    assert variable.sentence.startswith("{zoom_link} has no value.")
    assert stale.code == "stale_text"
    assert stale.sentence.startswith("15 scheduled messages have an older text")


async def test_what_only_scheduled_messages_lack_does_not_hide_what_is_not_scheduled(
    preflights: Preflights, database: Database, studio: Studio
) -> None:
    await scheduled(database, studio)
    async with database.writing() as session:
        own = {"organization_id": studio.organization_id}
        plain = await make_template(session, **own, name="Plain", content="Soon")
        await make_step(
            session, **own, sequence_id=studio.sequence_id, template_id=plain.id, position=9
        )
    await give_values(database, studio, {})
    found = await look(preflights, studio)
    assert {each.code for each in found} == {"variable", "not_scheduled", "stale_text"}


async def test_a_number_that_nobody_verified_lately_is_to_be_known(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    await scheduled(database, studio)
    clock.advance(11 * 60)
    (finding,) = await look(preflights, studio)
    assert (finding.code, finding.severity) == ("not_verified", "warning")


async def test_a_slow_number_and_what_else_it_has_to_send_are_counted_in(
    preflights: Preflights, database: Database, studio: Studio
) -> None:
    await scheduled(database, studio)
    await change(database, WhatsappNumber, studio.number_id, pace_seconds=120.0)
    assert await look(preflights, studio) == (), "3 groups take 6 minutes"
    async with database.writing() as session:
        group = await make_group(session, organization_id=studio.organization_id)
        for _ in range(5):
            await make_message(
                session,
                organization_id=studio.organization_id,
                number_id=studio.number_id,
                group_id=group.id,
                scheduled_for=STARTS,
                expires_at=STARTS + timedelta(hours=1),
                priority=1,
            )
    (finding,) = await look(preflights, studio)
    assert finding.code == "too_slow"
    assert "“Start”: about 3 of 3 messages would be too late." in finding.sentence


async def test_a_step_that_is_not_finished_when_the_next_begins_is_to_be_known(
    preflights: Preflights, database: Database, studio: Studio
) -> None:
    async with database.writing() as session:
        for n in range(20):
            group = await make_member_group(
                session, studio.organization_id, studio.number_id, f"More {n}"
            )
            await make_event_group(
                session,
                organization_id=studio.organization_id,
                event_id=studio.event_id,
                group_id=group,
            )
    await scheduled(database, studio)
    await change(database, WhatsappNumber, studio.number_id, pace_seconds=30.0)
    found = await look(preflights, studio)
    assert [each.code for each in found] == ["too_slow", "overlap"]
    assert "“Ten minutes before” takes about 13 minutes" in found[1].sentence


async def test_what_is_over_is_not_looked_at(
    preflights: Preflights, database: Database, studio: Studio
) -> None:
    await change(database, Event, studio.event_id, status="cancelled")
    with pytest.raises(Conflict):
        await look(preflights, studio)


# --- by the worker --------------------------------------------------------------------------


async def looks(database: Database) -> list[tuple[str, datetime]]:
    async with database.reading() as session:
        rows = await session.execute(
            select(Preflight.point, Preflight.checked_at).order_by(Preflight.checked_at)
        )
        return [(row.point, row.checked_at) for row in rows]


async def paused_told(database: Database, studio: Studio) -> list[bool]:
    """Of each look that found problems, whether the pause was one of them."""
    return [
        "number_paused" in {each["code"] for each in entry.data["findings"]}
        for entry in await journal_of(database, studio.event_id)
        if entry.action == "preflight.failed"
    ]


def until(clock: ManualClock, moment: datetime) -> None:
    clock.advance((moment - clock.now()).total_seconds())


async def test_the_worker_looks_a_day_and_an_hour_before_and_only_then(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    assert not await preflights.run_once()
    assert await preflights.next_due() == (STARTS - timedelta(days=1) - NOW).total_seconds()
    day, hour = STARTS - timedelta(days=1), STARTS - timedelta(hours=1)
    for moment in (day, hour):
        until(clock, moment)
        assert await preflights.run_once()
        assert not await preflights.run_once()
    until(clock, STARTS + timedelta(minutes=1))
    assert not await preflights.run_once()
    assert await looks(database) == [("day", day), ("hour", hour)]
    failed = [
        entry.data["point"]
        for entry in await journal_of(database, studio.event_id)
        if entry.action == "preflight.failed"
    ]
    assert failed == ["day", "hour"]


async def test_an_event_that_is_moved_is_looked_at_again(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    until(clock, STARTS - timedelta(hours=23))
    assert await preflights.run_once()
    await change(database, Event, studio.event_id, starts_at=STARTS + timedelta(days=3))
    assert not await preflights.run_once()
    until(clock, STARTS + timedelta(days=2))
    assert await preflights.run_once()
    assert [point for point, _ in await looks(database)] == ["day", "day"]


async def test_one_that_is_planned_at_short_notice_is_left_to_the_person_who_plans_it(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    until(clock, STARTS - timedelta(hours=20))
    await change(database, Event, studio.event_id, created_at=STARTS - timedelta(hours=21))
    assert not await preflights.run_once()
    until(clock, STARTS - timedelta(minutes=50))
    assert await preflights.run_once()


async def test_many_workers_look_once(
    database: Database, database_url: str, studio: Studio, clock: ManualClock
) -> None:
    until(clock, STARTS - timedelta(minutes=50))
    other = Database(database_url, announcements=Announcements())
    workers = [Preflights(each, clock, POLICY) for each in (database, other) * 3]
    worked = []
    try:
        for _ in range(2):
            worked.append(sum(await asyncio.gather(*(each.run_once() for each in workers))))
            clock.advance(1)
            await change(database, WhatsappNumber, studio.number_id, paused_at=clock.now())
            clock.advance(1)
    finally:
        await other.dispose()
    assert worked == [1, 1]
    assert len(await looks(database)) == 1
    assert await paused_told(database, studio) == [False, True]


async def test_a_number_that_is_paused_after_the_last_look_is_told_of_once(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    number_id = studio.number_id
    until(clock, STARTS - timedelta(hours=23))
    assert await preflights.run_once()
    clock.advance(1)
    await change(database, WhatsappNumber, number_id, paused_at=clock.now())
    clock.advance(600)
    assert not await preflights.run_once()  # it is looked at an hour before
    await change(database, WhatsappNumber, number_id, paused_at=None)
    until(clock, STARTS - timedelta(hours=1))
    assert await preflights.run_once()
    assert await paused_told(database, studio) == [False, False]

    for _ in range(2):  # each pause counts
        clock.advance(1)
        await change(database, WhatsappNumber, number_id, paused_at=clock.now())
        clock.advance(30)
        assert [await preflights.run_once() for _ in range(2)] == [True, False]
    await change(database, WhatsappNumber, number_id, paused_at=None)
    clock.advance(1)
    assert not await preflights.run_once()
    assert await paused_told(database, studio) == [False, False, True, True]
    assert len(await looks(database)) == 2


async def test_a_pause_is_told_of_also_where_nobody_looked_before(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    until(clock, STARTS - timedelta(minutes=50))
    for ago, looked in ((1, False), (-1, True)):
        paused_at = clock.now() - timedelta(seconds=ago)
        await change(database, Event, studio.event_id, created_at=clock.now())
        await change(database, WhatsappNumber, studio.number_id, paused_at=paused_at)
        clock.advance(2)
        assert await preflights.run_once() is looked
    assert await paused_told(database, studio) == [True]


async def test_a_worker_that_died_looking_again_leaves_its_turn(
    database: Database, studio: Studio, clock: ManualClock
) -> None:
    until(clock, STARTS - timedelta(minutes=30))
    assert await Preflights(database, clock, POLICY).run_once()
    clock.advance(1)
    await change(database, WhatsappNumber, studio.number_id, paused_at=clock.now())
    clock.advance(1)
    for seconds, taken in ((0, True), (60, False), (240, True)):
        clock.advance(seconds)
        async with database.writing() as session:
            turn = await take_turn(session, clock.now())
        assert (turn is not None) is taken
    async with database.reading() as session:
        assert (await last_looks(session, studio.organization_id, [studio.event_id])).get(
            studio.event_id
        ) is not None


async def test_a_worker_that_died_leaves_its_turn(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    until(clock, STARTS - timedelta(hours=2))
    async with database.writing() as session:
        session.add(
            Preflight(
                organization_id=studio.organization_id,
                event_id=studio.event_id,
                point="day",
                starts_at=STARTS,
                claimed_until=clock.now() + timedelta(minutes=5),
            )
        )
    assert not await preflights.run_once()
    clock.advance(5 * 60)
    assert await preflights.run_once()
    assert [point for point, _ in await looks(database)] == ["day"]


async def test_what_the_last_look_found_of_its_number_is_as_it_is_now(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    """And says nothing that is not so any more a minute later, such as how many messages wait."""
    await scheduled(database, studio)
    await change(database, WhatsappNumber, studio.number_id, paused_at=clock.now())
    (told,) = await look(preflights, studio)
    assert told.code == "number_paused"
    assert told.sentence.endswith(": nothing is sent.")
    clock.advance(1)
    await change(database, WhatsappNumber, studio.number_id, paused_at=None)
    assert await now_told(database, studio, clock) == ([], [])

    await look(preflights, studio)
    clock.advance(1)
    await change(database, WhatsappNumber, studio.number_id, paused_at=clock.now())
    assert await now_told(database, studio, clock) == (["number_paused"], [])
    await look(preflights, studio)
    assert await now_told(database, studio, clock) == (["number_paused"], ["number_paused"])


async def now_told(
    database: Database, studio: Studio, clock: ManualClock
) -> tuple[list[str], list[str]]:
    """On its own page, and on the overview, which lists what had problems when it was looked at."""
    async with database.reading() as session:
        looked = await looks_now(
            session, studio.organization_id, {studio.event_id: studio.number_id}, clock.now()
        )
        troubled = await troubled_now(session, studio.organization_id, clock.now())
    return (
        [finding.code for finding in looked[studio.event_id].findings],
        [each.first.code for each in troubled],
    )


async def test_the_overview_lists_what_has_problems_by_the_last_look(
    preflights: Preflights, database: Database, studio: Studio, clock: ManualClock
) -> None:
    await look(preflights, studio)
    async with database.reading() as session:
        (troubled,) = await troubled_events(session, studio.organization_id, clock.now())
        assert (troubled.title, troubled.problems) == ("Pottery", 1)
        assert "{zoom_link}" in troubled.first.sentence
        after = STARTS + timedelta(minutes=1)
        assert await troubled_events(session, studio.organization_id, after) == []
        foreign = replace(studio, organization_id=studio.event_id)
        assert await troubled_events(session, foreign.organization_id, NOW) == []
    await scheduled(database, studio)
    clock.advance(1)
    await look(preflights, studio)
    async with database.reading() as session:
        assert await troubled_events(session, studio.organization_id, clock.now()) == []
