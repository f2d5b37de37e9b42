"""A phone is unlinked in the evening; its owner reconnects it, and everything else goes on."""

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Visit
from tests.browser.house import set_up
from tests.support.api import STUDIO, pair, sync, until
from tests.support.evening import Evening
from tests.support.processes import Installation

pytestmark = pytest.mark.browser


def test_one_reconnect_is_all_that_a_person_does(fresh: Installation, visit: Visit) -> None:
    fresh.settings |= {"GROUPLINE_PACE_SECONDS": "0", "GROUPLINE_VERIFY_SECONDS": "2"}
    cookies = set_up(fresh, fresh.up())
    api, simulator = fresh.api_of("morning-workshops"), fresh.simulator()
    session, _ = pair(api, simulator)
    sync(api, session["numberId"])
    evening = Evening(fresh, api, session["numberId"])
    until("the campaign is under way", lambda: evening.sent_of_campaign() >= 2)
    watching = visit(fresh.url, cookies=cookies).go(evening.campaign)
    workshop = visit(fresh.url, cookies=cookies).go(evening.events[0])
    for page in (watching, workshop):
        page.evaluate("window.untouched = true")

    simulator.post(f"/sim/phones/{STUDIO}/unlink")
    page = visit(fresh.url, cookies=cookies).go("/")
    banner = page.locator(".banner", has_text="+91 98765 43210 is disconnected")
    expect(banner).to_contain_text("due in the next 2 hours")
    banner.get_by_role("button", name="Reconnect").click()
    page.get_by_role("button", name="Scan with this phone: Studio phone").click()
    expect(page.get_by_text("+91 98765 43210 is connected")).to_be_visible()
    evening.comes()
    evening.ends()

    expect(watching.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(workshop.get_by_role("img", name="5 of 5 sent").first).to_be_visible()
    for page in (watching, workshop):
        assert page.evaluate("window.untouched") is True, "the page was loaded anew"
    assert sum(evening.expected.values()) == len(simulator.deliveries())
