"""What forms can do, they do without the script."""

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Visit
from tests.browser.house import OWNER, PASSWORD, House

pytestmark = pytest.mark.browser


def test_logging_in_sending_and_logging_out(house: House, visit: Visit) -> None:
    me = visit(house.url, javascript=False)
    page = me.go("/login")
    me.log_in(OWNER, PASSWORD)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    me.go("/send")
    page.get_by_label(house.groups[0]["name"], exact=True).check()
    page.get_by_label("Message").fill("Sent without a script.")
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_role("heading", name="What you just sent")).to_be_visible()
    expect(page.get_by_text("Sending to 1 group.")).to_be_visible()
    expect(page.get_by_role("cell", name="Sent without a script.")).to_be_visible()


def test_a_form_that_is_refused_says_why_and_keeps_what_was_typed(
    house: House, visit: Visit
) -> None:
    me = visit(house.url, javascript=False, cookies=house.cookies["operator"])
    me.expect_complaint("status of 422")
    page = me.go("/send")
    page.get_by_label("Message").fill("Sent to nobody.")
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("Nothing was sent")).to_be_visible()
    expect(page.get_by_label("Message")).to_have_value("Sent to nobody.")


def test_syncing_groups(house: House, visit: Visit) -> None:
    me = visit(house.url, javascript=False, cookies=house.cookies["operator"])
    page = me.go("/groups")
    page.get_by_role("button", name="Sync the groups of").click()
    expect(page.get_by_text("Saved 27 groups")).to_be_visible()
