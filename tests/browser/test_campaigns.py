"""Planning a campaign in a real browser: back, reload, without the script, and live progress."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.browser.house import House
from tests.support.api import until
from tests.support.browser import DESKTOP, PHONE, overflow, violations

pytestmark = pytest.mark.browser


def plan(page: Page, house: House, name: str, *, choose: int = 2) -> None:
    """To the last step, by what a person sees."""
    page.get_by_label("Name").fill(name)
    for group in house.groups[:choose]:
        page.locator(f"#pick-{group['id']}").check()
    page.get_by_role("button", name="Save and write the message").click()
    page.get_by_label("Message").fill("Hello *{group_name}*")
    page.get_by_role("button", name="Save and choose the time").click()
    page.get_by_label("Pause between two groups").fill("0")
    page.get_by_role("button", name="Save and check").click()
    expect(page.get_by_text(f"{choose} groups at one every")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_four_steps_and_it_is_sent(house: House, visit: Visit, javascript: bool) -> None:
    name = "With a script" if javascript else "Without a script"
    me = visit(house.url, cookies=house.cookies["operator"], javascript=javascript)
    page = me.go("/campaigns/new")
    plan(page, house, name)
    page.get_by_role("button", name="Start now").click()
    page.wait_for_url(re.compile(r"/campaigns/[0-9a-f-]+$"))
    campaign_id = page.url.rpartition("/")[2]
    until("it has ended", lambda: house.api.get(f"/campaigns/{campaign_id}")["finishedAt"])
    if not javascript:
        page.reload()
    expect(page.get_by_text("Completed").first).to_be_visible()
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="Sent")).to_have_count(2)


def test_the_wizard_survives_back_and_reload(house: House, visit: Visit) -> None:
    page = visit(house.url, cookies=house.cookies["operator"]).go("/campaigns/new")
    plan(page, house, "Survivor", choose=3)
    check = page.url
    page.go_back()
    expect(page.get_by_label("Pause between two groups")).to_have_value("0")
    page.go_back()
    expect(page.get_by_label("Message")).to_have_value("Hello *{group_name}*")
    page.reload()
    expect(page.get_by_label("Message")).to_have_value("Hello *{group_name}*")
    page.get_by_role("link", name="1 Groups").click()
    expect(page.get_by_label("Name")).to_have_value("Survivor")
    expect(page.get_by_text("3 groups chosen")).to_be_visible()
    page.goto(check)
    expect(page.get_by_text("3 groups at one every")).to_be_visible()
    made = house.api.get("/campaigns?q=Survivor")["items"]
    assert [each["status"] for each in made] == ["draft"], "one draft, however often one goes back"
    page.get_by_role("button", name="Delete draft").click()
    page.get_by_role("button", name="Delete the draft").click()
    expect(page.get_by_text("The draft is deleted.")).to_be_visible()


def test_only_what_stands_there_is_started(house: House, visit: Visit) -> None:
    """A page that has not heard of a change shows it instead of starting something else."""
    me = visit(house.url, cookies=house.cookies["operator"])
    me.expect_complaint(r"422 \(Unprocessable")
    page = me.go("/campaigns/new")
    plan(page, house, "Two authors")
    campaign = f"/campaigns/{page.url.split('/')[-3]}"
    house.api.call("PATCH", campaign, {"content": "Second text"})
    expect(page.get_by_text("Second text")).to_be_visible()  # it follows
    page.route("**/edit/check", lambda asked: asked.request.method == "POST" and asked.continue_())
    groups = [group["id"] for group in house.groups[:3]]
    house.api.call("PATCH", campaign, {"content": "Third text", "groupIds": groups})
    page.get_by_role("button", name="Start now").click()
    expect(page.get_by_role("alert")).to_contain_text("It is not what this page showed")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    expect(page.get_by_text("Third text")).to_be_visible()
    expect(page.get_by_text("3 groups at one every")).to_be_visible()
    assert house.api.get(campaign)["status"] == "draft"
    page.get_by_role("button", name="Start now").click()
    page.wait_for_url(re.compile(r"/campaigns/[0-9a-f-]+$"))
    assert house.api.get(campaign)["groups"] == 3


def test_the_preview_follows_what_is_typed(house: House, visit: Visit) -> None:
    page = visit(house.url, cookies=house.cookies["operator"]).go("/campaigns/new")
    plan(page, house, "Preview")
    page.get_by_role("link", name="2 Message").click()
    field = page.get_by_label("Message")
    field.fill("_Good morning_ {group_name}")
    preview = page.locator("#preview")
    expect(preview.locator("em")).to_have_text("Good morning")
    expect(preview).to_contain_text(house.groups[0]["name"])
    field.fill("Join {zoom_link}")
    expect(page.locator("#content-problem")).to_contain_text("{zoom_link} has no value")
    page.get_by_role("button", name="Insert {organization}").click()
    expect(field).to_have_value("Join {zoom_link}{organization}")


def test_a_running_campaign_is_followed_paused_and_cancelled(house: House, visit: Visit) -> None:
    body = {
        "name": "Follow me",
        "numberId": house.number_id,
        "groupIds": [each["id"] for each in house.groups],
        "content": "Hello",
        "delaySeconds": 2,
        "start": True,
    }
    made = house.api.post("/campaigns", body, expect=201)
    page = visit(house.url, cookies=house.cookies["operator"]).go(f"/campaigns/{made['id']}")
    expect(page.get_by_role("row").filter(has_text="Sent").first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("link", name="Resume")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_text("messages will not be sent.")).to_be_visible()
    page.get_by_role("button", name="Cancel the campaign").click()
    page.wait_for_url(f"**/campaigns/{made['id']}")
    expect(page.locator("h1")).to_contain_text("Cancelled")


def test_what_is_asked_about_a_campaign_follows_it(house: House, visit: Visit) -> None:
    me = visit(house.url, cookies=house.cookies["operator"])
    me.expect_complaint(r"409 \(Conflict\)")
    groups = [each["id"] for each in house.groups[:3]]
    body = {"name": "Asked", "numberId": house.number_id, "groupIds": groups, "content": "Hello"}
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    later = body | {"scheduledFor": tomorrow, "start": True}
    campaign = house.api.post("/campaigns", later, expect=201)["id"]
    page = me.go(f"/campaigns/{campaign}/cancel")
    expect(page.get_by_text("3 messages will not be sent.")).to_be_visible()
    message = house.api.get(f"/messages?campaignId={campaign}")["items"][0]
    house.api.post(f"/messages/{message['id']}/cancel")
    expect(page.get_by_text("2 messages will not be sent.")).to_be_visible()
    house.api.post(f"/campaigns/{campaign}/cancel")
    expect(page.get_by_text("A campaign that is cancelled cannot be cancelled.")).to_be_visible()
    expect(page.get_by_text("Connection lost. Reconnecting…")).to_be_hidden()


def test_its_pages_are_accessible_and_fit(house: House, visit: Visit) -> None:
    groups = [each["id"] for each in house.groups[:3]]
    body = {"name": "Look", "numberId": house.number_id, "groupIds": groups, "content": "Hello"}
    draft = house.api.post("/campaigns", body, expect=201)["id"]
    paused = house.api.post("/campaigns", body | {"start": True, "delaySeconds": 60}, expect=201)[
        "id"
    ]
    house.api.post(f"/campaigns/{paused}/pause")
    edits = [
        f"/campaigns/{draft}/edit/{step}" for step in ("groups", "content", "sending", "check")
    ]
    asks = [f"/campaigns/{paused}/{action}" for action in ("resume", "cancel", "retry")]
    for size, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        me = visit(house.url, cookies=house.cookies["owner"], size=size, scheme=scheme)
        for path in ("/campaigns", "/campaigns/new", f"/campaigns/{paused}", *edits, *asks):
            page = me.go(path)
            expect(page.locator("h1")).to_have_count(1)
            assert violations(page) == "", path
            assert overflow(page) <= 0, path
    house.api.post(f"/campaigns/{paused}/cancel")
