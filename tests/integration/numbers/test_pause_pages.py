"""Wherever a number is chosen or looked at, a pause of it is to be seen, and how it is ended."""

import re
from datetime import timedelta
from html import unescape
from uuid import UUID

import pytest
from tests.integration.numbers.conftest import Desk
from tests.integration.numbers.test_pages import PAGE, signed_in, words
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.factories import make_campaign, make_event, make_message

SAID = "by Admin: nothing is sent. 1 message waits."


@pytest.fixture
async def number_id(desk: Desk) -> UUID:
    """Connected, with a message that is due, one that is near, and an event in three hours."""
    await desk.paired()
    number, now = await desk.number(), desk.clock.now()
    async with desk.database.writing() as session:
        for minutes in (-1, 60):
            await make_message(
                session,
                organization_id=desk.organization_id,
                number_id=number.id,
                scheduled_for=now + timedelta(minutes=minutes),
            )
        await make_event(
            session,
            organization_id=desk.organization_id,
            number_id=number.id,
            title="Throwing clay",
            starts_at=now + timedelta(hours=3),
            ends_at=now + timedelta(hours=5),
        )
    return number.id


async def test_an_admin_pauses_and_resumes_on_the_card(
    running: RunningApp, cast: Cast, desk: Desk, number_id: UUID
) -> None:
    async with signed_in(running, cast.admin) as admin:
        before = words(await admin.get(PAGE))
        assert "Connected and ready to send." in before
        assert "2 messages are due in the next 2 hours, and wait." in before
        assert "What is too late when it is resumed is not sent any more" in before
        assert "The workshop “Throwing clay” begins " in before

        page = await admin.post(f"{PAGE}/numbers/{number_id}/pause")
        assert "is paused: nothing is sent until somebody resumes it." in page.text
        card = words(page)
        assert SAID in card
        assert "Paused Connected Paused since" in card, "the connection is what it was"
        assert "1 message waits, and goes out now." in card
        assert "1 message falls due in the next 2 hours" in card, "besides the one that waits"
        assert "ready to send" not in card
        assert (await desk.number()).paused_at == desk.clock.now()

        overview = words(await admin.get("/"))
        assert (
            f"+91 98765 43210 is paused Paused since 2 Mar, 17:30 IST {SAID} 1 message falls"
            in overview
        )
        assert "The workshop “Throwing clay” begins Mon 02 Mar 2026, 20:30 IST" in overview
        assert "1 of 1" in overview, "numbers that are connected"
        for path in ("/send", "/workshops/new"):
            assert "+91 98765 43210 (paused)" in words(await admin.get(path)), path
        assert SAID in words(await admin.get("/send"))

        page = await admin.post(f"{PAGE}/numbers/{number_id}/resume")
        assert "+91 98765 43210 sends again." in page.text
        assert "Connected and ready to send." in words(page)
    assert (await desk.number()).paused_at is None


async def test_who_resumes_a_number_that_is_disconnected_is_told_so(
    running: RunningApp, cast: Cast, desk: Desk, number_id: UUID
) -> None:
    async with signed_in(running, cast.admin) as admin:
        await admin.post(f"{PAGE}/numbers/{number_id}/pause")
        row = (await desk.sessions())[0]
        desk.gateway.says(row.gateway_session_id, "logged_out")
        await desk.period()
        page = await admin.get(PAGE)
        assert "1 message waits, and still does until it is connected again." in words(page)
        page = await admin.post(f"{PAGE}/numbers/{number_id}/resume")
        assert "no longer paused. But it does not send yet: The phone was logged out" in page.text


async def test_whoever_may_not_pause_sees_the_pause_and_no_button(
    running: RunningApp, cast: Cast, desk: Desk, number_id: UUID
) -> None:
    async with signed_in(running, cast.operator) as operator:
        assert (await operator.post(f"{PAGE}/numbers/{number_id}/pause")).status_code == 403
        async with signed_in(running, cast.admin) as admin:
            await admin.post(f"{PAGE}/numbers/{number_id}/pause")
        page = await operator.get(PAGE)
        assert f"{SAID} The number is connected. An admin of your organization can" in words(page)
        assert "/resume" not in page.text
        assert (await operator.post(f"{PAGE}/numbers/{number_id}/resume")).status_code == 403


