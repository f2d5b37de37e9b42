"""Templates over the API: written, found, shown, kept from leaving as they are."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import (
    make_event,
    make_event_group,
    make_event_variable,
    make_group,
    make_message,
    make_number,
    make_sequence,
    make_step,
    make_template,
)
from tests.support.media import media_server

from groupline.db import Database
from groupline.ids import new_id
from groupline.models import JournalEntry, Template
from groupline.orgs.rules import Scope

URL = "/api/v1/templates"
HELLO = "*{event_title}* at {event_time}: {zoom_link}"


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.admin, Scope.READ, Scope.WRITE) as client:
        yield client


async def write(client: httpx.AsyncClient, name: str = "Hello", content: str = HELLO) -> Any:
    response = await client.post(URL, json={"name": name, "content": content})
    assert response.status_code == 201, response.text
    return response.json()


async def test_a_template_is_stored_as_it_was_written_and_names_its_variables(
    client: httpx.AsyncClient, database: Database
) -> None:
    made = await write(client, "  One  hour before ", "Line 1\r\n{b} {a} {b} \\{c\\}")

    assert made["name"] == "One hour before"
    assert made["content"] == "Line 1\n{b} {a} {b} \\{c\\}"
    assert made["variables"] == ["b", "a"]
    assert (await client.get(f"{URL}/{made['id']}")).json() == made
    async with database.reading() as session:
        statement = select(JournalEntry).where(JournalEntry.subject == "template")
        entry = (await session.scalars(statement)).one()
    assert (entry.action, entry.data["name"]) == ("template.created", "One hour before")
    assert "Line 1" not in str(entry.data)


@pytest.mark.parametrize("text", ["{zoom link}", "{{zoom}}", "{Zoom_Link}", "{zoom", "zoom}"])
async def test_what_is_no_variable_is_refused_and_pointed_at(
    client: httpx.AsyncClient, text: str
) -> None:
    response = await client.post(URL, json={"name": "x", "content": f"Join\nhere: {text}"})

    answer = response.json()
    assert (response.status_code, answer["code"]) == (422, "text_problems")
    (problem,) = answer["problems"]
    assert problem["text"] == ("}" if text == "zoom}" else text)
    assert problem["line"] == 2
    assert "Line 2" in answer["fields"]["content"]
    assert (await client.get(URL)).json()["total"] == 0


async def test_everything_that_is_wrong_is_named_at_once(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json={"name": " ", "content": ""})
    assert response.json()["fields"].keys() == {"name", "content"}


async def test_a_name_belongs_to_one_template(client: httpx.AsyncClient) -> None:
    first = await write(client, "Hello")
    other = await write(client, "Other")

    again = await client.post(URL, json={"name": "Hello", "content": "x"})
    renamed = await client.patch(f"{URL}/{other['id']}", json={"name": "Hello"})
    itself = await client.patch(f"{URL}/{first['id']}", json={"name": "Hello", "content": "x"})

    assert [each.status_code for each in (again, renamed, itself)] == [422, 422, 200]
    assert "“Hello”" in again.json()["fields"]["name"]


async def test_a_change_leaves_what_it_does_not_name(client: httpx.AsyncClient) -> None:
    made = await write(client)
    changed = (await client.patch(f"{URL}/{made['id']}", json={"content": "New"})).json()
    assert (changed["name"], changed["content"]) == ("Hello", "New")
    assert (await client.patch(f"{URL}/{made['id']}", json={})).json() == changed


async def test_search_finds_every_word_in_names_and_texts(client: httpx.AsyncClient) -> None:
    await write(client, "Reminder one", "We start soon")
    await write(client, "Reminder two", "50% off")
    await write(client, "Thanks", "Soon again")

    async def found(q: str) -> list[str]:
        answer = (await client.get(URL, params={"q": q})).json()
        assert answer["total"] == len(answer["items"])
        return [each["name"] for each in answer["items"]]

    assert await found("soon") == ["Reminder one", "Thanks"]
    assert await found("REMINDER soon") == ["Reminder one"]
    assert await found("%") == ["Reminder two"]
    assert await found("_") == []


async def test_a_long_list_goes_on_where_it_ended(client: httpx.AsyncClient) -> None:
    names = ["b", "A", "c", "B", "a"]
    for name in names:
        await write(client, name)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(URL, params=params)).json()
        assert page["total"] == 5
        seen += [each["name"] for each in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(names)
    assert [each.lower() for each in seen] == sorted(each.lower() for each in names)


async def test_copies_get_names_of_their_own(client: httpx.AsyncClient) -> None:
    made = await write(client, "n" * 100)
    copies = [(await client.post(f"{URL}/{made['id']}/duplicate")).json() for _ in range(3)]
    names = [each["name"] for each in copies]
    assert names == [f"{'n' * 93} (copy)", f"{'n' * 91} (copy 2)", f"{'n' * 91} (copy 3)"]
    assert {each["content"] for each in copies} == {HELLO}


async def test_media_is_looked_at_before_it_is_stored(
    client: httpx.AsyncClient,
) -> None:
    async with media_server() as server:
        body = {"name": "x", "content": "", "mediaUrl": f"{server.url}/file.png"}
        refused = await client.post(URL, json=body)
    assert refused.status_code == 422
    assert "private network" in refused.json()["fields"]["mediaUrl"]


# --- what a sequence sends -------------------------------------------------------------------


@pytest.fixture
async def used(database: Database, cast: Cast) -> Template:
    async with database.writing() as session:
        organization = {"organization_id": cast.organization_id}
        template = await make_template(session, **organization, name="Hello", content=HELLO)
        sequence = await make_sequence(session, **organization, name="Before <b>")
        await make_step(session, **organization, template_id=template.id, sequence_id=sequence.id)
    return template


async def test_what_a_sequence_sends_is_not_removed(
    client: httpx.AsyncClient, used: Template
) -> None:
    refused = await client.delete(f"{URL}/{used.id}")

    answer = refused.json()
    assert (refused.status_code, answer["code"], answer["state"]) == (
        409,
        "template_in_use",
        "in_use",
    )
    assert [each["name"] for each in answer["sequences"]] == ["Before <b>"]
    listed = (await client.get(URL)).json()["items"]
    assert [each["name"] for each in listed[0]["sequences"]] == ["Before <b>"]


async def test_what_was_sent_before_stays_and_gives_its_name_back(
    client: httpx.AsyncClient, used: Template, cast: Cast, database: Database
) -> None:
    async with database.writing() as session:
        step = await make_step(
            session,
            organization_id=cast.organization_id,
            template_id=(await make_template(session, organization_id=cast.organization_id)).id,
            removed_at=NOW,
        )
    assert (await client.delete(f"{URL}/{step.template_id}")).status_code == 204
    assert (await client.get(f"{URL}/{step.template_id}")).status_code == 404
    async with database.reading() as session:
        kept = await session.get(Template, step.template_id)
    assert kept is not None
    assert kept.removed_at is not None
    assert kept.name.startswith("Template")
    assert "removed" in kept.name


async def test_what_nobody_used_is_gone(client: httpx.AsyncClient, database: Database) -> None:
    made = await write(client)
    assert (await client.delete(f"{URL}/{made['id']}")).status_code == 204
    assert (await client.delete(f"{URL}/{made['id']}")).status_code == 404
    async with database.reading() as session:
        assert (await session.scalars(select(Template))).all() == []
    await write(client)


# --- previews --------------------------------------------------------------------------------


async def test_a_preview_with_given_values_says_what_is_missing(
    client: httpx.AsyncClient,
) -> None:
    made = await write(client)
    answer = await client.post(
        f"{URL}/{made['id']}/preview", json={"values": {"event_title": "*Pottery* <b>"}}
    )
    preview = answer.json()
    assert preview["text"] == "**Pottery* <b>* at {event_time}: {zoom_link}"
    assert "<mark>{zoom_link}</mark>" in preview["html"]
    assert "<b>" not in preview["html"]
    assert preview["unresolved"] == ["{event_time}", "{zoom_link}"]
    assert [(each["name"], each["value"]) for each in preview["variables"]] == [
        ("event_title", "*Pottery* <b>"),
        ("event_time", None),
        ("zoom_link", None),
    ]


async def test_a_preview_with_the_values_of_an_event_is_in_its_zone(
    client: httpx.AsyncClient, database: Database, cast: Cast
) -> None:
    organization = {"organization_id": cast.organization_id}
    async with database.writing() as session:
        event = await make_event(
            session, **organization, title="Pottery", timezone="America/New_York", starts_at=NOW
        )
        await make_event_variable(
            session, **organization, event_id=event.id, key="zoom_link", value="https://e.org/{x}"
        )
        group = await make_group(session, **organization, group_name="Dawn")
        await make_event_group(session, **organization, event_id=event.id, group_id=group.id)
    content = "{event_title} {event_date} {event_time} {group_name} {organization} {zoom_link}"

    answer = await client.post(
        f"{URL}/preview", json={"content": content, "eventId": str(event.id)}
    )

    local = "Monday, 2 March 2026 7:00 am"
    assert answer.json()["text"] == f"Pottery {local} Dawn Inside https://e.org/{{x}}"
    assert answer.json()["unresolved"] == []


async def test_a_misspelt_builtin_variable_is_recognised(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{URL}/preview", json={"content": "{event_titel} {a b}"})
    (variable,) = answer.json()["variables"]
    assert "Did you mean {event_title}?" in variable["sentence"]
    assert answer.json()["problems"][0]["suggestion"] == "a_b"


async def test_the_event_of_somebody_else_gives_nothing(
    client: httpx.AsyncClient, database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        event = await make_event(session, organization_id=cast.outside_organization_id)
    for event_id in (event.id, new_id()):
        body = {"content": "x", "eventId": str(event_id)}
        assert (await client.post(f"{URL}/preview", json=body)).status_code == 404


async def test_scheduled_messages_get_the_new_text_when_they_are_told_to(
    client: httpx.AsyncClient, used: Template, database: Database, cast: Cast
) -> None:
    organization: dict[str, Any] = {"organization_id": cast.organization_id}
    async with database.writing() as session:
        step = await make_step(session, **organization, template_id=used.id)
        event = await make_event(session, **organization, sequence_id=step.sequence_id)
        number = await make_number(session, **organization)
        for status in ("pending", "pending", "sent"):
            group = await make_group(session, **organization)
            await make_message(
                session,
                **organization,
                event_id=event.id,
                step_id=step.id,
                number_id=number.id,
                group_id=group.id,
                content="Old",
                status=status,
            )
    url = f"{URL}/{used.id}"
    await client.patch(url, json={"content": "New"})

    dry = (await client.post(f"{url}/update-pending", json={})).json()
    done = (await client.post(f"{url}/update-pending", json={"dryRun": False})).json()
    again = (await client.post(f"{url}/update-pending", json={"dryRun": False})).json()

    assert dry == {"messages": 2, "events": 1, "kept": 0, "committed": False, "unresolved": []}
    assert (done["messages"], done["committed"]) == (2, True)
    assert again["messages"] == 0
    texts = [
        each["content"]
        for each in (await client.get(f"/api/v1/messages?eventId={event.id}")).json()["items"]
    ]
    assert sorted(texts) == ["New", "New", "Old"]


async def test_a_viewer_reads_and_changes_nothing(running: RunningApp, cast: Cast) -> None:
    async with await running.client_of(cast.viewer, Scope.READ) as viewer:
        assert (await viewer.get(URL)).status_code == 200
        answer = await viewer.post(URL, json={"name": "x", "content": "y"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
