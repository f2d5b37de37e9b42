"""Open pages follow what happens, also when the server or the gateway goes away for a while."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Route, expect
from tests.browser.conftest import Visit
from tests.browser.house import set_up
from tests.support.api import Api, pair, send, sendable_groups, sync, until, until_status
from tests.support.browser import Visitor
from tests.support.processes import Installation, Process, installation

pytestmark = pytest.mark.browser

_AWAY = "ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE"


@dataclass
class Shed:
    """An installation with a connected phone, to be broken."""

    place: Installation
    process: Process
    cookies: dict[str, str]
    api: Api
    number_id: str
    group_ids: list[str]


@pytest.fixture(scope="module")
def shed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shed]:
    settings = {"GROUPLINE_PACE_SECONDS": "0", "GROUPLINE_VERIFY_SECONDS": "2"}
    with installation(tmp_path_factory.mktemp("shed"), **settings) as place:
        process = place.up()
        cookies = set_up(place, process)
        api = place.api_of("morning-workshops")
        session, _ = pair(api, place.simulator())
        sync(api, session["numberId"])
        groups = [group["id"] for group in sendable_groups(api, session["numberId"])]
        yield Shed(place, process, cookies, api, session["numberId"], groups)


@pytest.fixture
def me(shed: Shed, visit: Visit) -> Visitor:
    return visit(shed.place.url, cookies=shed.cookies)


def test_what_happens_elsewhere_shows_on_the_overview(shed: Shed, me: Visitor) -> None:
    page = me.go("/")
    _touch(page)
    body = {
        "numberId": shed.number_id,
        "groupIds": shed.group_ids[:1],
        "content": "Planned from somewhere else.",
        "scheduledFor": _tomorrow(),
    }
    shed.api.post("/messages", body, expect=201)
    expect(page.get_by_role("cell", name="Planned from somewhere else.")).to_be_visible()
    _assert_untouched(page)


def test_a_page_is_fetched_anew_when_what_it_shows_is_over(shed: Shed, me: Visitor) -> None:
    """At the time of a message that cannot go nothing is announced."""
    page = me.go("/messages")
    body = {"numberId": shed.number_id, "groupIds": shed.group_ids[:1], "content": "Not yet."}
    shed.api.post("/messages", body | {"scheduledFor": _tomorrow()}, expect=201)
    expect(page.get_by_role("row", name="Not yet.")).to_be_visible()  # so it listens
    outbox = page.locator("#outbox")
    topics = outbox.get_attribute("data-live") or ""
    end = outbox.get_attribute("data-until") or ""
    assert topics
    assert end
    _touch(page)
    outbox.evaluate(
        """(region) => {
            region.dataset.live = "nothing";
            region.dataset.until = new Date(Date.now() - 60_000).toISOString();
        }"""
    )
    expect(outbox).to_have_attribute("data-live", topics)
    expect(outbox).to_have_attribute("data-until", end)
    _assert_untouched(page)


def test_a_page_finds_back_to_a_server_that_was_started_anew(shed: Shed, me: Visitor) -> None:
    me.expect_complaint(_AWAY)
    page = me.go("/messages")
    _touch(page)
    assert shed.process.terminate() == 0
    expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    shed.process = shed.place.up()
    expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_hidden()
    (sent,) = send(shed.api, shed.number_id, shed.group_ids[:1], "Sent after the restart.")
    until_status(shed.api, sent["id"])
    row = page.get_by_role("row", name="Sent after the restart.")
    expect(row.get_by_text("Sent", exact=True)).to_be_visible()
    _assert_untouched(page)


def test_a_gateway_that_is_gone_is_unreachable_and_the_number_not_disconnected(
    shed: Shed, me: Visitor
) -> None:
    page = me.go("/settings/connection")
    card = page.locator(".card", has_text="+91 98765 43210")
    expect(card.get_by_text("Connected", exact=True)).to_be_visible()
    _touch(page)
    page.evaluate(
        """() => {
            window.said = new Set();
            const look = () => window.said.add(document.querySelector(".card .badge").innerText);
            new MutationObserver(look).observe(document.body, { childList: true, subtree: true,
                characterData: true, attributes: true });
        }"""
    )
    _kill_gateway_until(shed.process, lambda: "Gateway unreachable" in _said(page))
    expect(card.get_by_text("Connected", exact=True)).to_be_visible(timeout=60_000)
    said = _said(page)
    assert said <= {"Connected", "Gateway unreachable", "Verifying…"}, said
    _assert_untouched(page)


def test_an_open_page_of_what_somebody_deletes_says_that_it_is_gone(
    shed: Shed, me: Visitor
) -> None:
    me.expect_complaint(r"404 \(Not Found\)")
    event = _event(shed, "Soon forgotten")
    page = me.go(event)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Soon forgotten")
    shed.api.call("DELETE", event, expect=204)
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")
    expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_hidden()


@pytest.mark.parametrize("part", ["edit", "groups", "variables", "reschedule", "send"])
def test_a_form_of_an_event_that_somebody_cancels_leads_to_the_event(
    shed: Shed, me: Visitor, part: str
) -> None:
    event = _event(shed, "Called off")
    page = me.go(f"{event}/{part}")
    expect(page.locator("#event-head")).to_be_visible()
    shed.api.post(f"{event}/cancel", {})
    expect(page.get_by_role("heading", level=1)).to_contain_text("Called off Cancelled")
    expect(page.get_by_text("This workshop was cancelled.")).to_be_visible()


def test_nobody_is_asked_to_cancel_what_is_cancelled_or_deleted(shed: Shed, me: Visitor) -> None:
    me.expect_complaint(r"404 \(Not Found\)")
    event = _event(shed, "Called off")
    page = me.go(f"{event}/cancel")
    expect(page.get_by_role("button", name="Cancel the workshop")).to_be_visible()
    shed.api.post(f"{event}/cancel", {})
    expect(page.get_by_text("This workshop was cancelled.")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel the workshop")).to_have_count(0)
    shed.api.call("DELETE", event, expect=204)
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")


def test_the_story_of_a_message_that_goes_with_its_event_says_so(shed: Shed, me: Visitor) -> None:
    me.expect_complaint(r"404 \(Not Found\)")
    template = shed.api.post("/templates", {"name": "Start", "content": "Hello"}, expect=201)
    steps = [{"templateId": template["id"], "offsetMinutes": 0}]
    sequence = shed.api.post("/sequences", {"name": "Start only", "steps": steps}, expect=201)
    event = _event(shed, "Called off", sequenceId=sequence["id"], groupIds=shed.group_ids[:1])
    assert shed.api.post(f"{event}/run-sequence")["scheduled"] == 1
    (message,) = shed.api.get(f"/messages?eventId={event.rpartition('/')[2]}")["items"]
    page = me.go(f"/messages/{message['id']}")
    # Of the verifier, who looks at the numbers all the time, it is to hear nothing.
    _hear_only(page, f"messages:{message['id']}")
    shed.api.post(f"{event}/cancel", {})
    expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")
    _hear_only(page, f"messages:{message['id']}")
    shed.api.call("DELETE", event, expect=204)
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")


@pytest.mark.parametrize("step", ["groups", "content", "sending", "check"])
def test_each_step_of_a_draft_that_somebody_deletes_says_that_it_is_gone(
    shed: Shed, me: Visitor, step: str
) -> None:
    me.expect_complaint(r"404 \(Not Found\)")
    draft = _draft(shed)
    page = me.go(f"{draft}/edit/{step}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Never mind")
    shed.api.call("DELETE", draft, expect=204)
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")


def test_what_was_chosen_for_something_that_is_gone_is_not_taken_away(
    shed: Shed, me: Visitor
) -> None:
    me.expect_complaint(r"404 \(Not Found\)")
    draft = _draft(shed)
    page = me.go(f"{draft}/edit/groups")
    page.locator(f"#pick-{shed.group_ids[2]}").check()
    shed.api.call("DELETE", draft, expect=204)
    expect(page.get_by_role("alert")).to_contain_text("This cannot be saved any more.")
    expect(page.get_by_text("3 groups chosen")).to_be_visible()
    expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_hidden()


def test_that_something_cannot_be_saved_any_more_is_said_once(shed: Shed, me: Visitor) -> None:
    """Not again with each message that somebody sends."""
    event = _event(shed, "Called off")
    page = me.go(f"{event}/edit")
    page.get_by_label("Title").fill("Something else")
    shed.api.post(f"{event}/cancel", {})
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This cannot be saved any more.")
    alert.get_by_label("Close").click()
    for _ in range(2):  # the second time it is asked, the first answer has been dealt with
        with page.expect_request(lambda asked: asked.url.endswith(f"{event}/edit")):
            send(shed.api, shed.number_id, shed.group_ids[:1], "News")
    expect(alert).to_have_count(0)


def test_a_page_whose_thing_one_deletes_asks_for_it_no_more(shed: Shed, me: Visitor) -> None:
    """The page is being fetched anew when the form is sent, and would be answered after it."""
    page = me.go(f"{_draft(shed)}/edit/check")
    expect(page.get_by_role("button", name="Delete draft")).to_be_visible()
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    page.route("**/edit/check", hold)
    page.route("**/delete", lambda route: _answer_after(route, asked))
    with page.expect_request("**/edit/check"):
        sync(shed.api, shed.number_id)
    page.get_by_role("button", name="Delete draft").click()
    page.get_by_role("button", name="Delete the draft").click()
    expect(page.get_by_text("The draft is deleted.")).to_be_visible()
    assert asked


def _hear_only(page: Page, topic: str) -> None:
    page.locator("#message").evaluate("(story, topic) => (story.dataset.live = topic)", topic)


def _event(shed: Shed, title: str, **more: Any) -> str:
    body = {"title": title, "startsAt": _tomorrow(), "timezone": "UTC", "numberId": shed.number_id}
    made = shed.api.post("/workshops", body | more, expect=201)
    return f"/workshops/{made['id']}"


def _draft(shed: Shed) -> str:
    body = {"name": "Never mind", "numberId": shed.number_id, "groupIds": shed.group_ids[:2]}
    made = shed.api.post("/campaigns", body | {"content": "Hello"}, expect=201)
    return f"/campaigns/{made['id']}"


def _answer_after(route: Route, asked: list[Route]) -> None:
    """What was asked before is answered first, although it came to the server second."""
    answer = route.fetch()
    for each in asked:
        with contextlib.suppress(PlaywrightError):  # given up
            each.fulfill(response=each.fetch())
    route.fulfill(response=answer)


def _tomorrow() -> str:
    return f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"


def _said(page: Page) -> set[str]:
    return set(page.evaluate("[...window.said]"))


def _kill_gateway_until(process: Process, seen: Callable[[], bool]) -> None:
    """Each time it is started again later: at some time long enough to be seen."""

    def killed_and_seen() -> bool:
        for pid in process.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return seen()

    until("the page says that the gateway is away", killed_and_seen)


def _touch(page: Page) -> None:
    page.evaluate("window.untouched = true")


def _assert_untouched(page: Page) -> None:
    assert page.evaluate("window.untouched") is True, "the page was loaded anew"
