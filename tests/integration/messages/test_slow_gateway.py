"""A gateway that asked to send more slowly: its number and what waits say so, and until when."""

import re
from datetime import timedelta
from html import unescape

from sqlalchemy import update
from tests.integration.messages.desk import Desk, put_message
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast
from tests.support.clock import ManualClock

from groupline.cli.message_text import facts
from groupline.db import Database
from groupline.messages import queries
from groupline.messages.shown import shown
from groupline.messages.waiting import lanes
from groupline.models import WhatsappNumber
from groupline.orgs.rules import Scope

ASKED = "gateway asked to send more slowly. Nothing is sent until 2 Mar, 17:32:05 IST."


def words(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def test_a_gateway_that_asks_for_time_is_told_of_with_its_end(
    running: RunningApp, desk: Desk, cast: Cast, database: Database, clock: ManualClock
) -> None:
    end = clock.now() + timedelta(seconds=125)
    async with database.writing() as session:
        held = update(WhatsappNumber).where(WhatsappNumber.id == desk.number_id)
        await session.execute(held.values(lane_free_at=end, lane_hold_reason="rate_limited"))
        past = clock.now() - timedelta(minutes=1)
        first = await put_message(session, desk, "pending", next_attempt_at=past)
        later = await put_message(
            session, desk, "pending", 1, scheduled_for=clock.now() + timedelta(hours=1)
        )
    browser = running.client(headers={"Accept": "text/html", "Origin": BASE_URL})
    client = await running.client_of(cast.admin, Scope.READ)
    async with browser, client:
        await browser.post("/login", data={"email": cast.admin.email, "password": PASSWORD})

        async def message(message_id: object) -> tuple[str, str | None]:
            told = (await client.get(f"/api/v1/messages/{message_id}")).json()
            return told["sentence"], told["nextAttemptAt"]

        async def number() -> tuple[str, str]:
            told = (await client.get(f"/api/v1/numbers/{desk.number_id}")).json()
            return told["state"], told["stateText"]

        assert await message(first) == (f"The {ASKED}", end.isoformat().replace("+00:00", "Z"))
        assert await message(later) == ("It goes out at its time.", None)
        assert await number() == ("connected", f"Connected. Its {ASKED}")
        page = (await browser.get("/settings/connection")).text
        assert ASKED in words(page)
        assert 'data-live="numbers,sessions,gateways,messages"' in page
        assert ASKED in words((await browser.get("/messages")).text)
        async with database.reading() as session:
            view = await queries.get_view(session, desk.organization_id, first)
            lane = (await lanes(session, {desk.number_id}, clock.now()))[desk.number_id]
        assert view is not None
        assert facts(view, shown(view, lane, clock.now()))["nextAttemptAt"] == end

        clock.advance(126)
        assert await message(first) == ("It is next.", None)
        assert await number() == ("connected", "Connected and ready to send.")
