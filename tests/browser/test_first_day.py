"""What a new user does, from the printed link to a sent message, with nothing read before."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Visit
from tests.support.processes import Installation, Process

pytestmark = pytest.mark.browser

PASSWORD = "a password typed by a test"


def test_a_new_user_reaches_a_sent_message(fresh: Installation, visit: Visit) -> None:
    process = fresh.up()
    me = visit(fresh.url)
    page = me.page

    page.goto(fresh.setup_link(process))
    page.get_by_label("Organization").fill("Morning Workshops")
    page.get_by_label("Your name").fill("Example Owner")
    page.get_by_label("Your email").fill("owner@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    assert page.get_by_label("Time zone").input_value() == "Asia/Kolkata"
    page.get_by_role("button", name="Create the account").click()

    page.get_by_role("link", name="Try it").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Show the QR code").click()
    page.get_by_role("button", name="Scan with this phone: Studio phone").click()
    expect(page.get_by_text("+91 98765 43210 is connected")).to_be_visible()
    page.get_by_role("link", name="Done").click()
    card = page.locator(".card", has_text="+91 98765 43210")
    expect(card.get_by_text("Connected", exact=True)).to_be_visible()
    expect(card.get_by_text("27 groups")).to_be_visible()

    card.get_by_role("button", name="Sync groups").click()
    expect(page.get_by_text("Saved 27 groups")).to_be_visible()

    page.get_by_role("link", name="Send", exact=True).first.click()
    page.get_by_role("checkbox", disabled=False).nth(1).check()
    page.get_by_label("Message").fill("We start in *ten minutes*.")
    with suspended(process):
        page.get_by_role("button", name="Send now").click()
        page.wait_for_url("**/messages?batch=*")
        row = page.get_by_role("row", name="We start in")
        expect(row.get_by_text("Sending…", exact=True)).to_be_visible()
        page.evaluate("window.untouched = true")
    expect(row.get_by_text("Sent", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="1 of 1 sent")).to_be_visible()
    assert page.evaluate("window.untouched") is True, "the page was loaded anew"
    (arrived,) = fresh.simulator().deliveries()
    assert arrived["text"] == "We start in *ten minutes*."


@contextmanager
def suspended(process: Process) -> Iterator[None]:
    """The gateway holds its breath: what is sent meanwhile stays on its way."""
    (gateway,) = process.children()
    os.kill(gateway, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(gateway, signal.SIGCONT)
