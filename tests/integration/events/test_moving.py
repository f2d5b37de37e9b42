"""Moving an event: exactly what is pending, and what becomes of what would be too late."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from tests.integration.events.studio import DUE, PERSON, STARTS, Studio, messages_of
from tests.integration.events.test_run import change, counted, give_values, run
from tests.support.clock import NOW

from groupline.db import Announcements, Database
from groupline.events.calendar import calendar_of
from groupline.events.groups import set_groups
from groupline.events.queries import get_event
from groupline.events.reschedule import NewTime, reschedule
from groupline.events.schemas import MovePlan
from groupline.events.timeline import timeline
from groupline.models import ScheduledWhatsappMessage, SequenceStep

LINK = {"zoom_link": "https://example.org/zoom"}


@pytest.fixture
async def scheduled(database: Database, studio: Studio) -> Studio:
    await give_values(database, studio, LINK)
    await run(database, studio)
    return studio


async def move(
    database: Database,
    studio: Studio,
    starts_at: datetime,
    *,
    now: datetime = NOW,
    timezone: str = "Asia/Kolkata",
    **options: Any,
) -> MovePlan:
    async with database.writing() as session:
        return await reschedule(
            session,
            studio.organization_id,
            studio.event_id,
            NewTime(starts_at, None, timezone),
            actor=PERSON,
            now=now,
            **{"dry_run": False, **options},
        )


async def test_what_has_left_or_is_on_its_way_stays(database: Database, scheduled: Studio) -> None:
    rows = await messages_of(database, scheduled.event_id)
    sent = {"status": "sent", "sent_at": NOW, "gateway_message_id": "3EB0"}
    await change(database, ScheduledWhatsappMessage, rows[0].id, **sent)
    claimed = {"claimed_by": "w", "claimed_until": NOW, "claim_token": rows[1].id}
    await change(database, ScheduledWhatsappMessage, rows[1].id, status="sending", **claimed)

    plan = await move(database, scheduled, STARTS + timedelta(days=1))

    assert (plan.count("moves"), plan.untouched) == (13, 2)
    after = {row.id: row for row in await messages_of(database, scheduled.event_id)}
    for row in rows:
        moved = row.id not in (rows[0].id, rows[1].id)
        expected = row.scheduled_for + timedelta(days=1) if moved else row.scheduled_for
        assert after[row.id].scheduled_for == expected


@pytest.mark.parametrize(
    ("past", "fates"),
    [
        ("cancel", {"cancelled": 9, "pending": 6}),
        ("send", {"cancelled": 6, "pending": 9}),
    ],
)
async def test_what_would_be_too_late_is_shown_and_cancelled_or_sent_while_useful(
    database: Database, scheduled: Studio, past: str, fates: dict[str, int]
) -> None:
    """Five minutes before the new start: the first two steps are over, the third is 5 min late."""
    now = STARTS - timedelta(hours=20)
    new = now + timedelta(minutes=5)
    shown = await move(database, scheduled, new, now=now, past=past, dry_run=True)
    done = await move(database, scheduled, new, now=now, past=past)
    assert shown.steps == done.steps
    rows = await messages_of(database, scheduled.event_id)
    assert Counter(row.status for row in rows) == fates
    gone = [row for row in rows if row.status == "cancelled"]
    assert {row.error_code for row in gone} == {"moved_into_past"}
    assert all(row.expires_at and row.expires_at > now for row in rows if row.status == "pending")


async def test_the_same_start_brings_messages_to_the_times_of_changed_steps(
    database: Database, scheduled: Studio
) -> None:
    step = scheduled.step_ids["Ten minutes before"]
    await change(database, SequenceStep, step, offset_minutes=-15, late_minutes=5)
    plan = await move(database, scheduled, STARTS)
    assert (plan.count("moves"), plan.count("stays")) == (3, 12)
    rows = [row for row in await messages_of(database, scheduled.event_id) if row.step_id == step]
    assert {row.scheduled_for for row in rows} == {STARTS - timedelta(minutes=15)}
    assert {row.expires_at for row in rows} == {STARTS - timedelta(minutes=10)}


async def test_another_zone_moves_the_wall_clock_steps_only(
    database: Database, scheduled: Studio
) -> None:
    plan = await move(database, scheduled, STARTS, timezone="America/New_York")
    assert {step.title: step.fate for step in plan.steps} == {
        "The day before": "moves",
        "An hour before": "stays",
        "Ten minutes before": "stays",
        "Start": "stays",
        "The day after": "moves",
    }
    assert DUE["The day before"] not in {step.new_time for step in plan.steps}


async def test_two_moves_at_once_end_in_one_of_them_whole(
    database: Database, scheduled: Studio, database_url: str
) -> None:
    other = Database(database_url, announcements=Announcements())
    days = (STARTS + timedelta(days=1), STARTS + timedelta(days=2))
    try:
        await asyncio.gather(move(database, scheduled, days[0]), move(other, scheduled, days[1]))
    finally:
        await other.dispose()
    starts = {
        row.scheduled_for
        for row in await messages_of(database, scheduled.event_id)
        if row.step_id == scheduled.step_ids["Start"]
    }
    assert len(starts) == 1
    assert starts < set(days)


async def test_a_run_and_a_move_at_once_leave_no_message_at_an_old_time(
    database: Database, studio: Studio, database_url: str
) -> None:
    await give_values(database, studio, LINK)
    other = Database(database_url, announcements=Announcements())
    try:
        await asyncio.gather(run(database, studio), move(other, studio, STARTS + timedelta(days=1)))
    finally:
        await other.dispose()
    rows = await messages_of(database, studio.event_id)
    day = timedelta(days=1)
    assert {row.scheduled_for for row in rows} == {due + day for due in DUE.values()}


async def test_moving_takes_as_many_statements_for_many_messages_as_for_few(
    database: Database, scheduled: Studio
) -> None:
    async with counted() as all_of_them:
        await move(database, scheduled, STARTS + timedelta(days=1))
    rows = await messages_of(database, scheduled.event_id)
    async with database.writing() as session:
        message = ScheduledWhatsappMessage
        some = [row.id for row in rows[5:]]
        await session.execute(
            update(message).where(message.id.in_(some)).values(status="cancelled")
        )
    async with counted() as few:
        await move(database, scheduled, STARTS + timedelta(days=2))
    assert len(all_of_them) == len(few)


async def test_a_step_counts_those_who_got_it_whether_they_have_a_name_or_not(
    database: Database, scheduled: Studio
) -> None:
    row = (await messages_of(database, scheduled.event_id))[0]
    counts = {"delivered_count": 2, "read_count": 1, "anonymous_read_count": 3}
    await change(database, ScheduledWhatsappMessage, row.id, **counts)
    async with database.reading() as session:
        event = await get_event(session, scheduled.organization_id, scheduled.event_id, now=NOW)
        steps = await timeline(session, event, NOW)
    told = {(step.delivered, step.read) for step in steps}
    assert told == {(5, 4), (0, 0)}, "who has read it has also got it"


async def shown(database: Database, studio: Studio) -> tuple[dict[str, datetime], str]:
    """The steps with their times in the order of the page, and the calendar file."""
    async with database.reading() as session:
        event = await get_event(session, studio.organization_id, studio.event_id, now=NOW)
        steps = await timeline(session, event, NOW)
    calendar = calendar_of(event, steps, url="https://example.org")
    return {step.title: step.at for step in steps}, calendar


async def test_what_was_cancelled_before_a_move_does_not_hold_its_step_back(
    database: Database, scheduled: Studio
) -> None:
    async with database.writing() as session:
        await set_groups(
            session,
            scheduled.organization_id,
            scheduled.event_id,
            scheduled.group_ids[1:],
            cancel_messages=True,
            actor=PERSON,
            now=NOW,
        )
    day = timedelta(days=1)
    await move(database, scheduled, STARTS + day)

    times, calendar = await shown(database, scheduled)

    assert list(times.items()) == [(title, due + day) for title, due in DUE.items()]
    for due in DUE.values():
        assert f"DTSTART:{due + day:%Y%m%dT%H%M%SZ}" in calendar


async def test_a_step_whose_messages_were_all_cancelled_keeps_their_time(
    database: Database, scheduled: Studio
) -> None:
    """A minute before the new start the first three steps would be too late."""
    now = STARTS - timedelta(hours=48)
    await move(database, scheduled, now + timedelta(minutes=1), now=now)
    times, _ = await shown(database, scheduled)
    for title in ("The day before", "An hour before", "Ten minutes before"):
        assert times[title] == DUE[title]
    assert times["Start"] == now + timedelta(minutes=1)
