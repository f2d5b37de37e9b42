"""Whoever sends is not promised what does not leave yet: they are told what it waits for."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.integration.messages.desk import Desk, put_message
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_campaign, make_number, make_session

from groupline.db import Database
from groupline.messages.held_back import HeldBack, together
from groupline.models import WhatsappNumber, WhatsappSession
from groupline.orgs.rules import Scope

PAUSED = "The number is paused since 2 Mar, 17:30 IST, until somebody resumes sending."
DOWN = "The number is not connected."


async def pause(database: Database, desk: Desk) -> None:
    async with database.writing() as session:
        number = update(WhatsappNumber).where(WhatsappNumber.id == desk.number_id)
        await session.execute(number.values(paused_at=NOW))


async def disconnect(database: Database, desk: Desk) -> None:
    async with database.writing() as session:
        pairing = update(WhatsappSession).where(WhatsappSession.id == desk.session_id)
        ended = {"status": "disconnected", "disconnected_at": NOW, "ended_reason": "logged_out"}
        await session.execute(pairing.values(**ended))


def toast(page: httpx.Response) -> str:
    found = re.search(
        r'<div class="toast[^>]*>.*?class="toast-text"[^>]*>(.*?)</', page.text, re.DOTALL
    )
    assert found is not None, page.text
    return unescape(found[1]).strip()


@pytest.mark.parametrize(("stop", "why"), [(pause, PAUSED), (disconnect, DOWN)])
async def test_what_waits_for_its_number_is_not_said_to_be_sent(
    desk: Desk, browser: httpx.AsyncClient, database: Database, stop: object, why: str
) -> None:
    async with database.writing() as session:
        failed = [await put_message(session, desk, "failed", n % 2) for n in range(3)]
        uncertain = await put_message(session, desk, "uncertain")
    assert callable(stop)
    await stop(database, desk)

    letter = {"number_id": str(desk.number_id), "groups": str(desk.groups[0]), "content": "Hi"}
    sent = await browser.post("/send", data=letter)
    again = await browser.post(f"/messages/{failed[0]}/send-again")
    missing = await browser.post(f"/messages/{uncertain}/resolve", data={"arrived": "false"})
    listed = {"action": "send_again", "ids": [str(each) for each in failed[1:]]}
    many = await browser.post("/messages/bulk?tab=failed", data=listed)

    assert [toast(page) for page in (sent, again, missing, many)] == [
        f"It waits to be sent to 1 group. {why}",
        f"It waits to be sent again. {why}",
        f"It waits to be sent again. {why}",
        f"2 messages wait to be sent again. {why}",
    ]


async def test_of_many_it_is_said_how_many_wait(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    own: dict[str, Any] = {"organization_id": desk.organization_id}
    async with database.writing() as session:
        other = await make_number(session, **own, phone_number="919876543211")
        await make_session(session, **own, number_id=other.id)
        campaign = await make_campaign(
            session, **own, number_id=other.id, status="paused", paused_at=NOW
        )
        put = [
            await put_message(session, desk, "failed", n, number_id=number, campaign_id=of)
            for n, number, of in (
                (0, desk.number_id, None),
                (1, other.id, None),
                (0, other.id, campaign.id),
            )
        ]
        again = await put_message(session, desk, "failed", scheduled_for=NOW - timedelta(hours=1))
    await pause(database, desk)

    async def decide(*ids: object) -> str:
        data = {"action": "send_again", "ids": [str(each) for each in ids]}
        return toast(await browser.post("/messages/bulk?tab=failed", data=data))

    assert await decide(put[0], put[1]) == f"Sending 2 again; 1 waits. {PAUSED}"
    assert await decide(again, put[2]) == "2 messages wait to be sent again. Each says why."


async def test_programs_are_told_how_many_wait_and_for_what(
    desk: Desk, running: RunningApp, cast: Cast, database: Database
) -> None:
    async with database.writing() as session:
        own: dict[str, Any] = {"organization_id": desk.organization_id}
        other = await make_number(session, **own, phone_number="919876543211")
        await make_session(session, **own, number_id=other.id)
        held = [await put_message(session, desk, "failed", n) for n in range(2)]
        free = await put_message(session, desk, "failed", number_id=other.id)
    await pause(database, desk)
    given = {"action": "send_again", "ids": [str(each) for each in (*held, free)]}
    async with await running.client_of(cast.operator, Scope.READ, Scope.SEND) as client:
        counted = await client.post("/api/v1/messages/bulk", json=given | {"dryRun": True})
        done = await client.post("/api/v1/messages/bulk", json=given)
    found = [(each.json()["waiting"], each.json()["waitingFor"]) for each in (counted, done)]
    assert found == [(0, None), (2, PAUSED)]


def test_parts_share_a_reason_only_where_it_is_the_same() -> None:
    one, none, other = HeldBack(2, PAUSED), HeldBack(), HeldBack(1, DOWN)
    assert together([one, none, one]) == HeldBack(4, PAUSED)
    assert together([one, other]) == together([other, HeldBack(2, None)]) == HeldBack(3, None)