async def test_the_api_says_who_paused_and_what_waits(
    running: RunningApp, cast: Cast, number_id: UUID
) -> None:
    async with await running.client_of(cast.owner) as client:
        path = f"/api/v1/numbers/{number_id}"
        asked = (await client.get(path)).json()
        assert (asked["pausedAt"], asked["pausedBy"], asked["messagesWaiting"]) == (None, None, 0)
        paused = (await client.patch(path, json={"paused": True})).json()
        assert (paused["state"], paused["nextAction"]) == ("connected", "resume")
        assert paused["stateText"].startswith("Paused since 2 Mar, 17:30 IST by ")
        assert paused["pausedBy"] in paused["stateText"]
        assert paused["messagesWaiting"] == 1
        resumed = (await client.patch(path, json={"paused": False})).json()
        assert (resumed["pausedAt"], resumed["nextAction"]) == (None, "none")
        assert resumed["stateText"] == "Connected and ready to send."


async def test_a_paused_number_is_not_the_first_choice_and_campaigns_say_what_they_wait_for(
    running: RunningApp, cast: Cast, desk: Desk, number_id: UUID
) -> None:
    await desk.paired("14155550136")
    async with desk.database.writing() as session:
        draft = await make_campaign(
            session, organization_id=desk.organization_id, number_id=number_id, status="draft"
        )
    wizard = f"/campaigns/{draft.id}/edit"
    async with signed_in(running, cast.admin) as admin:
        sending = words(await admin.get("/send"))
        assert sending.index("43210") < sending.index("0136")
        assert "does not send now" not in words(await admin.get(f"{wizard}/check"))
        await admin.post(f"{PAGE}/numbers/{number_id}/pause")
        sending = words(await admin.get("/send"))
        assert sending.index("0136") < sending.index("+91 98765 43210 (paused)")
        assert SAID not in sending, "the other one is chosen"
        assert ", paused now." in words(await admin.get(f"{wizard}/sending"))
        check = words(await admin.get(f"{wizard}/check"))
        assert "+91 98765 43210 does not send now The number is paused since 2 Mar, " in check


async def test_what_waits_at_a_paused_number_is_not_said_to_be_due_as_well(
    running: RunningApp, cast: Cast, desk: Desk, number_id: UUID
) -> None:
    desk.clock.advance(3601)
    async with signed_in(running, cast.admin) as admin:
        await admin.post(f"{PAGE}/numbers/{number_id}/pause")
        card = words(await admin.get(PAGE))
        assert "by Admin: nothing is sent. 2 messages wait." in card
        assert "An event of it is near" in card, "and nothing else that comes"
        overview = words(await admin.get("/"))
        assert "by Admin: nothing is sent. 2 messages wait." in overview
        assert "in the next 2 hours" not in overview


async def test_what_came_too_late_during_a_pause_is_listed_where_it_is_said_to_be(
    running: RunningApp, cast: Cast, desk: Desk, number_id: UUID
) -> None:
    async with signed_in(running, cast.admin) as admin:
        await admin.post(f"{PAGE}/numbers/{number_id}/pause")
        async with desk.database.writing() as session:
            late = await make_message(
                session,
                organization_id=desk.organization_id,
                number_id=number_id,
                status="expired",
                expires_at=desk.clock.now(),
            )
        page = await admin.get(PAGE)
        assert "1 message came too late meanwhile, and is not sent. It is listed" in words(page)
        (way,) = re.findall(r'<a href="(/messages\?tab=expired[^"]+)">It is listed', page.text)
        listed = await admin.get(unescape(way))
        assert re.findall(r'<tr data-key="([^"]+)"', listed.text) == [str(late.id)]
