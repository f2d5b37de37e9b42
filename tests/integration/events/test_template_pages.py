"""The pages on templates and sequences: what a person sees, is told, and does without a script."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest
from sqlalchemy import select
from tests.integration.events.studio import PERSON, Studio, messages_of
from tests.integration.groups.test_pages import signed_in, words
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_template

from groupline.db import Database
from groupline.events.run import run_sequence
from groupline.events.values import set_values
from groupline.models import SequenceStep, Template


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(running, cast.operator) as browser:
        yield browser


@pytest.fixture
async def run(studio: Studio, database: Database) -> Studio:
    own = (studio.organization_id, studio.event_id)
    async with database.writing() as session:
        await set_values(session, *own, {"zoom_link": "https://e.org"}, actor=PERSON, now=NOW)
        await run_sequence(session, *own, actor=PERSON, now=NOW)
    return studio


async def templates(database: Database) -> list[Template]:
    async with database.reading() as session:
        return list(await session.scalars(select(Template).order_by(Template.name)))


def ids(page: httpx.Response) -> list[str]:
    """Of the steps, in the order of the page."""
    return re.findall(r'name="step" value="([^"]+)"', page.text)


# --- templates -------------------------------------------------------------------------------


async def test_a_first_template_is_written_previewed_and_saved(
    browser: httpx.AsyncClient, database: Database
) -> None:
    assert "No templates yet" in words(await browser.get("/templates"))
    form = {"name": "Hello", "content": "*{event_title}* at {event_time}\r\n<i>{zoom_link}</i>"}

    preview = await browser.post("/templates/new", data=form | {"action": "preview"})
    assert preview.status_code == 200
    assert "<strong>Example workshop</strong> at 7:00 pm<br>&lt;i&gt;" in preview.text
    assert "<mark>{zoom_link}</mark>" in preview.text
    assert 'value="Hello"' in preview.text
    assert await templates(database) == []

    saved = await browser.post("/templates/new", data=form)
    assert "Saved “Hello”." in saved.text
    (stored,) = await templates(database)
    assert stored.content == "*{event_title}* at {event_time}\n<i>{zoom_link}</i>"
    listed = words(await browser.get("/templates"))
    assert "{zoom_link}" in listed
    assert "no sequence" in listed


@pytest.mark.parametrize("text", ["{zoom link}", "{{zoom}}", "{Zoom_Link}"])
async def test_what_is_no_variable_is_pointed_at_and_what_was_typed_stays(
    browser: httpx.AsyncClient, database: Database, text: str
) -> None:
    page = await browser.post("/templates/new", data={"name": "x", "content": f"Join: {text}"})
    assert page.status_code == 422
    assert f"Line 1: “{text}”" in words(page)
    assert f"Join: {text}" in unescape(page.text)
    assert await templates(database) == []


async def test_a_misspelt_variable_is_recognised_while_writing(browser: httpx.AsyncClient) -> None:
    form = {"content": "{event_titel} {zoom_link}", "action": "preview"}
    seen = words(await browser.post("/templates/new", data=form))
    assert "Did you mean {event_title} ?" in seen


async def test_the_preview_takes_the_values_of_an_event(
    browser: httpx.AsyncClient, run: Studio
) -> None:
    form = {"content": "{event_title}: {zoom_link} {x}", "action": "preview"}
    page = await browser.post("/templates/new", data=form | {"event": str(run.event_id)})
    assert "With the values of Pottery" in words(page)
    assert '<a href="https://e.org"' in page.text
    assert "<mark>{x}</mark>" in page.text


async def test_scheduled_messages_are_offered_the_new_text(
    browser: httpx.AsyncClient, run: Studio, database: Database
) -> None:
    url = f"/templates/{run.template_id}"
    assert "earlier text" not in words(await browser.get(url))

    saved = await browser.post(url, data={"name": "Reminder", "content": "New: {zoom_link}"})
    assert "15 scheduled messages have an earlier text" in words(saved)
    updated = await browser.post(f"{url}/update-pending")

    assert "15 messages have the new text." in updated.text
    assert "earlier text" not in words(updated)
    texts = {each.content for each in await messages_of(database, run.event_id)}
    assert texts == {"New: https://e.org"}


async def test_what_a_sequence_sends_is_not_deleted_and_the_page_says_by_whom(
    browser: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    page = await browser.post(f"/templates/{studio.template_id}/remove")
    assert "Not deleted. It is sent by the sequence “Reminders”." in unescape(page.text)
    copy = await browser.post(f"/templates/{studio.template_id}/duplicate")
    assert "Made “Reminder (copy)”." in copy.text
    gone = await browser.post(f"{copy.url.path}/remove")
    assert "Deleted." in gone.text
    assert [each.name for each in await templates(database)] == ["Reminder"]


async def test_a_viewer_sees_templates_and_sequences_and_changes_neither(
    running: RunningApp, cast: Cast, studio: Studio
) -> None:
    async with signed_in(running, cast.viewer) as viewer:
        template = await viewer.get(f"/templates/{studio.template_id}")
        sequence = await viewer.get(f"/sequences/{studio.sequence_id}")
        refused = await viewer.post(f"/sequences/{studio.sequence_id}/order", data={})
    assert (template.status_code, sequence.status_code, refused.status_code) == (200, 200, 403)
    for page in (template, sequence):
        assert "Delete" not in words(page)
        assert "Save" not in words(page)


# --- sequences -------------------------------------------------------------------------------


async def test_a_sequence_is_made_step_by_step(
    browser: httpx.AsyncClient, database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        template = await make_template(session, organization_id=cast.organization_id, name="Hi")
    assert "No sequences yet" in words(await browser.get("/sequences"))
    made = await browser.post("/sequences", data={"name": "Reminders"})
    url, chosen = made.url.path, {"template": str(template.id)}
    assert "No steps yet" in words(made)

    await browser.post(f"{url}/steps", data=chosen | {"kind": "clock", "day": "-1", "at": "10:00"})
    page = await browser.post(
        f"{url}/steps",
        data=chosen | {"offset": "1 day 2 h before", "late": "10", "label": "Early"},
    )

    assert "Added: 1 day 2 hours before the start." in page.text
    seen = words(page)
    assert "The day before, at 10:00" in seen
    assert "Early · Hi · sent up to 10 min late" in seen
    async with database.reading() as session:
        steps = list(await session.scalars(select(SequenceStep).order_by(SequenceStep.position)))
    assert [(step.offset_minutes, step.day_offset) for step in steps] == [(None, -1), (-1560, None)]
    times = words(await browser.get(f"{url}?starts_at=2026-03-08T19:00"))
    assert "Sat 07 Mar 2026, 17:00 IST" in times
    assert "Sat 07 Mar 2026, 10:00 IST" in times


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"offset": "soon"}, "Write it like"),
        ({"template": ""}, "Choose a template."),
        ({"late": "0"}, "Between 1 and"),
        ({"late": "x"}, "In minutes: 30."),
        ({"kind": "clock", "at": "25:00"}, "A time of day"),
        ({"kind": "clock", "at": "10:00", "day": "x"}, "Choose a day."),
        ({"offset": "9999 days before"}, "At most 366 days"),
        ({"offset": "10 min before"}, "It is the same as step 3, “Ten minutes before”:"),
    ],
)
async def test_a_step_that_cannot_be_says_why_and_keeps_what_was_typed(
    browser: httpx.AsyncClient, studio: Studio, change: dict[str, str], said: str
) -> None:
    good = {"template": str(studio.template_id), "offset": "5 min before", "label": "Mine"}
    for url in ("steps", f"steps/{studio.step_ids['Start']}"):
        page = await browser.post(f"/sequences/{studio.sequence_id}/{url}", data=good | change)
        assert page.status_code == 422
        assert said in words(page)
        assert 'value="Mine"' in page.text


async def test_steps_are_reordered_with_buttons_and_as_a_whole(
    browser: httpx.AsyncClient, studio: Studio
) -> None:
    url = f"/sequences/{studio.sequence_id}"
    order = ids(await browser.get(url))

    up = await browser.post(f"{url}/order", data={"step": order, "move": f"{order[2]}:up"})
    assert ids(up) == [order[0], order[2], order[1], *order[3:]]
    down = await browser.post(f"{url}/order", data={"step": ids(up), "move": f"{order[2]}:down"})
    assert ids(down) == order
    turned = await browser.post(f"{url}/order", data={"step": order[::-1]})
    assert ids(turned) == order[::-1]


async def test_a_step_is_edited_and_events_are_brought_in_line(
    browser: httpx.AsyncClient, run: Studio, database: Database
) -> None:
    url = f"/sequences/{run.sequence_id}"
    step = run.step_ids["An hour before"]
    form = await browser.get(f"{url}/steps/{step}")
    assert 'value="1 hour before the start"' in form.text
    typed = {"template": str(run.template_id), "offset": "90 min before", "label": "Moved"}

    saved = await browser.post(f"{url}/steps/{step}", data=typed)
    assert "Saved: 1 hour 30 minutes before the start." in saved.text
    assert "1 event was scheduled with earlier steps" in words(saved)
    assert "3 to move" in words(saved)
    removed = await browser.post(f"{url}/steps/{run.step_ids['Start']}/remove")
    assert "3 to call off" in words(removed)
    done = await browser.post(f"{url}/update-events")

    assert "Messages: 3 moved, 3 called off." in unescape(done.text)
    assert "earlier steps" not in words(done)
    off = [m for m in await messages_of(database, run.event_id) if m.status == "cancelled"]
    assert {m.step_id for m in off} == {run.step_ids["Start"]}
    assert {m.error_message for m in off} == {"The step was taken out of the sequence."}


async def test_a_sequence_in_use_is_not_deleted_and_a_copy_is(
    browser: httpx.AsyncClient, studio: Studio
) -> None:
    page = await browser.post(f"/sequences/{studio.sequence_id}/remove")
    assert "Not deleted. It is planned for “Pottery”." in unescape(page.text)
    copy = await browser.post(f"/sequences/{studio.sequence_id}/duplicate")
    assert len(ids(copy)) == 5
    renamed = await browser.post(f"{copy.url.path}/rename", data={"name": "Reminders"})
    assert renamed.status_code == 422
    assert "There is a sequence called “Reminders” already." in words(renamed)
    assert "Deleted." in (await browser.post(f"{copy.url.path}/remove")).text


@pytest.mark.parametrize(
    "path", ["/templates/nothing", "/sequences/nothing", "/sequences/x/steps/y"]
)
async def test_what_is_not_there_is_a_page_that_says_so(
    browser: httpx.AsyncClient, path: str
) -> None:
    assert (await browser.get(path)).status_code == 404
