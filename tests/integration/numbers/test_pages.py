"""The page "WhatsApp connection": what a person sees and does."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.integration.numbers.conftest import PHONE, Desk
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast, Person
from tests.support.factories import make_event, make_gateway, make_message
from tests.support.gateway import API_KEY, running_gateway

from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.models import Gateway, WhatsappNumber

PAGE = "/settings/connection"
PAUSE = timedelta(seconds=40)


@asynccontextmanager
async def signed_in(running: RunningApp, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": "text/html", "Origin": BASE_URL}
    async with running.client(headers=headers, follow_redirects=True) as browser:
        await browser.post("/login", data={"email": person.email, "password": PASSWORD})
        yield browser


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(running, cast.admin) as browser:
        yield browser


def words(response: httpx.Response) -> str:
    """What a person reads, without the markup."""
    body = response.text.partition('id="content"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def test_an_empty_page_says_what_to_do(browser: httpx.AsyncClient, desk: Desk) -> None:
    page = await browser.get(PAGE)
    assert "No number is connected yet" in words(page)
    assert 'data-dialog-open="connect"' in page.text


async def test_without_a_gateway_it_says_who_can_help(browser: httpx.AsyncClient) -> None:
    page = await browser.get(PAGE)
    assert "No gateway is in use" in words(page)
    assert 'data-dialog-open="connect"' not in page.text


async def test_connecting_shows_a_code_and_then_the_number(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    page = await browser.post(f"{PAGE}/connect", data={"label": "Front desk"})
    assert page.status_code == 200
    assert "Asking the gateway for a code" in words(page)
    [row] = await desk.sessions()
    await desk.verify()
    panel = await browser.get(f"{PAGE}/sessions/{row.id}")
    assert 'role="img"' in panel.text
    assert "New code in" in words(panel)
    desk.gateway.connects(row.gateway_session_id, PHONE)
    desk.clock.advance(2)
    await desk.verify()
    panel = await browser.get(f"{PAGE}/sessions/{row.id}")
    assert "+91 98765 43210 is connected" in words(panel)
    page = await browser.get(PAGE)
    assert "Connected and ready to send." in words(page)


async def test_a_simulated_phone_scans_with_a_click(
    browser: httpx.AsyncClient, running: RunningApp, desk: Desk, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path / "gateway") as simulator:
        await simulator.add_phone(PHONE, 3)
        async with running.runtime.database.writing() as session:
            gateway = await make_gateway(
                session,
                name="Simulated phones",
                engine="simulator",
                base_url=simulator.url,
                credentials=write_credentials(running.runtime.vault, API_KEY, AuthScheme.API_KEY),
            )
        await browser.post(f"{PAGE}/connect", data={"gatewayId": str(gateway.id)})
        [row] = await desk.sessions()
        await desk.verify()
        panel = await browser.get(f"{PAGE}/sessions/{row.id}")
        assert "Scan with this phone" in words(panel)
        done = await browser.post(f"{PAGE}/sessions/{row.id}/scan", data={"number": PHONE})
        assert done.status_code == 200
        assert "+91 98765 43210 is connected" in words(done)
    assert (await desk.session(row.id)).status == "connected"


async def test_what_is_wrong_with_the_form_stands_in_the_form(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    page = await browser.post(
        f"{PAGE}/connect", data={"proxyHost": "proxy.example", "proxyPort": "many"}
    )
    assert page.status_code == 422
    assert "A number between 1 and 65535." in words(page)
    assert 'value="proxy.example"' in page.text
    assert await desk.sessions() == []


async def test_a_disconnected_number_says_why_and_what_waits(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    row = await desk.paired()
    number = await desk.number()
    async with desk.database.writing() as session:
        for _ in range(3):
            await make_message(
                session,
                organization_id=desk.organization_id,
                number_id=number.id,
                scheduled_for=desk.clock.now(),
            )
    desk.gateway.says(row.gateway_session_id, "disconnected", reason="logged_out")
    await desk.period()
    page = words(await browser.get(PAGE))
    assert "Disconnected – reconnect needed" in page
    assert "The phone was logged out of this session." in page
    assert "3 messages are due in the next 2 hours" in page


async def test_what_nobody_knows_is_not_counted_as_disconnected(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.paired()
    async with desk.database.writing() as session:
        await session.execute(update(Gateway).values(unreachable_since=desk.clock.now()))
    page = await browser.get("/")
    assert "Numbers connected 0 of 1 not known of 1" in words(page)
    assert re.search(r'class="stat" href="/settings/connection"', page.text), "no alarm"


async def test_a_silent_number_that_sends_nothing_for_now_says_so(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.paired()
    number, now = await desk.number(), desk.clock.now()
    own: dict[str, Any] = {"organization_id": desk.organization_id, "number_id": number.id}
    async with desk.database.writing() as session:
        await session.execute(update(Gateway).values(capabilities=["receipts"]))
        silent = {"unacknowledged": 400, "last_send_at": now, "lane_free_at": now + PAUSE}
        await session.execute(update(WhatsappNumber).values(silent))
        await make_message(session, **own, scheduled_for=now)
    assert "It is tried all the same." in words(await browser.get(PAGE))
    async with desk.database.writing() as session:
        await session.execute(update(WhatsappNumber).values(lane_hold_reason="rate_limited"))
    page = words(await browser.get(PAGE))
    assert "400 messages got no acknowledgement. Its gateway asked to send more slowly." in page
    assert "tried all the same" not in page


async def test_opening_the_page_asks_about_an_old_proof_and_says_so(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.paired()
    desk.clock.advance(20)
    before = desk.gateway.count("status")
    assert "Verifying…" in words(await browser.get(PAGE))
    await desk.verify()
    assert desk.gateway.count("status") == before + 1
    assert "Verifying…" not in words(await browser.get(PAGE))


async def test_reconnect_leads_to_the_code_of_a_new_pairing(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    row = await desk.paired()
    desk.gateway.forgets(row.gateway_session_id)
    await desk.period()
    number = await desk.number()
    page = await browser.post(f"{PAGE}/numbers/{number.id}/reconnect")
    assert "Scan it with +91 98765 43210" in words(page)


async def test_the_history_can_be_deleted_and_cleaned_up(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    first, second = await desk.connect(), await desk.connect()
    for row in (first, second):
        await browser.post(f"{PAGE}/sessions/{row.id}/cancel")
    page = await browser.post(f"{PAGE}/sessions/{first.id}/delete")
    assert "The session was deleted from the history." in page.text
    assert "1 session would be removed" in words(await browser.get(f"{PAGE}/cleanup"))
    page = await browser.post(f"{PAGE}/cleanup")
    assert "Removed 1 session from the history." in page.text
    assert "No session has ended yet." in words(page)


async def test_cleaning_up_follows_the_age_that_is_chosen(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.paired()
    desk.clock.advance(1)
    await desk.paired()  # the first one is history now
    desk.clock.advance(2 * 86400)
    path = f"{PAGE}/cleanup"
    assert "Nothing in the history is so old." in words(await browser.get(path))
    preview = await browser.get(path, params={"olderThanDays": "1"})
    assert "1 session would be removed" in words(preview)
    assert f'data-src="{path}?olderThanDays=1"' in preview.text
    assert '<option value="1" selected>' in preview.text
    assert 'name="olderThanDays" value="1"' in preview.text, "removing takes what was previewed"
    assert (
        '<option value="3" selected>' in (await browser.get(path, params={"olderThanDays": 3})).text
    )
    await browser.post(path, data={"olderThanDays": "3"})
    assert len(await desk.sessions()) == 2
    done = await browser.post(path, data={"olderThanDays": "1"})
    assert "Removed 1 session from the history." in done.text
    assert len(await desk.sessions()) == 1
    for odd in ("-1", "3651", "old"):
        assert (await browser.get(path, params={"olderThanDays": odd})).status_code == 422


async def test_a_pairing_code_that_is_not_offered_is_refused_in_the_dialog(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    async with desk.database.writing() as session:
        gateway = await session.get_one(Gateway, desk.gateway_id)
        gateway.last_seen_at = desk.clock.now()
    page = await browser.post(
        f"{PAGE}/connect", data={"label": "Front desk", "pairingPhone": "+91 98765 43210"}
    )
    assert page.status_code == 422
    assert "this gateway offers no pairing codes" in words(page)
    assert re.search(r'<dialog [^>]*id="connect"[^>]* data-open', page.text), "it stays open"
    assert "<details open>" in page.text, "and the field with its error is to be seen"
    assert 'value="+91 98765 43210"' in page.text
    assert 'value="Front desk"' in page.text
    assert (await desk.sessions(), desk.gateway.calls) == ([], [])


async def test_a_viewer_sees_the_numbers_and_no_buttons(
    running: RunningApp, cast: Cast, desk: Desk
) -> None:
    row = await desk.paired()
    async with signed_in(running, cast.viewer) as viewer:
        page = await viewer.get(PAGE)
        assert "+91 98765 43210" in words(page)
        assert "<form" not in page.text.partition('id="content"')[2].partition("</main>")[0]
        assert (await viewer.get(f"{PAGE}/sessions/{row.id}")).status_code == 403


async def test_a_page_of_another_organization_shows_nothing_of_it(
    running: RunningApp, cast: Cast, desk: Desk
) -> None:
    row = await desk.paired("14155550136")
    async with signed_in(running, cast.outsider) as outsider:
        assert "0136" not in words(await outsider.get(PAGE))
        assert (await outsider.get(f"{PAGE}/sessions/{row.id}")).status_code == 404
        assert (await outsider.get(f"{PAGE}?session={row.id}")).status_code == 404


async def test_a_handover_is_shown_before_it_is_done(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.paired()
    await desk.paired("14155550136")
    source, target = [each.id for each in sorted(await desk.numbers(), key=lambda each: each.id)]
    async with desk.database.writing() as session:
        await make_event(session, organization_id=desk.organization_id, number_id=source)
    page = f"{PAGE}/numbers/{source}/handover"
    assert "Choose a number" in words(await browser.get(page))
    assert "Nothing has been changed yet." in words(
        await browser.get(page, params={"to": str(target)})
    )
    done = await browser.post(page, data={"to": str(target)})
    assert "Handed over to +1 415-555-0136: 1 workshop." in done.text


async def test_a_standby_is_set_and_removed(browser: httpx.AsyncClient, desk: Desk) -> None:
    await desk.paired()
    await desk.paired("14155550136")
    first, second = sorted(await desk.numbers(), key=lambda each: each.id)
    path = f"{PAGE}/numbers/{first.id}/standby"
    assert (
        "The standby was saved."
        in (await browser.post(path, data={"standbyId": str(second.id)})).text
    )
    assert (await desk.number()).standby_number_id == second.id
    assert "The standby was removed." in (await browser.post(path, data={"standbyId": ""})).text
    assert (await desk.number()).standby_number_id is None


async def test_a_pairing_code_that_whatsapp_refuses_is_explained_beside_the_qr_code(
    browser: httpx.AsyncClient, desk: Desk
) -> None:
    sentence = "WhatsApp gives no more pairing codes for this number at the moment."
    row = await desk.connect()
    desk.gateway.says(row.gateway_session_id, "qr_pending", qr="2@abc", detail=sentence)
    await desk.verify()
    page = await browser.get(f"{PAGE}/sessions/{row.id}")
    assert sentence in words(page)
    asked = await browser.get(f"/api/v1/sessions/{row.id}", headers={"Accept": "application/json"})
    assert asked.json()["statusDetail"] == sentence
    desk.gateway.says(row.gateway_session_id, "qr_pending", qr="2@abc", pairingCode="K7PM-3WXQ")
    await desk.period()
    assert (await desk.session(row.id)).status_detail is None
