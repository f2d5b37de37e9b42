"""What the doctor finds about numbers and sessions, and how it repairs it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from tests.integration.numbers.conftest import OWNER, PHONE, Desk
from tests.support.factories import make_event, make_number, make_session

from groupline.doctor.findings import Finding
from groupline.doctor.numbers import find_at_gateways, find_in_database, repair
from groupline.models import WhatsappNumber
from groupline.numbers import service


async def found(desk: Desk) -> list[Finding]:
    async with desk.database.reading() as session:
        return await find_in_database(session, desk.clock.now())


async def test_a_healthy_number_has_no_findings(desk: Desk) -> None:
    await desk.paired()
    await desk.connect()
    assert await found(desk) == []
    assert await find_at_gateways(desk.context) == []


@pytest.mark.parametrize(
    ("check", "status", "wrong"),
    [
        ("session.stuck", "connecting", {"pairing_started_at": -16}),
        ("session.unscheduled", "connected", {"next_verify_at": None}),
        ("session.ahead", "connected", {"status_at": 5}),
        ("session.logout_unconfirmed", "disconnected", {"logout_requested_at": -1441}),
    ],
)
async def test_what_is_wrong_with_a_session_is_found_repaired_and_journaled(
    desk: Desk, check: str, status: Any, wrong: dict[str, int | None]
) -> None:
    now = desk.clock.now()
    fields: dict[str, Any] = {"next_verify_at": now + timedelta(minutes=1)}
    fields |= {
        name: None if minutes is None else now + timedelta(minutes=minutes)
        for name, minutes in wrong.items()
    }
    async with desk.database.writing() as session:
        number = await make_number(
            session,
            organization_id=desk.organization_id,
            groups_sync_due_at=now,
            last_connected_at=now,
        )
        row = await make_session(
            session,
            organization_id=desk.organization_id,
            gateway_id=desk.gateway_id,
            number_id=None if status == "connecting" else number.id,
            status=status,
            **fields,
        )
    [finding] = await found(desk)
    assert (finding.check, finding.subject_id) == (check, row.id)
    assert finding.remedy is not None
    assert await repair(desk.context, [finding], actor=OWNER) == [finding]
    [entry] = await desk.journal("doctor.fixed")
    assert (entry.subject_id, entry.data["check"]) == (row.id, check)
    if check != "session.logout_unconfirmed":  # that one ends with the gateway's word
        assert await found(desk) == []
    assert (await desk.session(row.id)).next_verify_at == now


async def test_a_worker_that_does_not_run_is_named_and_left_to_people(desk: Desk) -> None:
    await desk.paired()
    desk.clock.advance(3600)
    [finding] = await found(desk)
    assert (finding.check, finding.remedy) == ("session.overdue", None)
    assert await repair(desk.context, [finding], actor=OWNER) == []


async def test_a_misspelt_number_is_corrected_unless_both_spellings_exist(desk: Desk) -> None:
    async with desk.database.writing() as session:
        await make_number(
            session, organization_id=desk.organization_id, phone_number="5215512345678"
        )
    [finding] = await found(desk)
    assert finding.check == "number.misspelt"
    await repair(desk.context, [finding], actor=OWNER)
    assert [number.phone_number for number in await desk.numbers()] == ["525512345678"]
    assert await found(desk) == []
    async with desk.database.writing() as session:
        await make_number(
            session, organization_id=desk.organization_id, phone_number="5215512345678"
        )
    [finding] = await found(desk)
    assert finding.remedy is None
    assert "hand the work over" in finding.problem


async def test_groups_that_nobody_syncs_are_asked_for(desk: Desk) -> None:
    await desk.paired()
    number = await desk.number()
    async with desk.database.writing() as session:
        row = await session.get_one(type(number), number.id)
        row.groups_sync_due_at = None
    [finding] = await found(desk)
    assert finding.check == "number.never_synced"
    await repair(desk.context, [finding], actor=OWNER)
    assert (await desk.number()).groups_sync_due_at == desk.clock.now()


async def test_a_gateway_that_says_otherwise_is_found_and_then_believed(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "logged_out")
    desk.clock.advance(1)
    [finding] = await find_at_gateways(desk.context)
    assert finding.check == "session.contradicts_gateway"
    assert (await desk.session(row.id)).status == "connected"
    await repair(desk.context, [finding], actor=OWNER)
    assert (await desk.session(row.id)).ended_reason == "logged_out"
    assert await find_at_gateways(desk.context) == []


async def test_a_session_that_was_logged_out_and_is_not_is_logged_out_again(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.keeps_sessions = True
    await service.disconnect(desk.context, desk.organization_id, row.id, actor=OWNER)
    desk.gateway.connects(row.gateway_session_id, PHONE)
    desk.clock.advance(1)
    [finding] = await find_at_gateways(desk.context)
    await repair(desk.context, [finding], actor=OWNER)
    await desk.sweep()
    assert desk.gateway.count("disconnect", row.gateway_session_id) == 2
    assert (await desk.session(row.id)).status == "disconnected"


async def test_a_gateway_that_is_away_contradicts_nothing(desk: Desk) -> None:
    await desk.paired()
    desk.gateway.failing = "500"
    assert await find_at_gateways(desk.context) == []


async def test_another_phone_under_the_name_of_a_session_is_found(desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.connects(row.gateway_session_id, "14155550136")
    desk.clock.advance(1)
    [finding] = await find_at_gateways(desk.context)
    assert "another phone" in finding.problem
    await repair(desk.context, [finding], actor=OWNER)
    assert (await desk.session(row.id)).ended_reason == "other_phone"
    assert {number.phone_number for number in await desk.numbers()} == {PHONE, "14155550136"}


@pytest.mark.parametrize("here", ["connecting", "disconnected"])
async def test_one_that_is_connected_there_and_not_here_is_found_and_connected(
    desk: Desk, here: str
) -> None:
    """Also what an earlier system left in "connecting" with its phone on an older row."""
    row = await desk.connect()
    if here == "disconnected":
        row = await desk.paired()
        desk.gateway.forgets(row.gateway_session_id)
        await desk.period()
    assert (await desk.session(row.id)).status == here
    desk.gateway.connects(row.gateway_session_id, PHONE)
    desk.clock.advance(1)
    findings = await find_at_gateways(desk.context)
    [finding] = [each for each in findings if each.subject_id == row.id]
    assert "says that it is connected" in finding.problem
    await repair(desk.context, [finding], actor=OWNER)
    assert (await desk.session(row.id)).status == "connected"
    assert len(await desk.journal("doctor.fixed")) == 1


async def test_a_number_that_remembers_wrongly_is_told_how_it_is(desk: Desk) -> None:
    row = await desk.paired()
    number = await desk.number()
    async with desk.database.writing() as session:
        stored = await session.get_one(type(number), number.id)
        stored.last_disconnected_at, stored.last_ended_reason = desk.clock.now(), "user"
    [finding] = await found(desk)
    assert finding.check == "number.misremembered"
    assert await repair(desk.context, [finding], actor=OWNER) == [finding]
    number = await desk.number()
    assert (number.last_connected_at, number.last_ended_reason) == (row.connected_at, None)
    assert await found(desk) == []


async def test_a_paused_number_with_an_event_that_is_near_is_for_a_person(desk: Desk) -> None:
    await desk.paired()
    number, now = await desk.number(), desk.clock.now()
    async with desk.database.writing() as session:
        for title, hours in (("Begun", -1), ("Near", 23), ("Far", 25)):
            await make_event(
                session,
                organization_id=desk.organization_id,
                number_id=number.id,
                title=title,
                starts_at=now + timedelta(hours=hours),
                ends_at=now + timedelta(hours=hours + 2),
            )
    assert await found(desk) == []
    async with desk.database.writing() as session:
        await session.execute(update(WhatsappNumber).values(paused_at=now))
    [finding] = await found(desk)
    assert (finding.check, finding.subject_id) == ("number.paused_before_event", number.id)
    assert "is paused since 2 Mar, 17:30 IST, and the workshop “Near” begins" in finding.problem
    assert finding.remedy is None
