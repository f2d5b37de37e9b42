"""A number that no reconnect brings back is not told to be reconnected: page, overview, API."""

from datetime import timedelta
from html import unescape
from zoneinfo import ZoneInfo

import httpx
import pytest
from tests.integration.numbers.conftest import Desk
from tests.integration.numbers.test_pages import PAGE, signed_in, words
from tests.support.app import RunningApp
from tests.support.cast import Cast

from groupline.clock import moment
from groupline_gateway.engines.whatsmeow import changes

IST = ZoneInfo("Asia/Kolkata")


async def _says(desk: Desk, **more: object) -> None:
    row = await desk.paired()
    desk.gateway.says(row.gateway_session_id, "disconnected", **more)
    await desk.period(2)  # once is not believed


def _reconnect(page: httpx.Response) -> str:
    """The button that reconnects a number, from its form on."""
    return page.text.partition('/reconnect"')[2].partition("</form>")[0]


@pytest.mark.parametrize(
    ("reason", "detail", "label", "cause", "action"),
    [
        ("outdated", changes.OUTDATED, "Needs an update", "outdated", "update"),
        (
            "connection_lost",
            changes.UNREACHABLE,
            "WhatsApp unreachable, trying again",
            "whatsapp_unreachable",
            "wait",
        ),
    ],
)
async def test_badge_and_button_fit_the_reason(
    *,
    running: RunningApp,
    cast: Cast,
    desk: Desk,
    reason: str,
    detail: str,
    label: str,
    cause: str,
    action: str,
) -> None:
    await _says(desk, reason=reason, detail=detail)
    [entry] = await desk.journal("number.disconnected")
    assert entry.data["obstacle"] == cause, "for alerts"
    async with signed_in(running, cast.admin) as browser:
        page, overview = await browser.get(PAGE), await browser.get("/")
        listed = await browser.get("/api/v1/numbers", headers={"Accept": "application/json"})
    for shown in (page, overview):
        assert label in words(shown)
        assert detail in words(shown)
        assert "reconnect needed" not in words(shown)
    assert "button-primary" not in _reconnect(page)
    assert "/reconnect" not in overview.text
    [number] = listed.json()["items"]
    assert (number["state"], number["stateLabel"]) == ("disconnected", label)
    assert (number["stateCause"], number["stateUntil"]) == (cause, None)
    assert number["nextAction"] == action


async def test_a_word_that_nobody_knows_does_not_change_what_ended_a_session(desk: Desk) -> None:
    await _says(desk, reason="outdated", detail=changes.OUTDATED)
    row = (await desk.sessions())[0]
    desk.gateway.says(row.gateway_session_id, "pondering")
    await desk.period(2)
    row = await desk.session(row.id)
    assert "pondering" in (row.status_detail or "")
    assert row.obstacle == "outdated"


async def test_a_banned_number_says_until_when_and_then_asks_for_a_reconnect(
    running: RunningApp, cast: Cast, desk: Desk
) -> None:
    until = desk.clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
    ban = {"kind": "banned", "until": until.isoformat()}
    await _says(desk, reason="banned", detail=changes.banned_sentence(until), restriction=ban)
    async with signed_in(running, cast.admin) as browser:
        page, overview = await browser.get(PAGE), await browser.get("/")
        listed = await browser.get("/api/v1/numbers", headers={"Accept": "application/json"})
        [number] = listed.json()["items"]
        assert number["stateLabel"] == "Banned"
        assert number["stateUntil"].replace("Z", "+00:00") == until.isoformat()
        for shown in (page, overview):
            assert "Banned until" in words(shown)
            assert "IST" in words(shown)
            assert "reconnect needed" not in words(shown)
        assert "button-primary" not in _reconnect(page)
        asked = await browser.post(f"{PAGE}/numbers/{number['id']}/verify")
        said = f"Not connected. WhatsApp has banned this number until {moment(until, IST)}."
        assert said in unescape(asked.text)
        desk.clock.advance(2 * 3600 + 1)
        page = await browser.get(PAGE)
    assert "Disconnected – reconnect needed" in words(page)
    assert "button-primary" in _reconnect(page)
