"""Workshops and webinars in the dashboard, as a person without JavaScript."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update
from tests.integration.events.studio import STARTS, Studio, make_member_group, messages_of
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast
from tests.support.clock import NOW, ManualClock
from tests.support.factories import make_number

from groupline.db import Database
from groupline.models import (
    Event,
    EventGroup,
    EventVariable,
    ScheduledWhatsappMessage,
    Template,
    WhatsappNumber,
)

LINK = {"value:zoom_link": "https://example.org/zoom"}


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept": "text/html", "Origin": BASE_URL}
    async with running.client(headers=headers, follow_redirects=True) as browser:
        await browser.post("/login", data={"email": cast.operator.email, "password": PASSWORD})
        yield browser


def words(response: httpx.Response) -> str:
    """What a person reads, without the markup."""
    body = response.text.partition('id="content"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def url(studio: Studio, rest: str = "") -> str:
    return f"/workshops/{studio.event_id}{rest}"


async def run(browser: httpx.AsyncClient, studio: Studio) -> httpx.Response:
    await browser.post(url(studio, "/variables"), data=LINK)
    return await browser.post(url(studio, "/run"))


async def test_the_list_says_what_is_missing_and_how_far_it_is(
    studio: Studio, browser: httpx.AsyncClient
) -> None:
    page = await browser.get("/workshops")
    assert "Pottery" in words(page)
    assert "Not ready" in words(page)
    assert "Without a value: {zoom_link}." in words(page)
    assert "Wed 04 Mar 2026, 19:00 IST" in words(page)
    await run(browser, studio)
    page = await browser.get("/workshops")
    assert "Ready" in words(page)
    assert "0 of 15 sent" in words(page)
    assert "No webinar planned" in words(await browser.get("/webinars"))
    assert "No workshop matches" in words(await browser.get("/workshops?q=nothing"))


async def test_every_page_says_what_is_so_of_the_number_until_the_event_begins(
    *, studio: Studio, browser: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    await run(browser, studio)
    await browser.post(url(studio, "/preflight"))
    assert "nothing is sent" not in words(await browser.get("/workshops"))
    clock.advance(1)
    async with database.writing() as session:
        paused = update(WhatsappNumber).where(WhatsappNumber.id == studio.number_id)
        await session.execute(paused.values(paused_at=clock.now()))
    assert ": nothing is sent." in words(await browser.get("/workshops"))
    await browser.post(url(studio, "/preflight"))
    assert "Look at this before it begins" in words(await browser.get(url(studio)))
    assert "“Pottery” is not ready" in words(await browser.get("/"))
    clock.advance((STARTS - clock.now()).total_seconds())
    assert "Look at this before it begins" not in words(await browser.get(url(studio)))
    assert "is not ready" not in words(await browser.get("/"))


async def test_a_workshop_is_planned_in_the_zone_that_the_form_names(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    form = await browser.get("/workshops/new")
    assert 'value="Asia/Kolkata" selected' in form.text
    data = {
        "title": "Glazing",
        "starts": "2026-03-08T19:00",
        "ends": "2026-03-08T21:00",
        "timezone": "America/New_York",
        "number_id": str(studio.number_id),
        "sequence_id": str(studio.sequence_id),
    }
    page = await browser.post("/workshops", data=data)
    assert page.status_code == 200
    assert "Sun 08 Mar 2026, 19:00 EDT" in words(page)
    assert "Choose its groups." in words(page)
    async with database.reading() as session:
        made = (await session.scalars(select(Event).where(Event.title == "Glazing"))).one()
    assert made.starts_at == datetime(2026, 3, 8, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"title": ""}, "The title needs 1 to 200 printable characters."),
        ({"starts": "soon"}, "Choose a date and a time."),
        ({"ends": "2026-03-08T18:00"}, "The end must be after the start."),
        ({"timezone": "Mars/Olympus"}, "The time zone is not a time zone like Europe/Berlin."),
    ],
)
async def test_a_refused_form_says_why_and_keeps_what_was_typed(
    studio: Studio, browser: httpx.AsyncClient, changed: dict[str, str], why: str
) -> None:
    data = {"title": "Glazing", "starts": "2026-03-08T19:00", "timezone": "Asia/Kolkata"}
    page = await browser.post("/workshops", data=data | changed)
    assert page.status_code == 422
    assert why in words(page)
    assert unescape((data | changed)["title"]) in unescape(page.text)


async def test_running_asks_for_what_is_missing_and_then_runs(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    asked = await browser.post(url(studio, "/run"))
    assert asked.url.path == url(studio, "/variables")
    assert "Nothing was scheduled yet" in words(asked)
    assert "{zoom_link} has no value." in words(asked)
    assert 'name="value:zoom_link"' in asked.text

    empty = {"value:zoom_link": " ", "then": "run"}
    refused = await browser.post(url(studio, "/variables"), data=empty)
    assert refused.status_code == 422
    assert "{zoom_link} has no value." in words(refused)
    page = await browser.post(url(studio, "/variables"), data={**LINK, "then": "run"})
    assert "Scheduled 15 messages." in page.text
    assert len(await messages_of(database, studio.event_id)) == 15
    assert "The day before" in words(page)
    assert "3 scheduled" in words(page)
    again = await browser.post(url(studio, "/run"))
    assert "Scheduled 0 messages. 15 were there already." in again.text


async def test_a_mistake_in_a_template_leads_to_the_template(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        wrong = update(Template).where(Template.id == studio.template_id)
        await session.execute(wrong.values(content="Join {{zoom}}"))
    page = await browser.post(url(studio, "/run"))
    assert f"/templates/{studio.template_id}" in page.text
    assert "{{zoom}}" in words(page)


async def test_values_are_kept_and_offered_to_what_is_scheduled(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    await run(browser, studio)
    data = {"value:zoom_link": "https://new", "new_name": "{host}", "new_value": "line 1\r\nline 2"}
    page = await browser.post(url(studio, "/variables"), data=data)
    assert "15 scheduled messages have an older text" in words(page)
    async with database.reading() as session:
        stored = await session.execute(select(EventVariable.key, EventVariable.value))
        assert {row.key: row.value for row in stored} == {
            "zoom_link": "https://new",
            "host": "line 1\nline 2",
        }
    page = await browser.post(url(studio, "/refresh-texts"))
    assert "15 messages have the new text." in page.text
    rows = await messages_of(database, studio.event_id)
    assert {row.content for row in rows} == {"Pottery at 7:00 pm: https://new"}
    await browser.post(url(studio, "/variables"), data={"value:zoom_link": ""})
    page = await browser.post(url(studio, "/refresh-texts"))
    assert "15 keep the old one: {zoom_link} has no value." in words(page)
    wrong = await browser.post(url(studio, "/variables"), data={"new_name": "Zoom Link"})
    assert wrong.status_code == 422
    assert "is no name for a variable" in words(wrong)


async def groups_of(database: Database, studio: Studio) -> set[UUID]:
    async with database.reading() as session:
        own = select(EventGroup.group_id).where(EventGroup.event_id == studio.event_id)
        return set(await session.scalars(own))


async def test_groups_are_picked_and_taking_one_out_asks_about_its_messages(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    await run(browser, studio)
    page = await browser.get(url(studio, "/groups"))
    assert len(re.findall(r"\schecked[\s>]", page.text)) == 3
    kept = {"groups": [str(each) for each in studio.group_ids[:2]]}
    asked = await browser.post(url(studio, "/groups"), data=kept)
    assert asked.status_code == 422
    assert "Cancel 5 scheduled messages too" in words(asked)
    assert len(await groups_of(database, studio)) == 3
    page = await browser.post(url(studio, "/groups"), data={**kept, "cancel_messages": "true"})
    assert "5 messages are cancelled." in page.text
    assert await groups_of(database, studio) == set(studio.group_ids[:2])
    await browser.post(url(studio, "/groups"), data={"groups_matching": ""})
    assert await groups_of(database, studio) == set(studio.group_ids)


async def test_a_group_that_cannot_be_written_to_is_not_lost_by_saving(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        news = await make_member_group(
            session, studio.organization_id, studio.number_id, "News", announce_only=True
        )
        session.add(
            EventGroup(
                organization_id=studio.organization_id,
                event_id=studio.event_id,
                group_id=news,
                created_at=NOW,
            )
        )
    page = await browser.get(url(studio, "/groups"))
    ticked = re.findall(r'name="groups"\s+value="([^"]+)"[^>]*\schecked', page.text)
    assert {UUID(each) for each in ticked} == {*studio.group_ids, news}


async def test_rescheduling_shows_the_difference_first(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    await run(browser, studio)
    asked = {"starts": "2026-03-05T20:00", "timezone": "Asia/Kolkata"}
    page = await browser.get(url(studio, "/reschedule"), params=asked)
    assert "Nothing has been changed yet." in words(page)
    assert "Wed 04 Mar 2026, 18:00 IST" in words(page)
    assert "Thu 05 Mar 2026, 19:00 IST" in words(page)
    assert "15 messages get another text" in words(page)
    page = await browser.post(url(studio, "/reschedule"), data=asked)
    assert "Moved. 15 messages go at their new times." in page.text
    rows = await messages_of(database, studio.event_id)
    assert {row.content for row in rows} == {"Pottery at 8:00 pm: https://example.org/zoom"}
    assert STARTS + timedelta(days=1, hours=1) in {row.scheduled_for for row in rows}
    wrong = await browser.get(url(studio, "/reschedule"), params={**asked, "starts": "soon"})
    assert wrong.status_code == 422
    assert "Choose a date and a time." in words(wrong)


async def test_the_messages_of_a_step_are_shown_group_by_group(
    studio: Studio, browser: httpx.AsyncClient
) -> None:
    await run(browser, studio)
    page = await browser.get(url(studio, f"/steps/{studio.step_ids['Start']}"))
    assert "Group 0" in words(page)
    assert "At the start" in words(page)
    assert "3 of 3 messages" in words(page)
    assert (await browser.get(url(studio, "/steps/nothing"))).status_code == 404


async def test_sending_now_happens_once_for_each_form(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    form = await browser.get(url(studio, "/send"))
    draft = re.search(r'name="draft" value="([^"]+)"', form.text)
    assert draft is not None
    data = {"draft": draft[1], "content": "Live: {zoom_link}"}
    refused = await browser.post(url(studio, "/send"), data=data)
    assert refused.status_code == 422
    assert "{zoom_link} has no value." in words(refused)
    await browser.post(url(studio, "/variables"), data=LINK)
    sent = await browser.post(url(studio, "/send"), data=data)
    assert "Sending to 3 groups." in sent.text
    assert "Sent by hand" in words(sent)
    again = await browser.post(url(studio, "/send"), data=data)
    assert "It was not sent again." in again.text
    assert len(await messages_of(database, studio.event_id)) == 3


async def test_what_is_sent_now_from_a_paused_number_is_said_to_wait(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        number = update(WhatsappNumber).where(WhatsappNumber.id == studio.number_id)
        await session.execute(number.values(paused_at=NOW))
    sent = await browser.post(url(studio, "/send"), data={"content": "Live"})
    assert "It waits to be sent to 3 groups. The number is paused since" in sent.text


async def test_another_number_says_what_follows_and_where_it_is_not(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    seconds = STARTS + timedelta(seconds=7)
    async with database.writing() as session:
        own = update(Event).where(Event.id == studio.event_id)
        await session.execute(own.values(starts_at=seconds))
    await run(browser, studio)
    async with database.writing() as session:
        other = await make_number(session, organization_id=studio.organization_id)
    form = await browser.get(url(studio, "/edit"))
    assert "15 messages are scheduled" in words(form)
    data = {
        "title": "Pottery",
        "starts": "2026-03-04T19:00",
        "timezone": "Asia/Kolkata",
        "number_id": str(other.id),
        "sequence_id": str(studio.sequence_id),
    }
    shown = words(await browser.post(url(studio, "/edit"), data=data))
    assert "15 scheduled messages go from the new number." in shown
    assert "cannot write to 3 of its groups: Group 0 (" in shown
    rows = await messages_of(database, studio.event_id)
    assert {row.number_id for row in rows} == {studio.number_id}
    # What was seen is another choice than this one: it is shown anew.
    stale = data | {"seen": f"{studio.number_id}/{studio.sequence_id}"}
    assert "Nothing has been saved yet." in words(
        await browser.post(url(studio, "/edit"), data=stale)
    )
    page = await browser.post(
        url(studio, "/edit"), data=data | {"seen": f"{other.id}/{studio.sequence_id}"}
    )
    assert "15 scheduled messages now go from the new number." in page.text
    assert "cannot write to 3 of its groups" in page.text
    async with database.reading() as session:
        kept = await session.scalar(select(Event.starts_at).where(Event.id == studio.event_id))
    assert kept == seconds


async def test_cancelling_tells_the_consequences_and_a_copy_starts_anew(
    studio: Studio, browser: httpx.AsyncClient, database: Database
) -> None:
    await run(browser, studio)
    copy = await browser.post(url(studio, "/duplicate"))
    assert "Pottery (copy)" in copy.text
    page = await browser.get(url(studio, "/cancel"))
    assert "15 scheduled messages are cancelled." in words(page)
    assert "Or delete it" in words(page)
    done = await browser.post(url(studio, "/cancel"))
    assert "Cancelled, with 15 messages." in done.text
    async with database.writing() as session:
        message = ScheduledWhatsappMessage
        assert set(await session.scalars(select(message.status))) == {"cancelled"}
    copied = f"/workshops/{copy.url.path.split('/')[2]}"
    await browser.post(f"{copied}/run")
    asked = await browser.get(f"{copied}/cancel")
    assert "What is scheduled goes with it." in words(asked)
    assert 'name="cancel_messages" value="true"' in asked.text
    assert (await browser.post(f"{copied}/delete")).status_code == 409
    deleted = await browser.post(f"{copied}/delete", data={"cancel_messages": "true"})
    assert "The workshop is deleted." in deleted.text


async def test_a_viewer_sees_and_changes_nothing(
    studio: Studio, running: RunningApp, cast: Cast
) -> None:
    headers = {"Accept": "text/html", "Origin": BASE_URL}
    async with running.client(headers=headers, follow_redirects=True) as viewer:
        await viewer.post("/login", data={"email": cast.viewer.email, "password": PASSWORD})
        page = await viewer.get(url(studio))
        assert page.status_code == 200
        assert "Run the sequence" not in words(page)
        for path in ("/run", "/cancel", "/groups", "/variables", "/send", "/delete"):
            assert (await viewer.post(url(studio, path))).status_code == 403


async def test_a_time_that_the_clocks_jump_over_is_said_wherever_it_is_chosen(
    browser: httpx.AsyncClient, studio: Studio
) -> None:
    said = "It becomes 03:00 EDT."
    typed = {"title": "Night", "starts": "2026-03-08T02:30", "timezone": "America/New_York"}

    assert said in unescape((await browser.post("/workshops", data=typed)).text)
    asked = {"starts": typed["starts"], "timezone": typed["timezone"]}
    preview = await browser.get(url(studio, "/reschedule"), params=asked)
    assert said in words(preview)
    assert said in unescape((await browser.post(url(studio, "/reschedule"), data=asked)).text)
    table = "title,starts,timezone\nDawn,2026-03-08 02:30,America/New_York\n"
    assert said in words(await browser.post("/workshops/import", data={"text": table}))


async def test_an_hour_that_comes_twice_keeps_the_one_that_was_chosen(
    browser: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    second = datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    own = Event.id == studio.event_id
    async with database.writing() as session:
        moved = {"starts_at": second, "ends_at": second + timedelta(minutes=20)}
        values = moved | {"timezone": "America/New_York"}
        await session.execute(update(Event).where(own).values(**values))
    assert "The second is taken: 01:30 EST." in words(await browser.get(url(studio)))
    form = {
        "title": "Pottery",
        "starts": "2026-11-01T01:30",
        "ends": "2026-11-01T01:50",
        "timezone": "America/New_York",
    }

    saved = await browser.post(url(studio, "/edit"), data=form)

    assert "The second is taken: 01:30 EST." in words(saved)
    async with database.reading() as session:
        event = (await session.scalars(select(Event).where(own))).one()
    assert (event.starts_at, event.ends_at) == (second, second + timedelta(minutes=20))
    first = await browser.post(url(studio, "/edit"), data=form | {"starts": "2026-11-01T01:29"})
    assert "The first is taken: 01:29 EDT." in words(first)
