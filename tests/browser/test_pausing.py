"""Somebody pauses a number on a phone, with a nervous finger, and everybody sees it."""

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.browser.house import House

pytestmark = pytest.mark.browser

_CLICK_AGAIN = """button => {
    button.addEventListener("click", ({ clientX, clientY }) => {
        const again = () => {
            const below = document.elementFromPoint(clientX, clientY);
            below.dispatchEvent(new MouseEvent("click",
                { bubbles: true, cancelable: true, detail: 1, clientX, clientY }));
            document.body.dataset.hit = below.closest("nav a")?.textContent.trim() ?? "";
        };
        button.closest("dialog").addEventListener("close", again, { once: true });
    }, { once: true });
}"""
"""A click on the same place as soon as the dialog is gone: the second one of a double click. At
once, so that it comes soon enough on any machine."""


def test_a_double_click_pauses_and_does_not_lead_away(house: House, visit: Visit) -> None:
    page = visit(house.url, cookies=house.cookies["admin"], size=(390, 740)).go(
        "/settings/connection"
    )
    card = page.locator(".card", has_text="+91 98765 43210")
    try:
        _pause(page)
        # Below the button lies the navigation.
        expect(page.locator("body")).to_have_attribute("data-hit", "Messages")
        expect(
            page.get_by_text("is paused: nothing is sent until somebody resumes")
        ).to_be_visible()
        assert page.url == f"{house.url}/settings/connection"
        expect(card.get_by_text("Paused", exact=True)).to_be_visible()
        expect(card.get_by_text("Connected", exact=True)).to_be_visible()
        expect(card.get_by_text("by Example Admin: nothing is sent.")).to_be_visible()
    finally:
        house.api.call("PATCH", f"/numbers/{house.number_id}", {"paused": False})
    expect(card.get_by_text("Paused", exact=True)).to_be_hidden()
    expect(card.get_by_text("Connected and ready to send.")).to_be_visible()


def _pause(page: Page) -> None:
    page.get_by_role("button", name="More for +91 98765 43210").click()
    page.get_by_role("button", name="Pause sending").click()
    confirm = page.get_by_role("alertdialog").get_by_role("button", name="Pause sending")
    confirm.evaluate(_CLICK_AGAIN)
    confirm.click()
