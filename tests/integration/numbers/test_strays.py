"""What a gateway holds, and what of it is known nowhere here."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.integration.numbers.conftest import OWNER, Desk
from tests.integration.numbers.test_pages import signed_in, words
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.factories import make_organization, make_session

from groupline.models import Gateway, User, WhatsappNumber
from groupline.numbers import service
from groupline.numbers.history import delete_session

STRAY = "wa_of-another-installation"


@pytest.fixture
async def browser(running: RunningApp, cast: Cast, desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    """Of an administrator of the installation. The gateway lists what it holds."""
    async with desk.database.writing() as session:
        (await session.get_one(User, cast.owner.user_id)).is_instance_admin = True
        (await session.get_one(Gateway, desk.gateway_id)).capabilities = ["sessions"]
    async with signed_in(running, cast.owner) as client:
        yield client


async def listed(browser: httpx.AsyncClient, desk: Desk) -> httpx.Response:
    headers = {"Accept": "application/json"}
    return await browser.get(f"/api/v1/gateways/{desk.gateway_id}/sessions", headers=headers)


async def test_what_is_known_nowhere_here_is_listed_first_and_left_alone(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    row, deleted = await desk.paired(), await desk.paired("14155550136")
    desk.gateway.disconnect_answer = (500, {"error": "busy"})
    await service.disconnect(desk.context, desk.organization_id, deleted.id, actor=OWNER)
    await delete_session(desk.context, desk.organization_id, deleted.id, actor=OWNER)
    desk.gateway.says(STRAY, "connected", phoneNumber="…77")

    body = (await listed(browser, desk)).json()
    assert body["strays"] == 1
    assert {each["gatewaySessionId"]: each["known"] for each in body["items"]} == {
        STRAY: "nowhere",
        row.gateway_session_id: "session",
        deleted.gateway_session_id: "being_logged_out",
    }
    assert body["items"][0]["gatewaySessionId"] == STRAY
    assert (body["items"][0]["status"], body["items"][0]["phone"]) == ("connected", "…77")

    page = await browser.get(f"/settings/gateways/{desk.gateway_id}/sessions")
    assert "1 session is known nowhere here" in words(page)
    assert STRAY in words(page)
    desk.clock.advance(86400)
    await desk.verify()
    await desk.sweep()
    assert desk.gateway.count("disconnect", STRAY) == 0


async def test_a_session_is_listed_by_its_number_and_beside_the_limits(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    row = await desk.paired()
    waiting = await desk.connect(label="Back office")
    async with desk.database.writing() as session:
        number = await session.get_one(WhatsappNumber, (await desk.number()).id)
        number.display_name = "Front desk"
        foreign = await make_session(
            session,
            organization_id=(await make_organization(session)).id,
            gateway_id=desk.gateway_id,
            label="Of others",
        )
    desk.gateway.says(foreign.gateway_session_id, "connected", phoneNumber="…55")
    desk.gateway.limits = {"limit": 50, "memoryLimitMb": 250}

    body = (await listed(browser, desk)).json()
    assert (body["limit"], body["memoryLimitMb"]) == (50, 250)
    assert {
        each["gatewaySessionId"]: (each["numberName"], each["numberPhone"])
        for each in body["items"]
    } == {
        row.gateway_session_id: ("Front desk", "+91 98765 43210"),
        waiting.gateway_session_id: ("Back office", None),
        foreign.gateway_session_id: (None, None),
    }
    page = await browser.get(f"/settings/gateways/{desk.gateway_id}/sessions")
    said = words(page)
    assert "3 of 50 sessions. A process above 250 MB is started anew" in said
    assert "Front desk · +91 98765 43210" in said
    assert "Back office" in said
    assert "Of another organization" in said
    assert "…55" in said
    assert "Of others" not in said


async def test_an_administrator_may_log_it_out(browser: httpx.AsyncClient, desk: Desk) -> None:
    row = await desk.paired()
    desk.gateway.says(STRAY, "connected")
    here = f"/settings/gateways/{desk.gateway_id}/sessions"
    page = await browser.post(f"{here}/log-out", data={"name": STRAY})
    assert "The gateway has logged the session out." in page.text
    assert STRAY not in words(page)
    [entry] = await desk.journal("gateway.stray_logged_out")
    assert entry.data["gatewaySessionId"] == STRAY
    api = f"/api/v1/gateways/{desk.gateway_id}/sessions"
    refused = await browser.post(f"{api}/{row.gateway_session_id}/log-out")
    assert refused.status_code == 409
    assert desk.gateway.count("disconnect", row.gateway_session_id) == 0


async def test_a_gateway_that_offers_no_list_is_not_asked(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    assert "What it holds" in words(await browser.get("/settings/gateways"))
    async with desk.database.writing() as session:
        (await session.get_one(Gateway, desk.gateway_id)).capabilities = []
    assert "What it holds" not in words(await browser.get("/settings/gateways"))
    refused = await listed(browser, desk)
    assert (refused.status_code, refused.json()["state"]) == (409, "not_offered")


async def test_a_gateway_that_fails_says_so(browser: httpx.AsyncClient, desk: Desk) -> None:
    desk.gateway.failing = "html"
    failed = await listed(browser, desk)
    assert (failed.status_code, failed.json()["upstream"]) == (502, "gateway")
    desk.gateway.failing = None
    assert (await listed(browser, desk)).json()["items"] == []
    page = await browser.get(f"/settings/gateways/{desk.gateway_id}/sessions")
    assert "It holds no session" in words(page)


async def test_it_is_for_administrators_of_the_installation(
    running: RunningApp, cast: Cast, desk: Desk
) -> None:
    async with signed_in(running, cast.admin) as client:
        assert (await listed(client, desk)).status_code == 403
        page = await client.get(f"/settings/gateways/{desk.gateway_id}/sessions")
        assert page.status_code == 403
