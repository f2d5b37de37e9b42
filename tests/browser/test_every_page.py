"""Every page, empty and filled: accessible, in light and dark, on a phone and on a desk."""

from typing import Final

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.browser.house import House
from tests.support.api import until
from tests.support.browser import DESKTOP, PHONE, overflow, violations

pytestmark = pytest.mark.browser

PATHS: Final = {
    "overview": "/",
    "connection": "/settings/connection",
    "groups": "/groups",
    "nothing found": "/groups?q=nothing+like+this",
    "group": "/groups/{group}",
    "send": "/send",
    "messages": "/messages",
    "sent message": "/messages/{sent}",
    "failed message": "/messages/{failed}",
    "scheduled message": "/messages/{scheduled}",
    "organization": "/settings/organization",
    "members": "/settings/members",
    "API keys": "/settings/api-keys",
    "gateways": "/settings/gateways",
    "account": "/settings/account",
    "welcome": "/welcome",
    "API reference": "/api/v1/docs",
}
EMPTY: Final = ("overview", "connection", "groups", "send", "messages", "API keys", "members")


@pytest.mark.parametrize("name", PATHS)
def test_a_filled_page_is_accessible_and_fits(house: House, visit: Visit, name: str) -> None:
    path = _path(house, name)
    _check(visit(house.url, cookies=house.cookies["owner"]).go(path))
    _check(visit(house.url, cookies=house.cookies["owner"], size=PHONE, scheme="dark").go(path))


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_names_of_one_long_word_fit(house: House, visit: Visit, size: tuple[int, int]) -> None:
    me = visit(house.url, cookies=house.cookies["owner"], size=size)
    for name in ("overview", "connection", "groups", "group", "messages", "sent message"):
        page = me.go(_path(house, name))
        assert page.evaluate(_LENGTHEN, [house.groups[0]["name"], "Front desk"]) > 0, name
        assert overflow(page) <= 0, name


def test_the_tab_that_is_open_is_in_sight_on_a_phone(house: House, visit: Visit) -> None:
    me = visit(house.url, cookies=house.cookies["viewer"], size=PHONE)
    for tab in ("waiting", "cancelled", "all"):
        page = me.go(f"/messages?tab={tab}")
        expect(page.locator(".tab[aria-current]")).to_be_in_viewport(ratio=0.99)
        assert page.evaluate("scrollY") == 0, "the page itself stays where it is"


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_page_is_accessible_and_says_what_to_do(
    house: House, visit: Visit, name: str
) -> None:
    me = visit(house.url, cookies=house.cookies["empty"], size=PHONE)
    page = me.go(_path(house, name))
    _check(page)
    assert (
        page.get_by_role("main")
        .get_by_role("link")
        .or_(page.get_by_role("main").get_by_role("button"))
        .count()
    )


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing-here", 404), ("/groups/nothing", 404), ("/setup/gone", 404)]
)
def test_an_error_page_is_accessible_and_leads_on(
    house: House, visit: Visit, path: str, status: int
) -> None:
    me = visit(house.url, cookies=house.cookies["owner"], size=PHONE)
    me.expect_complaint(f"status of {status}")
    page = me.go(path)
    expect(page.get_by_role("main").get_by_role("link").first).to_be_visible()
    _check(page)


def test_the_login_page_is_accessible_and_fits(house: House, visit: Visit) -> None:
    for size in (PHONE, DESKTOP):
        _check(visit(house.url, size=size).go("/login"))


def test_the_dialog_of_a_pairing_is_accessible_on_a_phone(house: House, visit: Visit) -> None:
    me = visit(house.url, cookies=house.cookies["empty"], size=PHONE)
    page = me.go("/settings/connection?start=simulator")
    page.get_by_role("button", name="Show the QR code").click()
    expect(page.get_by_role("button", name="Scan with this phone: Academy phone")).to_be_visible()
    _check(page)
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_system_decides_about_light_and_dark_until_somebody_chooses(
    house: House, visit: Visit, scheme: str
) -> None:
    me = visit(house.url, cookies=house.cookies["viewer"], scheme=scheme)
    page = me.go("/")
    assert _is_dark(page) == (scheme == "dark")
    other = "Light" if scheme == "dark" else "Dark"
    page.get_by_role("button", name="Example Viewer").click()
    page.get_by_role("button", name=other).click()
    until("the colours have changed", lambda: _is_dark(page) != (scheme == "dark"))
    page.reload()
    assert _is_dark(page) != (scheme == "dark")


_LENGTHEN: Final = """(names) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let found = 0;
    while (texts.nextNode()) {
        for (const name of names.filter((each) => texts.currentNode.data.includes(each))) {
            texts.currentNode.data = texts.currentNode.data.replace(name, "Abendkurs".repeat(11));
            found += 1;
        }
    }
    return found;
}"""
"""Wherever one of these names stands on the page, there is another, without a space."""


def _path(house: House, name: str) -> str:
    return PATHS[name].format(group=house.groups[0]["id"], **house.messages)


def _check(page: Page) -> None:
    expect(page.locator("h1")).to_have_count(1)
    assert violations(page) == ""
    assert overflow(page) <= 0


def _is_dark(page: Page) -> bool:
    """By the light of the page's own background."""
    levels: list[float] = page.evaluate(
        """() => {
            const canvas = new OffscreenCanvas(1, 1).getContext("2d");
            canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
        }"""
    )
    return sum(levels) / 3 < 128
