"""Numbers that come and go: one alert with what it means, and nothing for a short break."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.integration.alerts.conftest import GRACE, Desk
from tests.support.factories import make_message, make_number, make_session

from groupline import journal
from groupline.alerts.watch import READER, Watch
from groupline.journal import SYSTEM
from groupline.models import WhatsappNumber
from groupline_gateway.engines.whatsmeow.changes import banned_sentence


@pytest.fixture
async def number_id(desk: Desk) -> UUID:
    async with desk.database.writing() as session:
        number = await make_number(
            session, organization_id=desk.organization_id, phone_number="919876543210"
        )
    return number.id


async def lose(desk: Desk, number_id: UUID, **data: object) -> None:
    facts = {"reason": "logged_out", "detail": "The phone was logged out."} | data
    await desk.happens("number.disconnected", number_id, facts)


async def test_a_disconnected_number_tells_what_is_due_on_it(desk: Desk, number_id: UUID) -> None:
    await desk.channel()
    async with desk.database.writing() as session:
        for minutes in (30, 60, 90, 300):
            await make_message(
                session,
                organization_id=desk.organization_id,
                number_id=number_id,
                scheduled_for=desk.clock.now() + timedelta(minutes=minutes),
            )
    await lose(desk, number_id)
    await desk.turn()
    assert desk.told == []
    await desk.turn(GRACE.total_seconds())
    assert desk.told == ["+91 98765 43210 is disconnected"]
    assert desk.last_text == (
        "3 messages are due in the next 2 hours; the first is due Mon 02 Mar, 18:00 IST. "
        "The phone was logged out. Reconnect it.\n"
        f"http://127.0.0.1:8420/settings/connection#number-{number_id}"
    )
    await desk.turn(3600)
    assert len(desk.told) == 1


async def test_a_number_that_is_back_within_the_grace_raises_nothing(
    desk: Desk, number_id: UUID
) -> None:
    await desk.channel()
    await lose(desk, number_id)
    await desk.turn(GRACE.total_seconds() - 5)
    await desk.happens("number.connected", number_id)
    await desk.turn(1)
    await desk.turn(3600)
    assert desk.told == []
    assert await desk.alerts() == []


async def test_one_that_is_connected_when_the_alert_is_due_raises_nothing(
    desk: Desk, number_id: UUID
) -> None:
    """Even if its entry in the journal could not be read yet."""
    await desk.channel()
    await lose(desk, number_id)
    await desk.turn()
    async with desk.database.writing() as session:
        await make_session(session, organization_id=desk.organization_id, number_id=number_id)
    await desk.turn(3600)
    assert desk.told == []


async def test_who_was_told_that_it_is_gone_is_told_that_it_is_back(
    desk: Desk, number_id: UUID
) -> None:
    await desk.channel("One", "number.disconnected")
    await desk.channel("Two", "message.failed")
    await lose(desk, number_id)
    await desk.turn(61)
    await desk.happens("number.connected", number_id, at=desk.clock.now() + timedelta(minutes=9))
    await desk.turn(540)
    assert desk.told == ["+91 98765 43210 is disconnected", "+91 98765 43210 is connected again"]
    assert desk.last_text.startswith("It was disconnected for 10 minutes.")
    assert all(alert.resolved_at is not None for alert in await desk.alerts())
    await lose(desk, number_id)
    await desk.turn(61)
    assert len(desk.told) == 3


async def test_reading_an_entry_twice_raises_one_alert(desk: Desk, number_id: UUID) -> None:
    """As after a restore, when the cursor of the reader is older than the alerts."""
    await desk.channel()
    async with desk.database.reading() as session:
        before = await journal.load_cursor(session, READER)
    assert before is not None
    await lose(desk, number_id)
    await desk.turn(61)
    async with desk.database.writing() as session:
        await journal.save_cursor(session, READER, before)
    await desk.turn(61)
    assert len(desk.told) == 1


async def test_what_a_person_did_on_purpose_is_no_alert(desk: Desk, number_id: UUID) -> None:
    await desk.channel()
    await lose(desk, number_id, reason="user", detail=None)
    await desk.turn(61)
    assert desk.told == []


async def test_a_restriction_is_told_at_once(desk: Desk, number_id: UUID) -> None:
    await desk.channel()
    until = (desk.clock.now() + timedelta(hours=6)).isoformat()
    data = {"restriction": "reachout timelock", "until": until}
    await desk.happens("number.restricted", number_id, data)
    await desk.turn()
    assert desk.told == ["WhatsApp restricts +91 98765 43210"]
    assert "until Mon 02 Mar, 23:30 IST (reachout timelock)" in desk.last_text
    await desk.happens("number.restricted", number_id, {"restriction": "restricted", "until": None})
    await desk.turn()
    assert "It may not send. Messages wait." in desk.last_text


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_an_entry_that_commits_late_is_not_missed(desk: Desk, number_id: UUID) -> None:
    await desk.channel()
    async with desk.database.writing() as slow:
        await journal.record(
            slow,
            action="number.disconnected",
            actor=SYSTEM,
            organization_id=desk.organization_id,
            subject="number",
            subject_id=number_id,
            data={"reason": "logged_out"},
            at=desk.clock.now(),
        )
        await desk.happens("number.unrestricted", number_id)
        await desk.turn(61)
        assert desk.told == []
    await desk.turn(61)
    assert desk.told == ["+91 98765 43210 is disconnected"]


async def test_two_watchers_raise_one_alert(desk: Desk, number_id: UUID) -> None:
    await desk.channel()
    other = Watch(desk.database, desk.clock, grace=GRACE)
    await lose(desk, number_id)
    desk.clock.advance(61)
    while await desk.watch.run_once() or await other.run_once():
        pass
    await desk.turn(1)
    assert len(desk.told) == 1


async def test_what_no_reconnect_brings_back_is_not_to_be_reconnected(
    desk: Desk, number_id: UUID
) -> None:
    await desk.channel()
    why = "WhatsApp cannot be reached from this machine. The gateway keeps trying."
    facts = {"reason": "disconnected", "detail": why, "obstacle": "whatsapp_unreachable"}
    await lose(desk, number_id, **facts)
    await desk.turn(GRACE.total_seconds())
    await desk.turn()
    assert f"{why}\n" in desk.last_text
    assert "Reconnect it." not in desk.last_text


async def test_a_ban_names_its_end_in_the_zone_of_the_organization(
    desk: Desk, number_id: UUID
) -> None:
    await desk.channel()
    until = desk.clock.now() + timedelta(hours=9)
    async with desk.database.writing() as session:
        number = await session.get_one(WhatsappNumber, number_id)
        number.restriction, number.restricted_until = "banned", until
    why = banned_sentence(until)
    await lose(desk, number_id, reason="disconnected", detail=why, obstacle="banned")
    await desk.turn(GRACE.total_seconds())
    await desk.turn()
    assert "WhatsApp has banned this number until 3 Mar, 02:30 IST." in desk.last_text
    assert "Reconnect it." not in desk.last_text


async def test_a_paused_number_that_is_back_sends_nothing_yet(desk: Desk, number_id: UUID) -> None:
    await desk.channel()
    async with desk.database.writing() as session:
        number = await session.get_one(WhatsappNumber, number_id)
        number.paused_at = desk.clock.now()
    await lose(desk, number_id)
    await desk.turn(61)
    await desk.happens("number.connected", number_id)
    await desk.turn(60)
    assert desk.told[-1] == "+91 98765 43210 is connected again"
    assert "sending from it is paused" in desk.last_text
    assert "goes out now" not in desk.last_text
