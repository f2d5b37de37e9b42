"""A workshop from the first idea to another day: planned, filled, run, moved, called off."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.browser.house import ZONE, House
from tests.support.browser import PHONE, overflow, violations

from groupline.ids import new_id

pytestmark = pytest.mark.browser

STEPS = [
    {"dayOffset": -1, "localTime": "10:00", "label": "The day before"},
    {"offsetMinutes": -60, "label": "An hour before"},
    {"offsetMinutes": 0, "label": "Start", "lateMinutes": 10},
]
DAY = (datetime.now(ZoneInfo(ZONE)) + timedelta(days=5)).date()


@pytest.fixture
def sequence(house: House) -> Iterator[str]:
    """Its name; nothing of it is left behind that another test could see."""
    own = new_id().hex[-6:]
    body = {
        "name": f"Before the workshop {own}",
        "content": "{event_title} at {event_time}: {zoom_link}",
    }
    template = house.api.post("/templates", body, expect=201)
    steps = [{**step, "templateId": template["id"]} for step in STEPS]
    made = house.api.post(
        "/sequences", {"name": f"Three reminders {own}", "steps": steps}, expect=201
    )
    yield made["name"]
    house.api.call("DELETE", f"/sequences/{made['id']}", expect=204)
    house.api.call("DELETE", f"/templates/{template['id']}", expect=204)


@pytest.fixture
def page(house: House, visit: Visit) -> Page:
    return visit(house.url, cookies=house.cookies["operator"]).go("/workshops")


def plan(page: Page, sequence: str) -> None:
    page.get_by_role("link", name="Plan a workshop").first.click()
    page.get_by_label("Title").fill("Pottery for beginners")
    page.get_by_label("Starts").fill(f"{DAY}T19:00")
    page.get_by_label("Sequence").select_option(label=f"{sequence} (3 steps)")
    page.get_by_role("button", name="Plan it").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Pottery for beginners")


def choose_groups(page: Page, groups: list[dict[str, Any]]) -> None:
    page.get_by_role("link", name="Choose groups").click()
    for group in groups:
        page.get_by_label("Find groups").fill(group["name"])
        page.locator(f"#pick-{group['id']}").check()
    page.get_by_role("button", name="Save the groups").click()
    expect(page.get_by_text(f"{len(groups)} added, 0 taken out")).to_be_visible()


def test_a_workshop_is_planned_filled_run_moved_and_called_off(
    house: House, page: Page, sequence: str, visit: Visit
) -> None:
    plan(page, sequence)
    choose_groups(page, house.groups[:4])

    page.get_by_role("button", name="Run the sequence").click()
    expect(page.get_by_text("{zoom_link} has no value.").first).to_be_visible()
    page.get_by_label("{zoom_link}").fill("https://example.org/zoom")
    page.get_by_role("button", name="Save and run the sequence").click()
    expect(page.get_by_text("Scheduled 12 messages.")).to_be_visible()
    expect(page.get_by_text("4 scheduled")).to_have_count(3)
    assert violations(page) == ""

    page.get_by_role("button", name="More about this workshop").click()
    page.get_by_role("link", name="Reschedule").click()
    page.get_by_label("New start").fill(f"{DAY + timedelta(days=1)}T20:00")
    page.get_by_role("button", name="Show what would happen").click()
    expect(page.get_by_text("Nothing has been changed yet.")).to_be_visible()
    expect(page.get_by_text("12 messages get another text")).to_be_visible()
    assert violations(page) == ""
    page.get_by_role("button", name="Move it").click()
    expect(page.get_by_text("Moved. 12 messages go at their new times.")).to_be_visible()

    page.get_by_role("link", name="An hour before").click()
    expect(
        page.get_by_text("Pottery for beginners at 8:00 pm: https://example.org/zoom")
    ).to_have_count(4)
    page.get_by_role("link", name="Pottery for beginners").first.click()
    fits_on_a_phone(house, visit, page.url)

    page.get_by_role("button", name="More about this workshop").click()
    page.get_by_role("link", name="Cancel or delete").click()
    page.get_by_role("button", name="Delete the workshop").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile("/workshops$"))


def fits_on_a_phone(house: House, visit: Visit, url: str) -> None:
    path = url.removeprefix(house.url)
    me = visit(house.url, cookies=house.cookies["operator"], size=PHONE, scheme="dark")
    for part in ("", "/edit", "/groups", "/variables", "/reschedule", "/send", "/cancel"):
        page = me.go(path + part)
        expect(page.locator("h1")).to_have_count(1)
        assert violations(page) == "", part
        assert overflow(page) <= 0, part
    me.go("/workshops")  # it would notice what the other one deletes


def test_what_another_person_does_shows_by_itself(house: House, page: Page, sequence: str) -> None:
    plan(page, sequence)
    event_id = page.url.rpartition("/")[2]
    path = f"/workshops/{event_id}"
    expect(page.get_by_text("Choose its groups.")).to_be_visible()
    house.api.call("PUT", f"{path}/groups", {"groupIds": [house.groups[0]["id"]]})
    expect(page.get_by_text("It has 1 group.")).to_be_visible()
    house.api.call("PATCH", path, {"title": "Glazing"})
    expect(page.get_by_role("heading", level=1)).to_contain_text("Glazing")
    house.api.call("DELETE", path, expect=204)
