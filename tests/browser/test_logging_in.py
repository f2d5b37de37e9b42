"""Logging in and out."""

import re

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Visit
from tests.browser.house import OWNER, PASSWORD, House

pytestmark = pytest.mark.browser


def test_a_login_leads_to_where_one_wanted_to_go(house: House, visit: Visit) -> None:
    me = visit(house.url)
    page = me.go("/settings/members")
    expect(page).to_have_url(re.compile("/login"))
    me.log_in(OWNER, PASSWORD)
    expect(page.get_by_role("heading", name="Members")).to_be_visible()
    expect(page).to_have_url(f"{house.url}/settings/members")


def test_a_wrong_password_is_refused_and_the_address_stays(house: House, visit: Visit) -> None:
    me = visit(house.url)
    me.expect_complaint("status of 401")
    page = me.go("/login")
    me.log_in(OWNER, "not the password")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(OWNER)
    expect(page.get_by_label("Password")).to_have_value("")
    me.log_in(OWNER, PASSWORD)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_after_logging_out_nothing_is_shown_any_more(house: House, visit: Visit) -> None:
    me = visit(house.url)
    page = me.go("/login")
    me.log_in(OWNER, PASSWORD)
    page.get_by_role("button", name="Example Owner").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()
    me.go("/messages")
    expect(page).to_have_url(re.compile("/login"))


def test_everything_on_the_login_page_is_reached_by_the_keyboard(
    house: House, visit: Visit
) -> None:
    me = visit(house.url)
    page = me.go("/login")
    expect(page.get_by_label("Email")).to_be_focused()
    page.keyboard.type(OWNER)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
