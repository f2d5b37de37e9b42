"""The server decides what a role may do; the page does not offer the rest."""

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Visit
from tests.browser.house import House

pytestmark = pytest.mark.browser

_CONNECT = "Connect a number"
_MAY = {
    "viewer": set[str](),
    "operator": {"Send", "Sync groups", "Verify"},
    "admin": {"Send", "Sync groups", "Verify", _CONNECT, "More for", "Members", "API keys"},
    "owner": {"Send", "Sync groups", "Verify", _CONNECT, "More for", "Members", "API keys"},
}


@pytest.mark.parametrize("role", _MAY)
def test_a_role_is_offered_what_it_may_do(house: House, visit: Visit, role: str) -> None:
    page = visit(house.url, cookies=house.cookies[role]).go("/settings/connection")
    expect(page.get_by_text("Connected and ready to send.")).to_be_visible()
    offered = set()
    for name in _MAY["owner"]:
        is_menu = name in ("Send", "Members", "API keys")
        kind = "link" if is_menu or name == _CONNECT else "button"
        where = page.get_by_role("navigation", name="Main", exact=True) if is_menu else page
        if where.get_by_role(kind, name=name, exact=is_menu).count():  # type: ignore[arg-type]
            offered.add(name)
    assert offered == _MAY[role]


@pytest.mark.parametrize("path", ["/send", "/settings/members", "/settings/gateways"])
def test_a_viewer_is_told_why_a_page_is_closed(house: House, visit: Visit, path: str) -> None:
    me = visit(house.url, cookies=house.cookies["viewer"])
    me.expect_complaint("status of 403")
    page = me.go(path)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your role does not allow this")
    expect(page.get_by_role("link", name="Overview").first).to_be_visible()
