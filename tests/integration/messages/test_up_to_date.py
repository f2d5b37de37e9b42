"""Open pages know what they have to hear of, and until when they are true if nothing happens."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest
from tests.integration.messages.desk import Desk, put_message
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast
from tests.support.clock import NOW, ManualClock
from tests.support.factories import make_campaign, make_event

from groupline.db import Database

SOON, LATER = NOW + timedelta(minutes=5), NOW + timedelta(minutes=40)


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": "text/html", "Origin": BASE_URL}
    async with running.client(headers=headers, follow_redirects=True) as browser:
        await browser.post("/login", data={"email": cast.operator.email, "password": PASSWORD})
        yield browser


async def region(browser: httpx.AsyncClient, path: str) -> tuple[set[str], datetime | None]:
    """What the page listens to, and until when it is true."""
    page = await browser.get(path)
    tag = re.search(r"<div[^>]*data-live=[^>]*>", page.text)
    assert tag is not None, page.text
    topics = re.search(r'data-live="([^"]*)"', tag[0])
    until = re.search(r'\sdata-until="([^"]*)"', tag[0])
    assert topics is not None
    return set(topics[1].split(",")), until and datetime.fromisoformat(until[1])


async def test_pages_are_true_until_the_next_message_is_due(
    desk: Desk, browser: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    own = {"organization_id": desk.organization_id}
    async with database.writing() as session:
        event = await make_event(session, **own, kind="workshop")
        campaign = await make_campaign(session, **own, number_id=desk.number_id, status="sending")
        of_event = await put_message(
            session, desk, "pending", event_id=event.id, scheduled_for=LATER
        )
        of_campaign = await put_message(
            session, desk, "pending", 1, campaign_id=campaign.id, scheduled_for=SOON
        )
        await put_message(session, desk, "sent", event_id=event.id, scheduled_for=SOON)
    expected = {
        "/messages": SOON,
        "/messages?tab=sent": SOON,  # its tabs count what is scheduled
        f"/messages?event={event.id}": LATER,
        f"/messages/{of_event}": LATER,
        f"/messages/{of_campaign}": SOON,
        "/": SOON,
        f"/workshops/{event.id}": LATER,
        f"/workshops/{event.id}/steps/by-hand": LATER,
        f"/campaigns/{campaign.id}": SOON,
    }
    assert {path: (await region(browser, path))[1] for path in expected} == expected

    clock.advance(10 * 60)
    ends = {path: (await region(browser, path))[1] for path in expected}
    assert ends == {path: LATER if end == LATER or path in LASTING else None
                    for path, end in expected.items()}  # fmt: skip


LASTING = {"/messages", "/messages?tab=sent", "/"}
"""Pages that also count what is due later."""


async def test_a_page_is_true_until_a_message_is_tried_again(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    again = NOW + timedelta(seconds=30)
    async with database.writing() as session:
        message_id = await put_message(session, desk, "pending", next_attempt_at=again)
        await put_message(session, desk, "pending", 1, scheduled_for=LATER)
    for path in ("/messages", "/", f"/messages/{message_id}"):
        assert (await region(browser, path))[1] == again


async def test_pages_that_say_why_a_message_waits_hear_of_its_number_and_gateway(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    own = {"organization_id": desk.organization_id}
    async with database.writing() as session:
        event = await make_event(session, **own, kind="workshop")
        campaign = await make_campaign(session, **own, number_id=desk.number_id, status="sending")
        of_event = await put_message(session, desk, "pending", event_id=event.id)
        await put_message(session, desk, "pending", 1, campaign_id=campaign.id)
    for path in (
        "/messages",
        f"/messages/{of_event}",
        "/",
        f"/workshops/{event.id}/steps/by-hand",
        "/campaigns",
        f"/campaigns/{campaign.id}",
    ):
        topics, _ = await region(browser, path)
        assert {"numbers", "gateways"} <= topics, path
