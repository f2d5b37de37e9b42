"""Without the script a page asks what a dialog would ask, before anything is done."""

import re
from html import unescape
from typing import Any

import httpx
import pytest
from tests.integration.messages.desk import Desk, put_message
from tests.integration.messages.test_pages import words
from tests.support.clock import NOW
from tests.support.factories import make_campaign

from groupline.db import Database
from groupline.models import ScheduledWhatsappMessage

TWICE = "if it is there, it would be there twice"
CASES: dict[str, tuple[str, str, str, dict[str, str], str]] = {
    "cancel": ("pending", "It will not be sent.", "cancel", {}, "cancelled"),
    "discard": ("failed", "It is put away with the cancelled ones", "cancel", {}, "cancelled"),
    "it_arrived": ("uncertain", "on your word", "resolve", {"arrived": "true"}, "sent"),
    "not_arrived": ("uncertain", TWICE, "resolve", {"arrived": "false"}, "pending"),
    "call_off": ("uncertain", "not sent again", "resolve", {"arrived": "false"}, "cancelled"),
}
"""For each decision: of which message, what the page asks, where its form leads and with what, and
what becomes of the message."""


@pytest.mark.parametrize("decision", CASES)
@pytest.mark.parametrize("listed", [True, False])
async def test_each_decision_is_asked_about_on_a_page_of_its_own(
    desk: Desk, browser: httpx.AsyncClient, database: Database, decision: str, listed: bool
) -> None:
    status, question, way, fields, becomes = CASES[decision]
    facts: dict[str, Any] = {}
    async with database.writing() as session:
        if decision == "call_off":
            own = {"organization_id": desk.organization_id, "number_id": desk.number_id}
            cancelled = await make_campaign(session, **own, status="cancelled", finished_at=NOW)
            facts = {"campaign_id": cancelled.id}
        message_id = await put_message(session, desk, status, **facts)
    here = f"/messages/{message_id}"
    seen_on = "/messages?tab=all" if listed else here
    ask = f"{here}/ask/{decision.replace('_', '-')}"
    page = (await browser.get(seen_on)).text
    link = re.search(rf'<noscript>\s*<a [^>]*href="({ask}[^"]*)"', page)
    assert link is not None
    unasked = re.findall(
        rf'<form (class="needs-js")? ?[^>]*action="{here}/(?:cancel|resolve)"', page
    )
    assert unasked
    assert set(unasked) == {'class="needs-js"'}, "a button that would do it at once"

    asked = await browser.get(unescape(link[1]))
    assert question in words(asked)
    back = "/messages" if listed else here
    assert dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text)) == {
        "back": back,
        **fields,
    }
    assert f'action="{here}/{way}"' in asked.text
    after = await browser.post(f"{here}/{way}", data={"back": back, **fields})
    assert (after.status_code, after.url.path) == (200, back)
    async with database.reading() as session:
        assert (await session.get_one(ScheduledWhatsappMessage, message_id)).status == becomes
    assert (await browser.get(ask)).url.path == here, "nothing is left to be asked"


async def test_what_cannot_be_decided_is_not_asked(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        sent = await put_message(session, desk, "sent")
    for word in (each.replace("_", "-") for each in CASES):
        assert (await browser.get(f"/messages/{sent}/ask/{word}")).url.path == f"/messages/{sent}"
        foreign = f"/messages/{desk.foreign_message}/ask/{word}"
        assert (await browser.get(foreign)).status_code == 404
    assert (await browser.get(f"/messages/{sent}/ask/send-again")).status_code == 422
