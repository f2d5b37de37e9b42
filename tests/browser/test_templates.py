"""Writing a template with a preview that keeps up, and putting steps into another order."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.conftest import Visit
from tests.browser.house import House
from tests.support.api import until
from tests.support.browser import DESKTOP, PHONE, Visitor, overflow, violations

pytestmark = pytest.mark.browser

TEXT = "*{event_title}* at {event_time}\n- _bring_ a cup\n> See you\n{zoom_link} {zoom link}"


_TYPE_AND_SAVE = """save => {
    for (const [name, value] of [["name", "Lost"], ["content", "Hello"]]) {
        const field = save.form.elements.namedItem(name);
        field.value = value;
        field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    save.click();
}"""
"""Before the preview of what was typed is asked for, however slow the machine is."""


@pytest.fixture
def sequence(house: House) -> Iterator[dict[str, Any]]:
    """Three steps that send one template; gone again at the end."""
    template = house.api.post("/templates", {"name": "Hello", "content": "Hello"}, expect=201)
    steps = [{"templateId": template["id"], "offsetMinutes": minutes} for minutes in (-60, -10, 0)]
    made = house.api.post("/sequences", {"name": "Reminders", "steps": steps}, expect=201)
    yield made
    house.api.call("DELETE", f"/sequences/{made['id']}", expect=204)
    house.api.call("DELETE", f"/templates/{template['id']}", expect=204)


def operator(house: House, visit: Visit, **given: Any) -> Visitor:
    return visit(house.url, cookies=house.cookies["operator"], **given)


def preview(page: Page) -> Any:
    return page.get_by_role("region", name="Preview")


def order(page: Page) -> list[str]:
    return page.locator(".steps .cell-title").all_inner_texts()


def stored_order(house: House, sequence: dict[str, Any]) -> list[str]:
    steps = house.api.get(f"/sequences/{sequence['id']}")["steps"]
    return [step["when"] for step in steps]


def test_the_preview_follows_what_is_typed_and_nothing_is_stored(
    house: House, visit: Visit
) -> None:
    page = operator(house, visit).go("/templates/new")
    page.get_by_label("Text", exact=True).fill(TEXT)

    bubble = preview(page).locator(".bubble")
    expect(bubble.locator("strong")).to_have_text("Example workshop")
    expect(bubble.locator("ul li em")).to_have_text("bring")
    expect(bubble.locator("blockquote")).to_have_text("See you")
    expect(bubble.locator("mark")).to_have_text(["{zoom_link}", "{zoom link}"])
    expect(preview(page)).to_contain_text("Line 4: “{zoom link}”: a name has no spaces.")

    page.get_by_label("Text", exact=True).fill("Now {zoom_link} only")
    expect(bubble).to_have_text("Now {zoom_link} only")
    expect(preview(page)).not_to_contain_text("a name has no spaces")
    assert house.api.get("/templates")["total"] == 0
    page.get_by_label("Text", exact=True).fill("")  # so that leaving asks nothing


def test_a_variable_is_inserted_where_the_cursor_is(house: House, visit: Visit) -> None:
    page = operator(house, visit).go("/templates/new")
    text = page.get_by_label("Text", exact=True)
    text.fill("At !")
    text.press("ArrowLeft")
    page.get_by_text("Variables", exact=True).click()
    page.get_by_role("button", name="Insert event_time", exact=True).click()

    expect(text).to_have_value("At {event_time}!")
    expect(text).to_be_focused()
    expect(preview(page).locator(".bubble")).to_have_text("At 7:00 pm!")
    text.fill("")


def test_a_mistake_is_refused_with_its_place_and_then_corrected(house: House, visit: Visit) -> None:
    me = operator(house, visit)
    me.expect_complaint("status of 422")
    page = me.go("/templates/new")
    page.get_by_label("Name", exact=True).fill("Corrected")
    page.get_by_label("Text", exact=True).fill("{{zoom}}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 1: “{{zoom}}”")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Corrected")

    page.get_by_label("Text", exact=True).fill("{zoom}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Corrected")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No templates yet")).to_be_visible()


def test_what_cannot_be_saved_is_said_once_and_not_by_its_preview_too(
    house: House, visit: Visit
) -> None:
    me = operator(house, visit)
    me.expect_complaint("ERR_FAILED")
    page = me.go("/templates/new")
    asked: list[str] = []

    def lose(route: Route) -> None:
        asked.append("preview" if "action=preview" in (route.request.post_data or "") else "save")
        route.abort()

    page.route(lambda url: "/templates" in url, lose)
    page.get_by_role("button", name="Save").evaluate(_TYPE_AND_SAVE)
    toasts = page.get_by_role("alert")
    expect(toasts.first).to_contain_text("Groupline did not answer.")
    page.wait_for_timeout(400)
    assert asked == ["save"]

    text = page.get_by_label("Text", exact=True)

    with page.expect_event("requestfailed"):
        text.fill("Hello there")
    expect(toasts).to_have_count(1)
    assert asked == ["save", "preview"]
    page.get_by_label("Name", exact=True).fill("")  # so that leaving asks nothing
    text.fill("")


def test_a_step_is_moved_with_the_keyboard(
    house: House, visit: Visit, sequence: dict[str, Any]
) -> None:
    page = operator(house, visit).go(f"/sequences/{sequence['id']}")
    grip = page.get_by_role("button", name="Move “Hello”", exact=True).nth(0)
    status = page.locator("[data-order-status]")

    grip.press("Space")
    expect(status).to_have_text("Taken from place 1 of 3.")
    page.keyboard.press("ArrowDown")
    expect(status).to_have_text("Now at place 2 of 3.")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(status).to_have_text("Now at place 3 of 3.")
    page.keyboard.press("Space")

    expect(page.get_by_text("Saved the order.")).to_be_visible()
    moved = ["10 minutes before the start", "at the start", "1 hour before the start"]
    assert stored_order(house, sequence) == moved
    assert order(page) == [each.capitalize() for each in moved]
    expect(page.locator("[data-place]")).to_have_text(["1", "2", "3"])


def test_escape_puts_a_step_back(house: House, visit: Visit, sequence: dict[str, Any]) -> None:
    page = operator(house, visit).go(f"/sequences/{sequence['id']}")
    before = order(page)
    page.get_by_role("button", name="Move “Hello”", exact=True).nth(2).press("Enter")
    page.keyboard.press("ArrowUp")
    assert order(page) == [before[0], before[2], before[1]]
    page.keyboard.press("Escape")
    expect(page.locator("[data-order-status]")).to_have_text("Back at place 3 of 3.")
    assert order(page) == before
    assert stored_order(house, sequence)[2] == "at the start"


def test_a_step_is_dragged(house: House, visit: Visit, sequence: dict[str, Any]) -> None:
    page = operator(house, visit).go(f"/sequences/{sequence['id']}")
    grips = page.get_by_role("button", name="Move “Hello”", exact=True)
    first, last = grips.nth(0).bounding_box(), grips.nth(2).bounding_box()
    assert first is not None
    assert last is not None
    page.mouse.move(last["x"] + 5, last["y"] + 5)
    page.mouse.down()
    page.mouse.move(last["x"] + 5, first["y"] + first["height"], steps=5)
    page.mouse.move(first["x"] + 5, first["y"] - 2, steps=5)
    page.mouse.up()

    expect(page.get_by_text("Saved the order.")).to_be_visible()
    assert stored_order(house, sequence)[0] == "at the start"


def test_steps_are_moved_added_and_removed_without_javascript(
    house: House, visit: Visit, sequence: dict[str, Any]
) -> None:
    me = operator(house, visit, javascript=False)
    page = me.go(f"/sequences/{sequence['id']}")
    page.get_by_role("button", name="Move “Hello” down").nth(0).click()
    moved = ["10 minutes before the start", "1 hour before the start"]
    until("the step is moved", lambda: stored_order(house, sequence)[:2] == moved)
    page.get_by_label("Template", exact=True).select_option("Hello")
    page.get_by_label("When", exact=True).select_option("At a time of day")
    page.get_by_label("Day", exact=True).select_option("The day before")
    page.get_by_label("Time", exact=True).fill("09:30")
    page.get_by_role("button", name="Add the step").click()
    until("the step is added", lambda: len(stored_order(house, sequence)) == 4)
    assert stored_order(house, sequence)[3] == "the day before, at 09:30"
    expect(page.get_by_role("button", name="Remove “Hello”")).to_have_count(4)
    page.get_by_role("button", name="Remove “Hello”").nth(3).click()
    until("the step is removed", lambda: len(stored_order(house, sequence)) == 3)

    page = me.go("/templates/new")
    page.get_by_label("Text", exact=True).fill("*{event_title}*")
    page.get_by_role("button", name="Preview").click()
    expect(preview(page).locator("strong")).to_have_text("Example workshop")
    expect(page.get_by_label("Text", exact=True)).to_have_value("*{event_title}*")


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_pages_are_accessible_and_fit(
    house: House, visit: Visit, sequence: dict[str, Any], size: tuple[int, int]
) -> None:
    scheme = "dark" if size == PHONE else "light"
    step, template = sequence["steps"][0]["id"], sequence["steps"][0]["templateId"]
    paths = ("/templates", "/templates/new", f"/templates/{template}", "/sequences")
    own = f"/sequences/{sequence['id']}"
    for path in (*paths, own, f"{own}/steps/{step}"):
        page = operator(house, visit, size=size, scheme=scheme).go(path)
        assert violations(page) == "", path
        assert not overflow(page), path


@pytest.mark.parametrize("path", ["/templates", "/sequences", "/templates/new"])
def test_empty_pages_are_accessible(house: House, visit: Visit, path: str) -> None:
    page = visit(house.url, cookies=house.cookies["empty"], size=PHONE).go(path)
    assert violations(page) == ""
    assert not overflow(page)
