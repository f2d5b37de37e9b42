"""The dashboard's look and behaviour layer in a real browser, on the real templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect
from tests.browser.gallery.render import render_to
from tests.browser.gallery.site import Site

pytestmark = pytest.mark.browser


@pytest.fixture
def site() -> Iterator[Site]:
    opened = Site()
    yield opened
    opened.close()


def until_caught_up(page: Page, site: Site, address: str = "/", *, asked: int = 2) -> None:
    """Until the page hears of changes and has fetched what came before."""
    while not (site.streams and site.requests.count(address) == asked):
        page.wait_for_timeout(20)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The playground; whatever the browser complains about fails the test."""
    opened = browser.new_page(reduced_motion="reduce")  # a page that closes aborts no transition
    broken: list[str] = []
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.on("console", lambda said: broken.append(said.text) if "Security" in said.text else None)
    opened.goto(site.url)
    until_caught_up(opened, site)
    yield opened
    opened.close()
    assert broken == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_every_component_is_accessible_and_fits(
    browser: Browser, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    gallery = render_to(tmp_path, datetime.now(UTC))
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened.goto(gallery.as_uri())
    found = Axe().run(opened)
    wide = opened.evaluate("document.documentElement.scrollWidth - innerWidth")
    opened.close()
    assert found.violations_count == 0, found.generate_report()
    assert wide <= 0


@pytest.mark.parametrize("name", ["connect", "cleanup", "disconnect"])
def test_dialogs_are_accessible(browser: Browser, tmp_path: Path, name: str) -> None:
    gallery = render_to(tmp_path, datetime.now(UTC))
    opened = browser.new_page()
    opened.goto(gallery.as_uri())
    opened.evaluate("name => document.getElementById(name).showModal()", name)
    found = Axe().run(opened, context=f"#{name}")
    opened.close()
    assert found.violations_count == 0, found.generate_report()


def test_a_form_is_saved_without_a_reload_and_says_so(page: Page, site: Site) -> None:
    page.evaluate("window.untouched = true")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Name").fill("new-thing")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("Added new-thing.")).to_be_visible()
    expect(page.locator("#rows > li").first).to_contain_text("new-thing")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate("window.untouched") is True
    assert page.get_by_label("Name").input_value() == ""


def test_refused_input_is_explained_at_the_field_and_the_dialog_stays(page: Page) -> None:
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Add it").click()
    name = page.get_by_label("Name")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_be_focused()
    expect(page.locator("#f-name-error")).to_have_text("Give it a name.")
    name.fill("x")
    expect(page.locator("#f-name-error")).to_be_empty()


def test_fields_of_a_json_problem_are_explained_at_the_field(page: Page) -> None:
    page.get_by_label("Note").fill("bad")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    expect(page.locator("#f-note-error")).to_have_text("Not this word.")
    assert page.get_by_label("Note").input_value() == "bad"


def test_a_problem_becomes_an_error_that_stays_and_can_be_closed_above_the_dialog(
    page: Page,
) -> None:
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Name").fill("gateway-down")
    page.get_by_role("button", name="Add it").click()
    error = page.get_by_role("alert")
    expect(error).to_contain_text("The gateway refused.")
    expect(error).to_contain_text("Check its key.")
    error.get_by_role("button", name="Close").click()
    expect(error).to_have_count(0)
    assert page.get_by_label("Name").input_value() == "gateway-down"


def test_an_error_page_becomes_an_error_in_place(page: Page) -> None:
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Name").fill("forbidden")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("Viewers only read.")
    expect(page.get_by_role("alert")).to_contain_text("Ask.")


def test_news_while_a_dialog_is_open_keep_its_toasts_and_its_text(page: Page, site: Site) -> None:
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Name").fill("gateway-down")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_be_visible()
    site.things.insert(0, "meanwhile")
    site.announce("things")
    expect(page.locator("#rows > li").first).to_contain_text("meanwhile")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.get_by_label("Name").input_value() == "gateway-down"


def test_a_server_that_does_not_answer_is_never_silent(page: Page) -> None:
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Name").fill("vanish")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("Groupline did not answer.")
    expect(page.get_by_role("button", name="Add it")).not_to_have_attribute("aria-busy", "true")


def test_the_toast_survives_a_redirect_to_another_page(page: Page, site: Site) -> None:
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Name").fill("elsewhere")
    page.get_by_role("button", name="Add it").click()
    page.wait_for_url(f"{site.url}/elsewhere")
    expect(page.get_by_text("Added elsewhere.")).to_be_visible()


def test_a_login_that_is_over_leads_to_the_login_and_back(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/?q=1")
    until_caught_up(page, site, "/?q=1")
    site.logged_out = True
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"{site.url}/login?next=%2F%3Fq%3D1")


def test_a_change_elsewhere_shows_and_disturbs_nothing(page: Page, site: Site) -> None:
    page.get_by_text("Details").click()
    page.get_by_label("Select thing-003").check()
    page.get_by_label("Note").press_sequentially("half a sen")
    site.things.insert(0, "from-elsewhere")
    site.announce("things")
    expect(page.locator("#rows > li").first).to_contain_text("from-elsewhere")
    expect(page.locator("#count")).to_have_text("46 things")
    expect(page.locator("details")).to_have_attribute("open", "")
    expect(page.get_by_label("Select thing-003")).to_be_checked()
    expect(page.get_by_label("Note")).to_be_focused()
    assert page.get_by_label("Note").input_value() == "half a sen"


def test_another_topic_fetches_nothing(page: Page, site: Site) -> None:
    site.things.insert(0, "unseen")
    site.announce("other")
    site.announce("things")
    expect(page.locator("#rows > li").first).to_contain_text("unseen")
    assert site.requests.count("/") == 3


def test_what_changed_before_the_stream_was_open_shows_too(browser: Browser, site: Site) -> None:
    """Nothing announces it to this page: it was still on its way."""

    def meanwhile(route: Route) -> None:
        site.things.insert(0, "early")
        route.continue_()

    page = browser.new_page()
    page.route("**/api/v1/events", meanwhile)
    page.goto(site.url)
    expect(page.locator("#rows > li").first).to_contain_text("early")
    page.close()


def test_a_lost_stream_fetches_once_when_it_is_back(page: Page, site: Site) -> None:
    site.things.insert(0, "missed")
    site.cut_streams()
    expect(page.locator("#rows > li").first).to_contain_text("missed")
    expect(page.locator("#live-status")).to_be_hidden()


def test_search_follows_the_typing_and_the_address_keeps_step(page: Page, site: Site) -> None:
    page.get_by_role("searchbox").press_sequentially("thing-04")
    expect(page.locator("#rows > li")).to_have_count(5)
    expect(page).to_have_url(f"{site.url}/?q=thing-04")
    site.things.append("thing-04x")
    site.announce("things")
    expect(page.locator("#rows > li")).to_have_count(6)


def test_more_rows_are_appended_and_stay_fresh(page: Page, site: Site) -> None:
    page.get_by_role("link", name="Load more").click()
    expect(page.locator("#rows > li")).to_have_count(40)
    expect(page.get_by_text("40 of 45 things")).to_be_visible()
    site.things.remove("thing-030")
    site.announce("things")
    expect(page.locator("[data-key='thing-030']")).to_have_count(0)
    expect(page.locator("#rows > li")).to_have_count(40)


def test_all_of_the_filter_can_be_selected(page: Page, site: Site) -> None:
    page.get_by_label("Select thing-001").check()
    expect(page.get_by_text("1 thing selected")).to_be_visible()
    page.get_by_role("button", name="Select all 45").click()
    expect(page.get_by_text("45 things selected")).to_be_visible()
    page.get_by_role("button", name="Pick").click()
    expect(page.get_by_text("Picked.")).to_be_visible()
    assert site.picked["ids_all"] == ["1"]
    expect(page.locator("[data-selection]")).to_be_hidden()


_CLICK_AGAIN = """() => {
    let at;
    addEventListener("pointermove", ({ clientX, clientY }) => (at = { clientX, clientY }));
    new MutationObserver(() => {
        const row = document.elementFromPoint(at.clientX, at.clientY).closest("[data-key]");
        document.body.dataset.hit = row.dataset.key;
        row.querySelector("button").dispatchEvent(new MouseEvent("click",
            { bubbles: true, cancelable: true, detail: 1, ...at }));
    }).observe(document.querySelector("#rows"), { childList: true });
}"""
"""A click on the same place as soon as the rows have changed: the second one of a double click. At
once, so that it comes soon enough on any machine."""


def drop(page: Page, name: str) -> Locator:
    return page.locator(f"[data-key='{name}']").get_by_role("button", name="Drop")


def test_a_double_click_does_not_hit_the_row_that_moved_up(page: Page, site: Site) -> None:
    page.evaluate(_CLICK_AGAIN)
    drop(page, "thing-003").click()
    expect(page.locator("body")).to_have_attribute("data-hit", "thing-004")
    expect(page.get_by_text("Dropped.")).to_be_visible()
    page.get_by_role("button", name="Save").click()  # whatever was sent before has arrived
    expect(page.get_by_text("Note saved.")).to_be_visible()
    assert "thing-003" not in site.things
    assert len(site.things) == 44


def test_news_put_no_other_row_under_a_click(page: Page, site: Site) -> None:
    page.evaluate(_CLICK_AGAIN)
    drop(page, "thing-003").hover()
    site.things.remove("thing-002")
    site.announce("things")
    expect(page.locator("body")).to_have_attribute("data-hit", "thing-004")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Note saved.")).to_be_visible()
    assert len(site.things) == 44


def test_the_keyboard_goes_on_at_the_next_row_when_its_row_is_gone(page: Page, site: Site) -> None:
    drop(page, "thing-003").press("Enter")
    expect(page.get_by_label("Select thing-004")).to_be_focused()
    site.things.remove("thing-004")
    site.announce("things")
    expect(page.get_by_label("Select thing-005")).to_be_focused()


def test_the_keyboard_goes_on_at_the_heading_when_its_bar_is_gone(page: Page) -> None:
    page.get_by_label("Select thing-003").press("Space")
    page.get_by_role("button", name="Cancel", exact=True).press("Enter")
    page.get_by_role("button", name="Cancel it").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_a_question_about_one_thing_is_asked_in_the_singular(page: Page) -> None:
    page.get_by_label("Select thing-003").check()
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("Cancel this thing?")
    expect(dialog).to_contain_text("It will not happen.")
    assert dialog.get_by_role("button").all_inner_texts() == ["Back", "Cancel it"]


def test_the_keyboard_goes_on_where_news_took_a_question_away(page: Page, site: Site) -> None:
    page.get_by_label("Select thing-003").press("Space")
    page.get_by_role("button", name="Cancel", exact=True).press("Enter")
    site.things.remove("thing-003")
    site.announce("things")
    expect(page.get_by_label("Select thing-003")).to_have_count(0)
    page.get_by_role("button", name="Back").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def test_what_was_asked_is_what_is_sent_whatever_the_page_has_become(
    page: Page, site: Site
) -> None:
    page.get_by_label("Select thing-001").check()
    page.get_by_role("button", name="Select all 45").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("Cancel 45 things?")
    # None of them is a second "Cancel", which could mean either.
    assert dialog.get_by_role("button").all_inner_texts() == ["Back", "Cancel them"]
    site.things = ["a-new-one", *site.things, "another-one"]
    site.announce("things")
    expect(page.locator("#count")).to_have_text("47 things")
    dialog.get_by_role("button", name="Cancel them").click()
    expect(page.get_by_text("Picked.")).to_be_visible()
    assert site.picked == {"ids_all": ["1"], "ids_total": ["45"]}


def test_a_question_is_withdrawn_when_what_it_is_about_was_settled_elsewhere(
    page: Page, site: Site
) -> None:
    site.things.insert(0, "fragile")
    site.announce("things")
    page.locator("li", has_text="fragile").get_by_role("button", name="Drop").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("Drop fragile?")
    site.things.insert(0, "a-new-one")
    site.announce("things")
    expect(page.locator("#count")).to_have_text("47 things")
    expect(dialog).to_be_visible()
    site.things.remove("fragile")
    site.announce("things")
    expect(page.get_by_text("What you were asked about is not open here any more.")).to_be_visible()
    expect(dialog).to_have_count(0)
    assert site.things[0] == "a-new-one"


def test_what_is_ticked_stays_so_when_newer_rows_push_it_off_the_page(
    page: Page, site: Site
) -> None:
    for name in ("thing-003", "thing-018", "thing-019"):
        page.get_by_label(f"Select {name}").check()
    site.things = ["newer", "newest", *(each for each in site.things if each != "thing-003")]
    site.announce("things")
    expect(page.get_by_label("Select newest")).to_be_visible()
    expect(page.get_by_label("Select thing-019")).to_have_count(0)
    expect(page.get_by_text("2 things selected")).to_be_visible()  # one is gone altogether
    page.get_by_role("link", name="Load more").click()
    expect(page.get_by_label("Select thing-019")).to_be_checked()
    site.things = [f"newer-{number}" for number in range(40)] + site.things
    site.announce("things")
    expect(page.get_by_label("Select thing-000")).to_have_count(0)
    expect(page.get_by_text("2 things selected")).to_be_visible()
    page.get_by_role("button", name="Pick").click()
    expect(page.get_by_text("Picked.")).to_be_visible()
    assert sorted(site.picked["ids"]) == ["thing-018", "thing-019"]
    expect(page.locator("[data-selection]")).to_be_hidden()


@pytest.mark.parametrize("name", ["thing-007", "thing-019"])
def test_what_is_gone_from_the_list_is_not_chosen_any_more(
    page: Page, site: Site, name: str
) -> None:
    page.get_by_label(f"Select {name}").check()
    expect(page.get_by_text("1 thing selected")).to_be_visible()
    site.things.remove(name)
    site.announce("things")
    expect(page.get_by_label("Select thing-020")).to_be_visible()
    expect(page.locator("[data-selection]")).to_be_hidden()


def test_all_stay_selected_until_one_is_unticked(page: Page, site: Site) -> None:
    page.get_by_label("Select thing-001").check()
    page.get_by_role("button", name="Select all 45").click()
    site.things = [f"newer-{number}" for number in range(30)] + site.things
    site.announce("things")
    expect(page.get_by_text("75 things selected")).to_be_visible()
    page.get_by_label("Select newer-11").uncheck()
    expect(page.get_by_role("button", name="Select all 75")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("[data-selection]")).to_be_hidden()


def test_what_is_ticked_in_one_list_is_not_ticked_in_another(page: Page) -> None:
    page.get_by_label("Select thing-001").check()
    page.get_by_label("Select thing-011").check()
    page.get_by_role("button", name="Select all 45").click()
    page.get_by_role("searchbox").fill("thing-01")
    expect(page.locator("#rows > li")).to_have_count(10)
    expect(page.get_by_text("10 things selected")).to_be_visible()
    page.get_by_role("searchbox").fill("")
    expect(page.locator("#rows > li")).to_have_count(20)
    expect(page.get_by_text("10 things selected")).to_be_visible()


def test_a_question_about_more_than_are_done_at_once_says_so(page: Page, site: Site) -> None:
    site.things += ["one-more", "two-more"]
    site.announce("things")
    page.get_by_label("Select thing-001").check()
    page.get_by_role("button", name="Select all 47").click()
    expect(page.get_by_text("47 things selected")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("alertdialog")).to_contain_text("Cancel the first 46 of 47 things?")


def test_a_dangerous_button_asks_first(page: Page, site: Site) -> None:
    site.note = "keep"
    page.reload()
    until_caught_up(page, site, asked=4)  # or this would take what is to be said of the note
    page.get_by_role("button", name="Forget").click()
    page.get_by_role("button", name="Back").click()
    assert site.note == "keep"
    page.get_by_role("button", name="Forget").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Forget").click()
    expect(page.get_by_text("Note saved.")).to_be_visible()
    assert site.note == ""
    expect(page.get_by_label("Note")).to_have_value("")


def test_ages_tick(page: Page) -> None:
    page.get_by_text("Details").click()
    age = page.locator("time[data-age]")
    shown = age.inner_text()
    assert re.fullmatch(r".*\d+ (s|min) ago", shown)
    expect(age).not_to_have_text(shown)
    expect(age).to_have_text(re.compile(r"\d+ (s|min) ago"))


def test_the_theme_is_kept(page: Page) -> None:
    page.get_by_role("button", name="Example Owner").first.click()
    page.get_by_role("button", name="Dark").first.click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_forms_work_without_the_script(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.url)
    page.get_by_label("Note").fill("plain")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Note saved.")).to_be_visible()
    expect(page.get_by_label("Note")).to_have_value("plain")
    page.get_by_role("link", name="Load more").click()
    expect(page.get_by_label("Select thing-020")).to_be_visible()
    context.close()
