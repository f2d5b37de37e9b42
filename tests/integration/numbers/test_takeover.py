"""Scenarios 1 to 4: a phone connects under a new session, whatever held its number before."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.integration.db.test_announcements import hearing
from tests.integration.numbers.conftest import OWNER, PHONE, Desk
from tests.support.cast import Cast
from tests.support.factories import (
    make_campaign,
    make_event,
    make_group,
    make_membership,
    make_message,
    make_number,
    make_session,
)

from groupline.errors import InvalidInput
from groupline.gateways.outcomes import SessionConnected
from groupline.models import (
    Event,
    Gateway,
    NotificationCampaign,
    Organization,
    ScheduledWhatsappMessage,
    SessionStatus,
    WhatsappMembership,
)
from groupline.numbers.readings import Word, apply_reading
from groupline.numbers.status_events import apply_status_event
from groupline.numbers.takeover import Report, Takeover, take_over

COUNTS = {
    "workshops": 2,
    "webinars": 1,
    "campaigns": 2,
    "groups": 3,
    "messages": 4,
    "organizations": 1,
}


async def give_work(desk: Desk, number_id: UUID) -> None:
    """Events, campaigns, groups, messages and the default of the organization."""
    facts: dict[str, Any] = {"organization_id": desk.organization_id, "number_id": number_id}
    async with desk.database.writing() as session:
        for kind in ("workshop", "workshop", "webinar"):
            await make_event(session, kind=kind, **facts)
        await make_event(session, kind="workshop", status="done", **facts)
        for status in ("draft", "paused", "completed"):
            await make_campaign(session, status=status, **facts)
        groups = [await make_group(session, organization_id=desk.organization_id) for _ in range(4)]
        for group in groups[:3]:
            await make_membership(session, group_id=group.id, **facts)
        await make_membership(
            session, group_id=groups[3].id, is_active=False, missing_since=desk.clock.now(), **facts
        )
        for group in groups:
            await make_message(session, group_id=group.id, **facts)
        organization = await session.get_one(Organization, desk.organization_id)
        organization.community_number_id = number_id


async def served_by(desk: Desk, number_id: UUID) -> dict[str, int]:
    """How many rows of each kind refer to the number, finished ones included."""
    counts = {}
    async with desk.database.reading() as session:
        for model in (Event, NotificationCampaign, WhatsappMembership, ScheduledWhatsappMessage):
            rows = await session.scalars(select(model.id).where(model.number_id == number_id))
            counts[model.__tablename__] = len(rows.all())
    return counts


@pytest.mark.parametrize("state", ["connected", "connecting", "qr_pending", "disconnected"])
@pytest.mark.parametrize("holders", [1, 2])
async def test_a_number_held_by_older_sessions_is_taken_over(
    desk: Desk, state: SessionStatus, holders: int
) -> None:
    async with desk.database.writing() as session:
        number = await make_number(
            session, organization_id=desk.organization_id, phone_number=PHONE
        )
        older = []
        for index in range(holders):
            held = state if index == 0 else "disconnected"
            row = await make_session(
                session,
                organization_id=desk.organization_id,
                gateway_id=desk.gateway_id,
                number_id=number.id,
                status=held,
            )
            older.append(row.id)
            desk.gateway.connects(row.gateway_session_id, PHONE)
    await give_work(desk, number.id)
    before = await served_by(desk, number.id)
    desk.clock.advance(60)

    fresh = await desk.paired()

    assert (fresh.status, fresh.number_id, fresh.last_error) == ("connected", number.id, None)
    assert fresh.migration == COUNTS
    assert len(await desk.numbers()) == 1
    assert await served_by(desk, number.id) == before
    for session_id in older:
        row = await desk.session(session_id)
        assert (row.status, row.number_id) == ("disconnected", number.id)
    if state != "disconnected":
        first = await desk.session(older[0])
        assert (first.ended_reason, first.replaced_by_id) == ("replaced", fresh.id)
    [entry] = await desk.journal("number.taken_over")
    assert entry.data == {**COUNTS, "sessionId": str(fresh.id)}


async def test_a_number_that_nobody_served_before_has_no_migration(desk: Desk) -> None:
    row = await desk.paired()
    assert row.migration is None
    assert await desk.journal("number.taken_over") == []
    assert len(await desk.journal("number.connected")) == 1


async def test_the_same_report_again_changes_nothing(desk: Desk) -> None:
    await desk.paired()
    row = await desk.paired()
    entries = len(await desk.journal("number.taken_over"))
    for _ in range(3):
        await desk.period()
        await status_event(desk, row.gateway_session_id, "connected")
    again = await desk.session(row.id)
    assert (again.connected_at, again.migration) == (row.connected_at, row.migration)
    assert len(await desk.journal("number.taken_over")) == entries
    assert len(await desk.sessions()) == 2


async def test_a_pairing_that_comes_back_by_itself_is_no_migration(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected", reason="logged_out")
    await desk.period()
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period()
    back = await desk.session(row.id)
    assert (back.status, back.ended_reason, back.disconnected_at) == ("connected", None, None)
    assert back.migration is None


@pytest.mark.parametrize(
    "spelling", ["+91 98765 43210", "919876543210", "919876543210:12@s.whatsapp.net"]
)
async def test_every_spelling_is_one_number(desk: Desk, spelling: str) -> None:
    first = await desk.paired()
    second = await desk.paired(spelling)
    assert second.number_id == first.number_id
    assert [number.phone_number for number in await desk.numbers()] == [PHONE]


async def test_a_report_with_an_invalid_phone_is_refused_with_the_reason(desk: Desk) -> None:
    row = await desk.connect()
    desk.gateway.connects(row.gateway_session_id, "12")
    await desk.verify()
    shown = await desk.session(row.id)
    assert shown.status == "connecting"
    assert shown.last_error == (
        "The gateway says connected with “12”, which is not a valid phone number."
    )
    assert await desk.numbers() == []


async def test_the_function_itself_refuses_an_invalid_phone(desk: Desk) -> None:
    row = await desk.connect()
    with pytest.raises(InvalidInput, match="too short"):
        await report_connected(desk, row.id, "91987")


async def status_event(
    desk: Desk, name: str, word: str, *, ago: float = 0, phone: str | None = PHONE, **said: Any
) -> str:
    now = desk.clock.now()
    async with desk.database.writing() as session:
        return await apply_status_event(
            session,
            gateway_id=desk.gateway_id,
            gateway_session_id=name,
            status_word=word,
            phone=phone,
            at=now - timedelta(seconds=ago),
            now=now,
            **said,
        )


async def report_connected(desk: Desk, session_id: UUID, phone: str = PHONE) -> Takeover:
    now = desk.clock.now()
    report = Report(phone, now, now, "gateway", OWNER)
    async with desk.database.writing() as session:
        return await take_over(session, desk.organization_id, session_id, report)


async def test_linked_twice_the_newer_wins_and_the_older_is_logged_out(desk: Desk) -> None:
    desk.gateway.keeps_sessions = True
    older = await desk.paired()
    desk.clock.advance(1)
    newer = await desk.paired()
    await desk.sweep()
    assert desk.gateway.count("disconnect", older.gateway_session_id) == 1
    assert desk.gateway.count("disconnect", newer.gateway_session_id) == 0
    assert (await desk.session(older.id)).logout_confirmed_at is not None
    await _nothing_comes_back(desk, older.id, newer.id)


async def _nothing_comes_back(desk: Desk, older: UUID, newer: UUID) -> None:
    """Late, reordered and repeated reports of the older session, and polls that believe them."""
    name = (await desk.session(older)).gateway_session_id
    for ago in (30, 0, 5, 0):
        await status_event(desk, name, "connected", ago=ago)
        await desk.period()
        now = desk.clock.now()
        async with desk.database.writing() as session:
            word = Word(SessionConnected(PHONE), now, now)
            await apply_reading(session, desk.organization_id, older, word)
        assert (await desk.session(older)).ended_reason == "replaced"
        assert (await desk.session(newer)).status == "connected"
    assert len(await desk.journal("number.connected")) <= 2


async def test_an_older_pairing_that_is_back_after_its_logout_is_logged_out_again_at_once(
    desk: Desk,
) -> None:
    """The loop that does so sleeps until it hears of a session."""
    older, newer = await desk.paired(), await desk.paired()
    await desk.sweep()
    assert (await desk.session(older.id)).logout_confirmed_at is not None
    desk.gateway.connects(older.gateway_session_id, PHONE)

    async with hearing(desk.database) as heard:
        desk.clock.advance(1)
        await status_event(desk, older.gateway_session_id, "connected")
        while (told := await anext(heard)).topic != "sessions":
            pass
    assert told.subject_id == older.id
    await desk.sweep()

    assert (await desk.session(older.id)).logout_confirmed_at is not None
    assert desk.gateway.count("disconnect", older.gateway_session_id) == 2
    assert (await desk.session(newer.id)).status == "connected"


async def test_the_older_pairing_loses_also_when_it_is_reported_first_or_last(desk: Desk) -> None:
    """The order of the pairings counts, not that of the reports."""
    older = await desk.connect()
    desk.clock.advance(1)
    newer = await desk.connect()
    await report_connected(desk, newer.id)
    desk.clock.advance(1)
    done = await report_connected(desk, older.id)
    assert (done.outcome, done.session.ended_reason) == ("superseded", "replaced")
    assert done.session.replaced_by_id == newer.id
    assert (await desk.session(newer.id)).status == "connected"
    await desk.sweep()
    assert desk.gateway.count("disconnect", older.gateway_session_id) == 1


async def test_an_older_pairing_that_comes_back_does_not_end_a_newer_one_under_way(
    desk: Desk,
) -> None:
    now = desk.clock.now()
    async with desk.database.writing() as session:
        number = await make_number(
            session, organization_id=desk.organization_id, phone_number=PHONE
        )
        facts: dict[str, Any] = {
            "organization_id": desk.organization_id,
            "gateway_id": desk.gateway_id,
            "number_id": number.id,
        }
        older = await make_session(
            session, status="disconnected", ended_reason="disconnected", **facts
        )
        newer = await make_session(
            session, status="connecting", pairing_started_at=now + timedelta(seconds=1), **facts
        )
    await report_connected(desk, older.id)
    assert (await desk.session(older.id)).status == "connected"
    assert (await desk.session(newer.id)).status == "connecting"
    desk.clock.advance(1)
    await report_connected(desk, newer.id)
    assert (await desk.session(newer.id)).status == "connected"
    assert (await desk.session(older.id)).replaced_by_id == newer.id


async def test_the_logout_of_the_replaced_one_is_retried_until_it_is_confirmed(desk: Desk) -> None:
    older = await desk.paired()
    desk.clock.advance(1)
    await desk.paired()
    desk.gateway.disconnect_answer = (500, {"error": "busy"})
    await desk.sweep()
    assert (await desk.session(older.id)).logout_confirmed_at is None
    desk.clock.advance(5)
    await desk.sweep()
    assert desk.gateway.count("disconnect", older.gateway_session_id) == 1, "not in a rush"
    desk.gateway.disconnect_answer = (404, {"error": "Session not found"})
    desk.clock.advance(10)
    await desk.sweep()
    assert (await desk.session(older.id)).logout_confirmed_at is not None
    desk.clock.advance(7200)
    await desk.sweep()
    assert desk.gateway.count("disconnect", older.gateway_session_id) == 2


async def test_a_new_number_is_called_as_its_pairing_and_keeps_its_name(desk: Desk) -> None:
    for label in ("Front desk", "Another"):
        row = await desk.connect(label=label)
        await report_connected(desk, row.id)
        desk.clock.advance(1)
    assert (await desk.number()).display_name == "Front desk"


async def test_a_restriction_is_told_when_it_begins_and_when_it_ends(desk: Desk) -> None:
    row = await desk.paired()
    async with desk.database.writing() as session:
        gateway = await session.get_one(Gateway, desk.gateway_id)
        gateway.capabilities = ["restriction_info"]
    said = {"phoneNumber": PHONE, "restriction": {"kind": "restricted"}}
    desk.gateway.says(row.gateway_session_id, "connected", **said)
    await desk.period(2)
    assert (await desk.number()).restriction == "restricted"
    assert len(await desk.journal("number.restricted")) == 1
    desk.gateway.connects(row.gateway_session_id, PHONE)
    await desk.period(2)
    assert (await desk.number()).restriction is None
    assert len(await desk.journal("number.unrestricted")) == 1


async def test_two_organizations_may_hold_the_same_phone(desk: Desk, cast: Cast) -> None:
    row = await desk.paired()
    async with desk.database.writing() as session:
        outside = await make_session(
            session,
            organization_id=cast.outside_organization_id,
            gateway_id=desk.gateway_id,
            status="connecting",
        )
        report = Report(PHONE, desk.clock.now(), desk.clock.now(), "gateway", OWNER)
        done = await take_over(session, outside.organization_id, outside.id, report)
    assert done.outcome == "connected"
    assert (await desk.session(row.id)).status == "connected"
