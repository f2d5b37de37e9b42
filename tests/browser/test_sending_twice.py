"""Whoever sends, goes back and sends again has sent once, whatever the browser has kept."""

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.browser.house import House

pytestmark = pytest.mark.browser

TEXT = "Only once, please."


def fill(page: Page, group: str) -> None:
    page.locator(f"#pick-{group}").check()
    page.get_by_label("Message").fill(TEXT)


def test_back_and_send_again_makes_no_second_copy(house: House, visit: Visit) -> None:
    group = house.groups[5]["id"]
    page = visit(house.url, cookies=house.cookies["operator"]).go("/send")
    form = page.url
    assert "draft=" in form
    fill(page, group)
    page.get_by_role("button", name="Send now").click()
    page.wait_for_url("**/messages?batch=*")
    sent = page.url

    page.go_back()
    expect(page.get_by_text("This message was already sent")).to_be_visible()
    assert page.url == form
    fill(page, group)
    page.get_by_role("button", name="Send now").click()
    page.wait_for_url("**/messages?batch=*")

    assert page.url == sent
    expect(page.get_by_text("This was already sent.")).to_be_visible()
    messages = house.api.get(f"/messages?groupId={group}")["items"]
    assert len([each for each in messages if each["content"] == TEXT]) == 1


def test_another_text_in_a_form_that_was_sent_is_a_new_message(house: House, visit: Visit) -> None:
    group = house.groups[5]["id"]
    me = visit(house.url, cookies=house.cookies["operator"])
    me.expect_complaint("422")
    page = me.go("/send")
    fill(page, group)
    page.get_by_label("Message").fill("Something.")
    page.get_by_role("button", name="Send now").click()
    page.wait_for_url("**/messages?batch=*")
    page.go_back()
    fill(page, group)
    page.get_by_label("Message").fill("Something else.")
    page.get_by_role("button", name="Send now").click()

    expect(page.get_by_text("Is this another message?")).to_be_visible()
    expect(page.get_by_label("Message")).to_have_value("Something else.")
    page.get_by_role("button", name="Send as a new message").click()
    page.wait_for_url(re.compile(r"/messages\?batch="))
