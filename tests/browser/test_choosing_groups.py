"""Choosing groups in a form: what is chosen stays chosen, whatever is searched for next."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.browser.house import House

pytestmark = pytest.mark.browser


@pytest.fixture
def page(house: House, visit: Visit) -> Page:
    return visit(house.url, cookies=house.cookies["operator"]).go("/send")


def find(page: Page, words: str) -> None:
    page.get_by_label("Find groups").fill(words)


def box(page: Page, group: dict[str, Any]) -> Any:
    return page.locator(f"#pick-{group['id']}")


def sent_with_the_form(page: Page) -> dict[str, list[str]]:
    """What the form would send of the groups."""
    entries = page.evaluate("[...new FormData(document.querySelector('#send-form'))]")
    found: dict[str, list[str]] = {"groups": [], "groups_matching": []}
    for name, value in entries:
        if name in found and value not in found[name]:
            found[name].append(value)
    return found


def chosen(page: Page) -> Any:
    return page.get_by_role("group", name="Chosen groups")


def test_what_was_chosen_stays_chosen_through_searches(house: House, page: Page) -> None:
    first, second = house.groups[0], house.groups[1]

    find(page, first["name"])
    box(page, first).check()
    find(page, second["name"])
    expect(box(page, first)).to_have_count(0)
    box(page, second).check()
    expect(page.get_by_text("2 groups chosen")).to_be_visible()
    assert sorted(sent_with_the_form(page)["groups"]) == sorted([first["id"], second["id"]])

    chosen(page).get_by_role("button", name=f"Remove {first['name']}").click()
    find(page, "")
    expect(box(page, second)).to_be_checked()
    expect(box(page, first)).not_to_be_checked()
    assert sent_with_the_form(page)["groups"] == [second["id"]]


def test_all_that_match_a_search_are_chosen_at_once(house: House, page: Page) -> None:
    word = house.groups[0]["name"].split()[0].lower()

    find(page, word)
    page.get_by_role("button", name="that match").click()

    expect(box(page, house.groups[0])).to_be_checked()
    expect(box(page, house.groups[0])).to_be_disabled()
    assert sent_with_the_form(page)["groups_matching"] == [word]
    find(page, "")
    expect(box(page, house.groups[0])).to_be_enabled()
    assert sent_with_the_form(page)["groups_matching"] == [word]
    chosen(page).get_by_role("button", name="Remove All").click()
    assert sent_with_the_form(page)["groups_matching"] == []


def test_a_search_without_a_match_says_so_and_enter_sends_nothing(page: Page) -> None:
    find(page, "zebra")
    page.get_by_label("Find groups").press("Enter")

    expect(page.get_by_text("No group matches")).to_be_visible()
    assert urlsplit(page.url).path == "/send"


def test_a_link_to_the_form_comes_with_its_group_chosen(house: House, visit: Visit) -> None:
    group = house.groups[2]
    page = visit(house.url, cookies=house.cookies["operator"]).go(f"/groups/{group['id']}")

    page.get_by_role("link", name="Write to this group").click()

    expect(box(page, group)).to_be_checked()
    assert sent_with_the_form(page)["groups"] == [group["id"]]
    box(page, group).uncheck()
    assert sent_with_the_form(page)["groups"] == []
