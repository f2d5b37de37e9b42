"""Planning and following a campaign in the dashboard, as a person without JavaScript."""

import csv
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from tests.integration.campaigns.test_api import FAILED, SENT, UNCERTAIN, messages, put
from tests.integration.messages.desk import Desk
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast, Person
from tests.support.clock import ManualClock
from tests.support.factories import (
    make_event,
    make_event_variable,
    make_membership,
    make_number,
    make_template,
)

from groupline.db import Database
from groupline.messages.variables import fill, plain
from groupline.models import (
    NotificationCampaign,
    Organization,
    ScheduledWhatsappMessage,
    WhatsappNumber,
)


@asynccontextmanager
async def logged_in(running: RunningApp, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": "text/html", "Origin": BASE_URL}
    async with running.client(headers=headers, follow_redirects=True) as browser:
        await browser.post("/login", data={"email": person.email, "password": PASSWORD})
        yield browser


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with logged_in(running, cast.operator) as browser:
        yield browser


def words(response: httpx.Response) -> str:
    """What a person reads, without the markup."""
    body = response.text.partition('id="content"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def plan(browser: httpx.AsyncClient, desk: Desk, **sending: str) -> str:
    """Through the first three steps; the address of the last one."""
    form = await browser.get("/campaigns/new")
    draft = re.search(r'name="draft" value="([^"]+)"', form.text)
    assert draft is not None
    page = await browser.post(
        "/campaigns/new",
        data={"draft": draft[1], "name": "Spring", "groups": [str(each) for each in desk.groups]},
    )
    assert page.url.path.endswith("/edit/content"), words(page)
    page = await browser.post(page.url.path, data={"content": "Hello\r\n*{group_name}*"})
    assert page.url.path.endswith("/edit/sending"), words(page)
    given = {"number_id": str(desk.number_id), "delay_seconds": "2", "when": "now"}
    page = await browser.post(page.url.path, data=given | {"late_hours": "24"} | sending)
    assert page.url.path.endswith("/edit/check"), words(page)
    return page.url.path


async def start(browser: httpx.AsyncClient, check: str, **given: str) -> httpx.Response:
    """By the form of the last step, as it is now."""
    return await browser.post(check, data={"checked": await checked(browser, check), **given})


async def checked(browser: httpx.AsyncClient, check: str) -> str:
    found = re.search(r'name="checked" value="([0-9a-f]+)"', (await browser.get(check)).text)
    assert found is not None
    return found[1]


async def count(database: Database, table: type[Any] = NotificationCampaign) -> int:
    async with database.reading() as session:
        return (await session.execute(select(func.count()).select_from(table))).scalar_one()


async def campaign_id(database: Database) -> dict[str, str]:
    async with database.reading() as session:
        statement = select(NotificationCampaign.id).order_by(NotificationCampaign.id.desc())
        return {"id": str((await session.scalars(statement)).first())}


async def test_an_empty_list_says_what_to_do(desk: Desk, browser: httpx.AsyncClient) -> None:
    page = await browser.get("/campaigns")
    assert "No campaigns yet" in words(page)
    assert "New campaign" in words(page)


async def test_four_steps_lead_to_a_campaign_that_is_sent(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    check = await browser.get(await plan(browser, desk))
    assert "2 groups at one every 2.1 s: about 4 s, done by" in words(check)
    assert "<strong>Pottery</strong>" in check.text, "as the first group sees it"
    assert await count(database, ScheduledWhatsappMessage) == 1, "one of somebody else"

    page = await start(browser, check.url.path)
    assert re.fullmatch(r"/campaigns/[0-9a-f-]+", page.url.path)
    assert "Started: 2 groups." in page.text
    assert "Pottery" in words(page)
    assert "Yoga <b>" in words(page)
    assert await count(database, ScheduledWhatsappMessage) == 3


async def test_every_step_can_be_left_and_comes_back_as_it_was(
    desk: Desk, browser: httpx.AsyncClient
) -> None:
    check = await plan(browser, desk, when="later", at="2026-12-24T18:30", late_hours="3")
    steps = {step: await browser.get(check.replace("check", step)) for step in (
        "groups", "content", "sending"
    )}  # fmt: skip
    assert 'value="Spring"' in steps["groups"].text
    assert steps["groups"].text.count("checked") == 2
    assert "Hello\n*{group_name}*</textarea>" in steps["content"].text
    assert 'value="2026-12-24T18:30"' in steps["sending"].text
    assert 'value="3"' in steps["sending"].text
    again = await browser.get(check)
    assert "Thu 24 Dec 2026, 18:30 IST" in words(again)
    assert "Schedule" in words(again)


async def test_the_first_step_sent_twice_makes_one_draft(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    form = await browser.get("/campaigns/new")
    draft = re.search(r'name="draft" value="([^"]+)"', form.text)
    assert draft is not None
    data = {"draft": draft[1], "name": "First", "groups": [str(each) for each in desk.groups]}
    await browser.post("/campaigns/new", data=data)
    page = await browser.post("/campaigns/new", data=data | {"name": "Second"})
    assert await count(database) == 1
    assert "Second" in words(page), "what was sent last counts"
    back = await browser.get(str(form.url))
    assert "/edit/" in back.url.path, "the address of the form leads to its draft"


async def test_what_is_wrong_is_said_in_its_step_and_what_was_typed_stays(
    desk: Desk, browser: httpx.AsyncClient
) -> None:
    nobody = await browser.post("/campaigns/new", data={"draft": "a-key-of-ours", "name": "Spring"})
    assert nobody.status_code == 422
    assert "Choose at least one group." in words(nobody)
    assert 'value="Spring"' in nobody.text

    check = await plan(browser, desk)
    content = check.replace("check", "content")
    for text, why in (("{zoom_link}", "{zoom_link} has no value"), (" ", "Write a text")):
        page = await browser.post(content, data={"content": text})
        assert page.status_code == 422
        assert why in words(page)
    sending = {"number_id": str(desk.number_id), "delay_seconds": "1", "late_hours": "24"}
    for wrong, why in (
        ({"when": "later", "at": ""}, "Choose a day and a time."),
        ({"when": "later", "at": "2020-01-01T10:00"}, "This time is over."),
        ({"delay_seconds": "x"}, "Write a number."),
        ({"delay_seconds": "99999"}, "Between 0 and 3,600 seconds."),
        ({"late_hours": "0"}, "Between 1 and"),
        ({"number_id": ""}, "Choose a number."),
    ):
        page = await browser.post(check.replace("check", "sending"), data=sending | wrong)
        assert page.status_code == 422, wrong
        assert why in words(page)


async def test_the_preview_saves_nothing(desk: Desk, browser: httpx.AsyncClient) -> None:
    content = (await plan(browser, desk)).replace("check", "content")
    data = {"content": "_Bye_ {group_name} {oops}", "action": "preview"}
    page = await browser.post(content, data=data)
    assert page.status_code == 200
    assert "<em>Bye</em> Pottery" in page.text
    assert "{oops} has no value in a campaign" in words(page)
    assert "Hello" in (await browser.get(content)).text


async def test_groups_that_cannot_get_it_stand_in_the_way_until_they_are_left_out(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    check = await plan(browser, desk)
    ids = [str(each) for each in (*desk.groups, desk.not_in)]
    await browser.post(check.replace("check", "groups"), data={"name": "Spring", "groups": ids})
    page = await browser.get(check)
    assert "1 group cannot get it" in words(page)
    assert "Strangers" in words(page)
    refused = await start(browser, check)
    assert refused.status_code == 422
    assert "Strangers" in words(refused)
    started = await start(browser, check, skip="true")
    assert "Started: 2 groups." in started.text


@pytest.mark.parametrize(
    ("step", "given", "shown"),
    [
        ("content", {"content": "The other text"}, "The other text"),
        ("groups", {"name": "Spring", "groups": ["not_in"]}, "1 group cannot get it"),
        ("sending", {"number_id": "number", "delay_seconds": "9", "late_hours": "24"}, "9.4 s"),
        (None, {}, "Look at it again"),
    ],
)
async def test_only_what_was_looked_at_is_started(
    *,
    desk: Desk,
    browser: httpx.AsyncClient,
    database: Database,
    step: str | None,
    given: dict[str, Any],
    shown: str,
) -> None:
    """Somebody changes the draft between the look and the start."""
    check = await plan(browser, desk)
    seen = await checked(browser, check) if step else "an older page"
    ids = {"not_in": str(desk.not_in), "number": str(desk.number_id)}
    data = {
        name: [ids[each] for each in value] if isinstance(value, list) else ids.get(value, value)
        for name, value in given.items()
    }
    if step:
        await browser.post(check.replace("check", step), data=data)
    refused = await browser.post(check, data={"checked": seen, "skip": "true"})
    assert refused.status_code == 422
    assert "It is not what this page showed" in words(refused)
    assert shown in words(refused)
    assert await count(database, ScheduledWhatsappMessage) == 1, "one of somebody else"


async def test_a_group_that_can_be_written_to_again_was_not_looked_at(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    """The page says that it is left out: it would get the message all the same."""
    check = await plan(browser, desk)
    ids = [str(each) for each in (*desk.groups, desk.not_in)]
    await browser.post(check.replace("check", "groups"), data={"name": "Spring", "groups": ids})
    seen = await checked(browser, check)
    async with database.writing() as session:
        await make_membership(
            session,
            organization_id=desk.organization_id,
            number_id=desk.number_id,
            group_id=desk.not_in,
        )
    refused = await browser.post(check, data={"checked": seen, "skip": "true"})
    assert "It is not what this page showed" in words(refused)
    assert "3 groups at one every" in words(refused)
    assert "Started: 3 groups." in (await start(browser, check)).text


async def test_pause_resume_and_cancel_say_what_they_mean(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    page = await start(browser, await plan(browser, desk))
    here = page.url.path
    page = await browser.post(f"{here}/pause")
    assert "Paused. Nothing more leaves" in page.text
    assert "Resume" in words(page)
    question = await browser.get(f"{here}/resume")
    assert "A pause does not stop the clock" in words(question)
    assert "2 messages will be sent" in words(question)
    page = await browser.post(f"{here}/resume", data={"extend": "true"})
    assert "2 messages got more time." in page.text
    question = await browser.get(f"{here}/cancel")
    assert "2 messages will not be sent." in words(question)
    page = await browser.post(f"{here}/cancel")
    assert "Cancelled. 2 messages will not be sent." in page.text
    assert (await browser.get(f"{here}/cancel")).status_code == 409


async def test_what_did_not_arrive_is_sent_again_and_the_uncertain_is_decided(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    page = await start(browser, await plan(browser, desk))
    here, campaign = page.url.path, await campaign_id(database)
    first, second = await messages(database, campaign)
    await put(database, [first.id], **FAILED)
    await put(database, [second.id], **UNCERTAIN)
    page = await browser.get(here)
    assert "HTTP 400: no" in words(page), "the gateway's own words"
    assert "1 uncertain" in words(page)
    question = await browser.get(f"{here}/retry")
    assert "1 message that failed will be sent again." in words(question)
    assert "1 message is uncertain and is not touched." in words(question)
    page = await browser.post(f"{here}/retry", data={"number_id": ""})
    assert "1 message will be sent again." in page.text
    assert "It cannot answer for 1" in (await browser.post(f"{here}/verify")).text
    assert "1 message will count as sent." in words(await browser.get(f"{here}/arrived"))
    page = await browser.post(f"{here}/arrived")
    assert "Noted: 1 message arrived." in page.text


async def test_a_time_that_the_clocks_jump_over_is_said(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        own = update(Organization).where(Organization.id == desk.organization_id)
        await session.execute(own.values(timezone="America/New_York"))
    here = (await plan(browser, desk)).replace("/check", "/sending")
    given = {"number_id": str(desk.number_id), "delay_seconds": "2", "late_hours": "24"}
    later = given | {"when": "later", "at": "2026-03-08T02:30"}
    assert "It becomes 03:00 EDT." in unescape((await browser.post(here, data=later)).text)
    clear = await browser.post(here, data=later | {"at": "2026-03-08T03:30"})
    assert "It becomes" not in clear.text


async def test_the_text_is_taken_from_a_template_with_the_values_of_an_event(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    inside: dict[str, Any] = {"organization_id": desk.organization_id}
    text = "*{event_title}* {event_time}, {group_name}: {zoom_link} \\{!\\} {host}"
    async with database.writing() as session:
        template = await make_template(session, **inside, name="Invite", content=text)
        event = await make_event(session, **inside, title="Pottery {1}", timezone="Asia/Kolkata")
        link: dict[str, Any] = {"key": "zoom_link", "value": "https://example.org/z"}
        await make_event_variable(session, **inside, event_id=event.id, **link)
    here = (await plan(browser, desk)).replace("/check", "/content")
    assert "Invite" in words(await browser.get(here))

    taken = await browser.get(here, params={"template": str(template.id), "event": str(event.id)})
    assert "Pottery \\{1\\}" in unescape(taken.text)
    assert 'name="value:host"' in taken.text
    assert "{host} has no value in a campaign." in words(taken)
    area = re.search(r"<textarea[^>]*>(.*?)</textarea>", taken.text, re.DOTALL)
    assert area is not None
    typed = {"content": unescape(area[1]).lstrip("\n"), "value:host": "Jo {x}"}
    shown = await browser.post(here, data=typed | {"action": "preview"})
    assert "Jo {x}" in words(shown)
    assert "has no value" not in words(shown)
    refused = await browser.post(here, data=typed | {"value:host": ""})
    assert (refused.status_code, 'name="value:host"' in refused.text) == (422, True)

    saved = await browser.post(here, data=typed)
    assert saved.url.path.endswith("/edit/sending")
    async with database.reading() as session:
        (campaign,) = await session.scalars(select(NotificationCampaign))
    ready = fill(campaign.content, {"group_name": "Yoga"})
    assert ready.unresolved == ()
    assert re.fullmatch(
        r"\*Pottery \{1\}\* \d+:\d\d [ap]m, Yoga: https://example.org/z \{!\} Jo \{x\}",
        plain(ready.text),
    )


async def test_results_say_which_number_sent_after_a_retry_from_another_one(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    inside: dict[str, Any] = {"organization_id": desk.organization_id}
    async with database.writing() as session:
        other = await make_number(session, **inside, display_name="Reserve")
        own = update(WhatsappNumber).where(WhatsappNumber.id == desk.number_id)
        await session.execute(own.values(display_name="Main"))
        await make_membership(session, **inside, number_id=other.id, group_id=desk.groups[1])
    here = (await start(browser, await plan(browser, desk))).url.path
    first, second = await messages(database, await campaign_id(database))
    await put(database, [first.id], **SENT)
    await put(database, [second.id], **FAILED)

    await browser.post(f"{here}/retry", data={"number_id": str(other.id)})

    results = (await browser.get(here)).text.partition('id="rows"')[2]
    rows = dict(re.findall(r'<tr data-key="([^"]+)"(.*?)</tr>', results, re.DOTALL))
    assert "Main" in rows[str(first.id)]
    assert "Reserve" not in rows[str(first.id)]
    assert "Reserve" in rows[str(second.id)]


async def test_results_cut_what_the_gateway_said_as_the_outbox_does(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    here = (await start(browser, await plan(browser, desk))).url.path
    first, _ = await messages(database, await campaign_id(database))
    await put(database, [first.id], **FAILED | {"vps_error": "HTTP 400: " + "<p>no</p> " * 60})
    page = (await browser.get(here)).text
    (said,) = re.findall(r'<span class="cell-note cell-answer" dir="auto">(.*?)</span>', page)
    assert unescape(said).startswith("HTTP 400: <p>no</p>")
    assert len(unescape(said)) <= 140


async def test_results_are_filtered_and_exported(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    page = await start(browser, await plan(browser, desk))
    here, campaign = page.url.path, await campaign_id(database)
    first, _ = await messages(database, campaign)
    await put(database, [first.id], **SENT)
    sent = await browser.get(f"{here}?state=sent")
    assert "Pottery" in words(sent)
    assert "Yoga" not in words(sent).partition("Results")[2]
    assert "No group here" in words(await browser.get(f"{here}?state=failed"))
    file = await browser.get(f"{here}/results.csv")
    assert [row[0] for row in csv.reader(io.StringIO(file.text))][1:] == ["Pottery", "Yoga <b>"]


async def test_a_copy_begins_as_a_draft_and_a_draft_can_be_deleted(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    page = await start(browser, await plan(browser, desk))
    copy = await browser.post(f"{page.url.path}/duplicate")
    assert copy.url.path.endswith("/edit/check")
    assert "Spring (copy)" in words(copy)
    gone = await browser.post(copy.url.path.replace("/edit/check", "/delete"))
    assert gone.url.path == "/campaigns"
    assert await count(database) == 1


async def test_a_scheduled_campaign_is_changed_in_the_same_steps(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    check = await plan(browser, desk, when="later", at="2026-12-24T18:30")
    page = await start(browser, check)
    assert "Scheduled for 2 groups." in page.text
    await browser.post(check.replace("check", "content"), data={"content": "New text"})
    written = await messages(database, await campaign_id(database))
    assert {each.content for each in written} == {"New text"}
    assert (await browser.post(check)).url.path == page.url.path


async def test_back_after_the_start_leads_to_the_campaign(
    desk: Desk, browser: httpx.AsyncClient, database: Database
) -> None:
    check = await plan(browser, desk)
    started = await start(browser, check)
    for step in ("groups", "content", "sending", "check"):
        page = await browser.get(check.replace("check", step))
        assert (page.status_code, page.url.path) == (200, started.url.path), step
        again = await browser.post(check.replace("check", step), data={"content": "Other"})
        assert (again.status_code, again.url.path) == (200, started.url.path), step
        assert "A campaign that is being sent cannot be changed." in again.text
    written = await messages(database, await campaign_id(database))
    assert len(written) == 2
    assert all(each.content.startswith("Hello") for each in written)


async def test_the_list_shows_states_and_is_searched(
    *, desk: Desk, browser: httpx.AsyncClient, clock: ManualClock
) -> None:
    await start(browser, await plan(browser, desk))
    clock.advance(1)
    await plan(browser, desk)
    page = words(await browser.get("/campaigns"))
    assert "2 left, done by" in page
    assert "2 groups, not started" in page
    assert "not started" not in words(await browser.get("/campaigns?tab=running"))
    assert "No campaigns here" in words(await browser.get("/campaigns?q=autumn"))


async def test_a_viewer_sees_and_cannot_act(
    desk: Desk, running: RunningApp, browser: httpx.AsyncClient, cast: Cast
) -> None:
    page = await start(browser, await plan(browser, desk))
    async with logged_in(running, cast.viewer) as viewer:
        seen = words(await viewer.get(page.url.path))
        assert "Pottery" in seen
        assert "Pause" not in seen
        assert (await viewer.post(f"{page.url.path}/pause")).status_code == 403
        assert (await viewer.get("/campaigns/new")).status_code == 403
