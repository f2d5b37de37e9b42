"""Somebody stops all sending from a number: it is seen, it is told, and it is ended by a person."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.integration.numbers.conftest import OWNER, Desk
from tests.support.factories import make_campaign, make_event, make_message

from groupline.journal import Actor
from groupline.messages.waiting import lanes, obstacle
from groupline.models import WhatsappNumber
from groupline.numbers import views
from groupline.numbers.change import NumberChange, change_number
from groupline.numbers.views import NumberView

COLLEAGUE = Actor("user", "Colleague", UUID(int=7))


async def _pause(desk: Desk, paused: bool, actor: Actor = OWNER, **more: Any) -> WhatsappNumber:
    number = await desk.number()
    async with desk.database.writing() as session:
        return await change_number(
            session,
            desk.organization_id,
            number.id,
            NumberChange(paused=paused, **more),
            actor=actor,
            now=desk.clock.now(),
        )


async def _view(desk: Desk) -> NumberView:
    async with desk.database.reading() as session:
        [view] = await views.list_numbers(session, desk.organization_id, desk.clock.now())
    return view


async def _write(desk: Desk, number_id: UUID, minutes: int, **more: Any) -> None:
    own: dict[str, Any] = {"organization_id": desk.organization_id, "number_id": number_id}
    at = desk.clock.now() + timedelta(minutes=minutes)
    async with desk.database.writing() as session:
        await make_message(session, **own, scheduled_for=at, **more)


async def test_a_pause_names_its_author_and_counts_what_it_holds_back(desk: Desk) -> None:
    await desk.paired()
    number = await _pause(desk, True)
    now = desk.clock.now()
    own: dict[str, Any] = {"organization_id": desk.organization_id, "number_id": number.id}
    async with desk.database.writing() as session:
        still = await make_campaign(session, **own, status="paused", paused_at=now)
    await _write(desk, number.id, -10)
    await _write(desk, number.id, -5, expires_at=now + timedelta(hours=1))
    await _write(desk, number.id, -5, expires_at=now)
    await _write(desk, number.id, 5)
    await _write(desk, number.id, -5, campaign_id=still.id)
    over = {"status": "expired", "error_code": "expired"}
    await _write(desk, number.id, -9, expires_at=now - timedelta(minutes=1), **over)
    await _write(desk, number.id, -9, expires_at=now + timedelta(minutes=1), **over)
    await _pause(desk, True, COLLEAGUE, display_name="Desk")  # it is paused already

    view = await _view(desk)

    assert view.pause is not None
    assert (view.pause.since, view.pause.by) == (now, OWNER.label)
    assert (view.pause.waiting, view.pause.late) == (2, 1)
    assert "IST by Owner: nothing is sent. 2 messages wait." in view.shown.sentence


async def test_a_program_that_paused_a_number_is_told_from_a_person(desk: Desk) -> None:
    await desk.paired()
    await _pause(desk, True, Actor("api_key", "Night shift", UUID(int=8)))
    view = await _view(desk)
    assert view.pause is not None
    assert view.pause.by == "API key Night shift"


async def test_a_number_that_is_not_paused_shows_no_pause(desk: Desk) -> None:
    await desk.paired()
    await _pause(desk, True)
    await _pause(desk, False)
    view = await _view(desk)
    assert (view.pause, view.shown.pause) == (None, None)
    assert view.shown.sentence == "Connected and ready to send."


async def test_the_next_event_of_a_number_is_named_once_it_is_within_a_day(desk: Desk) -> None:
    await desk.paired()
    number = await desk.number()
    own: dict[str, Any] = {"organization_id": desk.organization_id, "number_id": number.id}
    begins = desk.clock.now() + timedelta(days=1, minutes=1)
    async with desk.database.writing() as session:
        await make_event(session, **own, title="Throwing clay", starts_at=begins)
    assert (await _view(desk)).next_event is None
    desk.clock.advance(60)
    event = (await _view(desk)).next_event
    assert event is not None
    assert event.title == "Throwing clay"


async def test_each_pause_and_its_end_are_told_once_with_what_they_mean(desk: Desk) -> None:
    await desk.paired()
    number, now = await desk.number(), desk.clock.now()
    await _write(desk, number.id, 30, expires_at=now + timedelta(minutes=40))
    await _write(desk, number.id, 60)
    async with desk.database.writing() as session:
        await make_event(
            session,
            organization_id=desk.organization_id,
            number_id=number.id,
            title="Throwing clay",
            starts_at=now + timedelta(hours=1),
        )
    await _pause(desk, True)
    await _pause(desk, True)
    [paused] = await desk.journal("number.paused")
    assert (paused.actor_label, paused.data["messagesDue"]) == ("Owner", 2)
    assert paused.data["nextEvent"]["title"] == "Throwing clay"

    desk.clock.advance(3601)
    await _pause(desk, False, COLLEAGUE)
    await _pause(desk, False, COLLEAGUE)
    [resumed] = await desk.journal("number.resumed")
    assert (resumed.actor_label, resumed.data["waiting"]) == ("Colleague", 1)
    assert resumed.data["since"] == now.isoformat()
    assert await desk.journal("number.changed") == []


async def test_of_two_who_pause_at_the_same_moment_the_one_who_did_is_told(desk: Desk) -> None:
    await desk.paired()
    number = await desk.number()
    both_have_read = asyncio.Barrier(2)

    async def pause(actor: Actor, paused: bool) -> None:
        async with desk.database.writing() as session:
            if desk.database.dialect == "postgresql":  # on SQLite, one writes at a time
                await session.get(WhatsappNumber, number.id)
                await both_have_read.wait()
            await change_number(
                session,
                desk.organization_id,
                number.id,
                NumberChange(paused=paused),
                actor=actor,
                now=desk.clock.now(),
            )

    for paused, told in ((True, "number.paused"), (False, "number.resumed")):
        await asyncio.gather(*(pause(each, paused) for each in (OWNER, COLLEAGUE)))
        assert len(await desk.journal(told)) == 1


async def test_a_pause_that_was_told_as_a_change_keeps_its_author(desk: Desk) -> None:
    """As versions before did."""
    await desk.paired()
    await _pause(desk, True, display_name="Desk")
    async with desk.database.writing() as session:
        for entry in await desk.journal("number.paused"):
            await session.delete(await session.merge(entry))
    view = await _view(desk)
    assert view.pause is not None
    assert view.pause.by == OWNER.label


async def test_a_message_says_since_when_its_number_is_paused_or_restricted(desk: Desk) -> None:
    await desk.paired()
    number = await _pause(desk, True)
    now = desk.clock.now()

    async def reason() -> str | None:
        async with desk.database.reading() as session:
            return obstacle((await lanes(session, [number.id], now))[number.id], now)

    paused = await reason()
    assert paused is not None
    assert paused.startswith("The number is paused since 2 Mar, ")
    assert "IST, until somebody resumes sending." in paused
    await _pause(desk, False)
    assert await reason() is None
    async with desk.database.writing() as session:
        row = await session.get_one(WhatsappNumber, number.id)
        row.lane_free_at, row.lane_hold_reason = now + timedelta(minutes=5), "restricted"
    again = await reason()
    assert again is not None
    assert again.startswith("WhatsApp restricts what this number may send. The next try is at ")
    async with desk.database.writing() as session:
        row = await session.get_one(WhatsappNumber, number.id)
        row.restriction, row.restricted_until = "restricted", row.lane_free_at
    assert await reason() == again, "which is no end that anybody has named"
    view = await _view(desk)
    assert view.shown.sentence == again
    assert (view.shown.until, view.restricted_until) == (None, None)
    async with desk.database.writing() as session:
        row = await session.get_one(WhatsappNumber, number.id)
        row.restriction, row.restricted_until = "spam", now + timedelta(hours=9)
    restricted = await reason()
    assert restricted is not None
    assert restricted.startswith("WhatsApp restricts what this number may send until 3 Mar, 02:30 ")
