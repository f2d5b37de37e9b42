"""The dialog of a pairing: its code renews itself, and it says "connected" when it is so.

The gateway is a scripted one of the contract, so that the test decides what it says, and when.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import Visit
from tests.browser.house import set_up
from tests.support.api import Api, until
from tests.support.browser import Visitor
from tests.support.processes import installation
from tests.support.scripted_gateway import KEY, ContractGateway, threaded_gateway

pytestmark = pytest.mark.browser

PHONE = "919876543210"
PAGE = "/settings/connection"


@dataclass
class Stage:
    url: str
    cookies: dict[str, str]
    api: Api
    gateway: ContractGateway

    def shows(self, sid: str, code: str, seconds: float, **more: str) -> None:
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        self.gateway.says(sid, "qr_pending", qr=code, qrExpiresAt=expires.isoformat(), **more)

    def newest(self) -> str:
        """What the gateway calls the pairing that was begun last."""
        body: str = self.gateway.bodies[-1]["sessionId"]
        return body


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("pairing")
    with threaded_gateway() as gateway, installation(home, GROUPLINE_VERIFY_SECONDS="2") as place:
        process = place.up()
        add = ("gateways", "add", "--name", "VPS", "--url", gateway.url, "--key", KEY)
        place.run(*add)
        cookies = set_up(place, process)
        yield Stage(place.url, cookies, place.api_of("morning-workshops"), gateway)


@pytest.fixture
def me(stage: Stage, visit: Visit) -> Visitor:
    return visit(stage.url, cookies=stage.cookies)


def begin(stage: Stage, me: Visitor) -> tuple[Page, Locator]:
    """The dialog of a new pairing, which shows its first code."""
    page = me.go(PAGE)
    page.locator("[data-dialog-open=connect]").first.click()
    connect = page.get_by_role("dialog", name="Connect a WhatsApp number")
    connect.get_by_label("Connect through").select_option(label="VPS")
    page.evaluate("window.untouched = true")
    connect.get_by_role("button", name="Show the QR code").click()
    dialog = page.locator("dialog[open]")
    expect(dialog.get_by_role("img", name="QR code to scan with WhatsApp")).to_be_visible()
    return page, dialog


def code_of(dialog: Locator) -> str:
    return dialog.locator(".qr-frame svg").first.inner_html()


def until_another_code(dialog: Locator, before: str) -> str:
    def changed() -> str | None:
        now = code_of(dialog)
        return now if now != before else None

    return until("the code is renewed", changed)


def test_the_code_renews_itself_and_counts_down(stage: Stage, me: Visitor) -> None:
    stage.gateway.after_connect = {"status": "qr", "qr": "2@the first code"}
    page, dialog = begin(stage, me)
    first = code_of(dialog)
    sid = stage.newest()
    stage.shows(sid, "2@the second code", 300)
    second = until_another_code(dialog, first)
    countdown = dialog.locator("[data-countdown]")
    expect(countdown).to_have_text(re.compile(r"New code in\s+4:\d\d"))
    seen = countdown.inner_text()
    expect(countdown).not_to_have_text(seen)  # it counts

    stage.shows(sid, "2@the third code", 4)
    third = until_another_code(dialog, second)
    veil = dialog.get_by_text("A new code is on its way")
    expect(veil).to_be_visible()  # its time is up, and the gateway has no other one yet
    stage.shows(sid, "2@the fourth code", 300)
    assert until_another_code(dialog, third) not in (first, second)
    expect(veil).to_be_hidden()
    assert page.evaluate("window.untouched") is True, "the page was loaded anew"
    dialog.get_by_role("button", name="Cancel").click()


def test_it_says_connected_when_it_is_committed_and_not_before(stage: Stage, me: Visitor) -> None:
    stage.gateway.after_connect = {"status": "qr", "qr": "2@scan me"}
    page, dialog = begin(stage, me)
    sid = stage.newest()
    connected = dialog.get_by_text("+91 98765 43210 is connected")
    gateway = stage.gateway
    # The phone has scanned, and nobody has been told yet.
    gateway.do(gateway.answers.clear, partial(gateway.connects, sid, PHONE))
    asked = gateway.count("status", sid)
    until("the gateway is asked", lambda: gateway.count("status", sid) > asked)
    page.wait_for_timeout(500)
    expect(connected).to_be_hidden()
    assert stage.api.get(f"/sessions/{sid.removeprefix('wa_')}")["status"] == "qr_pending"
    gateway.do(gateway.answers.set)
    expect(connected).to_be_visible()
    assert stage.api.get(f"/sessions/{sid.removeprefix('wa_')}")["status"] == "connected"
    expect(dialog.locator(".qr-frame")).to_have_count(0)
    assert page.evaluate("window.untouched") is True, "the page was loaded anew"


def test_cancel_tells_the_gateway(stage: Stage, me: Visitor) -> None:
    stage.gateway.after_connect = {"status": "qr", "qr": "2@never mind"}
    page, dialog = begin(stage, me)
    sid = stage.newest()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#toasts").get_by_text("The pairing was cancelled.")).to_be_visible()
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert stage.gateway.count("disconnect", sid) == 1
    ended = stage.api.get(f"/sessions/{sid.removeprefix('wa_')}")
    assert (ended["status"], ended["endedReason"]) == ("disconnected", "cancelled")


def test_a_gateway_that_sends_no_code_is_said_to_have_sent_none(stage: Stage, me: Visitor) -> None:
    stage.gateway.after_connect = {"status": "qr", "qr": "2@for a moment"}
    _, dialog = begin(stage, me)
    stage.gateway.says(stage.newest(), "qr")
    expect(dialog.get_by_text("but sent no QR data")).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()


def test_a_code_to_type_that_is_not_offered_is_refused_in_the_dialog(
    stage: Stage, me: Visitor
) -> None:
    me.expect_complaint("422")
    page = me.go(PAGE)
    page.locator("[data-dialog-open=connect]").first.click()
    dialog = page.get_by_role("dialog", name="Connect a WhatsApp number")
    dialog.get_by_label("Connect through").select_option(label="VPS")
    dialog.get_by_text("Pairing code and proxy").click()
    field = dialog.get_by_label("Phone number, for a pairing code")
    field.fill("+91 98765 43210")
    dialog.get_by_role("button", name="Show the QR code").click()
    expect(dialog.get_by_text("this gateway offers no pairing codes").first).to_be_visible()
    expect(dialog).to_be_visible()
    expect(field).to_be_focused()
    expect(field).to_have_value("+91 98765 43210")


def test_the_preview_of_cleaning_up_follows_the_age(stage: Stage, me: Visitor) -> None:
    page, dialog = begin(stage, me)
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.get_by_role("link", name="Clean up old sessions").click()
    dialog = page.get_by_role("dialog", name="Clean up old sessions")
    expect(dialog.get_by_text("would be removed")).to_be_visible()  # that one never had a number
    address = page.url
    dialog.get_by_label("Ended").select_option(label="at any time")
    remove = dialog.get_by_role("button", name=re.compile("^Remove"))
    expect(dialog.locator("#cleanup-preview")).to_have_attribute(
        "data-src", f"{PAGE}/cleanup?olderThanDays=0"
    )
    assert page.url == address, "the address is that of the page, not of its dialog"
    remove.click()
    expect(page.get_by_text("from the history.")).to_be_visible()
