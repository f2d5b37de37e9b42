"""The journal's page, its CSV and its API: filters, paging, masking, and nobody else's entries."""

import csv
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.support.app import RunningApp
from tests.support.cast import PASSWORD, Cast, Person
from tests.support.clock import NOW
from tests.support.factories import make_group, make_message, make_number

from groupline import journal
from groupline.db import Database
from groupline.ids import new_id
from groupline.journal import SYSTEM, Actor, Entry
from groupline.orgs.rules import Scope


def entry(organization_id: UUID, action: str, **fields: Any) -> Entry:
    defaults: dict[str, Any] = {
        "actor": SYSTEM,
        "subject": action.partition(".")[0],
        "subject_id": None,
        "at": NOW,
    }
    return Entry(action=action, organization_id=organization_id, **defaults | fields)


async def write(database: Database, *entries: Entry) -> None:
    async with database.writing() as session:
        await journal.record_all(session, entries)


@asynccontextmanager
async def page_client(running: RunningApp, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with running.client(headers={"Sec-Fetch-Site": "same-origin"}) as client:
        await client.post("/login", data={"email": person.email, "password": PASSWORD})
        yield client


async def sentences(running: RunningApp, person: Person, query: str = "") -> list[str]:
    async with await running.client_of(person, Scope.READ) as client:
        answer = await client.get(f"/api/v1/journal{query}")
    assert answer.status_code == 200, answer.text
    return [each["sentence"] for each in answer.json()["items"] if "key" not in each["sentence"]]


async def test_entries_are_sentences_about_things_by_name(
    running: RunningApp, database: Database, cast: Cast
) -> None:
    inside: dict[str, Any] = {"organization_id": cast.organization_id}
    async with database.writing() as session:
        number = await make_number(session, **inside, phone_number="919876543210")
        group = await make_group(session, **inside, group_name="Yoga at six")
        message = await make_message(session, **inside, number_id=number.id, group_id=group.id)
    await write(
        database,
        entry(cast.organization_id, "message.sent", subject_id=message.id),
        entry(
            cast.organization_id,
            "number.disconnected",
            subject_id=number.id,
            data={"messagesDue": 3, "detail": "919876543210 was logged out."},
        ),
    )
    async with await running.client_of(cast.viewer, Scope.READ) as client:
        answer = await client.get("/api/v1/journal?limit=3")
    told = answer.json()["items"]
    assert [each["sentence"] for each in told[1:]] == [
        "+91 98••• ••210 was disconnected, with 3 messages due",
        "The message to Yoga at six was sent",
    ]
    assert told[1]["actor"] == {"kind": "system", "id": None, "name": "Groupline"}
    assert told[1]["data"]["detail"] == "9198•••••210 was logged out."
    assert "919876543210" not in answer.text


async def test_filters_restrict_what_is_shown(
    running: RunningApp, database: Database, cast: Cast
) -> None:
    one, person = new_id(), Actor("user", "Asha", cast.admin.user_id)
    await write(
        database,
        entry(cast.organization_id, "campaign.paused", subject_id=one, actor=person),
        entry(cast.organization_id, "event.done", at=NOW + timedelta(days=1)),
        entry(cast.organization_id, "message.failed"),
        entry(cast.organization_id, "messages.scheduled", subject="number", data={"messages": 4}),
    )
    paused, over = "The campaign a campaign was paused", "an event is over"
    failed = "The message to a group failed"
    scheduled = "4 messages of a number were scheduled"

    async def asked(query: str) -> list[str]:
        return await sentences(running, cast.viewer, query)

    assert await asked("") == [scheduled, failed, over, paused]
    assert await asked("?kind=campaigns") == [paused]
    assert await asked("?kind=messages") == [scheduled, failed]
    assert await asked("?action=event.done") == [over]
    assert await asked("?action=message.failed") == [failed]
    assert await asked(f"?subjectId={one}") == [paused]
    assert await asked(f"?actorKind=user&actorId={cast.admin.user_id}") == [paused]
    assert await asked("?since=2026-03-03T00:00:00") == [over]
    assert await asked("?until=2026-03-03T00:00:00Z&kind=campaigns") == [paused]


async def test_pages_follow_each_other_without_a_gap(
    running: RunningApp, database: Database, cast: Cast
) -> None:
    wanted = [entry(cast.organization_id, "event.done", subject_id=new_id()) for _ in range(7)]
    await write(database, *wanted)
    seen: list[str] = []
    async with await running.client_of(cast.viewer, Scope.READ) as client:
        query = "/api/v1/journal?kind=events&limit=3"
        while True:
            answer = (await client.get(query)).json()
            seen += [each["id"] for each in answer["items"]]
            if answer["nextCursor"] is None:
                break
            query = f"/api/v1/journal?kind=events&limit=3&cursor={answer['nextCursor']}"
    assert seen == [str(each.id) for each in reversed(wanted)]


@pytest.mark.parametrize(
    "query",
    ["kind=nothing", "cursor=x", "since=soon", "since=17", "until=2026-03-03", "subjectId=1"],
)
async def test_a_question_that_cannot_be_read_is_refused(
    running: RunningApp, cast: Cast, query: str
) -> None:
    async with await running.client_of(cast.viewer, Scope.READ) as client:
        answer = await client.get(f"/api/v1/journal?{query}")
    assert answer.status_code == 422


async def test_another_organization_sees_none_of_it(
    running: RunningApp, database: Database, cast: Cast
) -> None:
    one = new_id()
    await write(database, entry(cast.organization_id, "event.done", subject_id=one))
    assert await sentences(running, cast.outsider, f"?subjectId={one}") == []
    assert await sentences(running, cast.outsider, "?kind=events") == []


async def test_the_page_shows_filters_and_leads_on(
    running: RunningApp, database: Database, cast: Cast
) -> None:
    many = [entry(cast.organization_id, "event.done") for _ in range(60)]
    await write(database, *many, entry(cast.organization_id, "campaign.paused"))
    async with page_client(running, cast.viewer) as client:
        everything = await client.get("/journal")
        events = await client.get("/journal?kind=events&actor=system&since=2026-03-01&until=x")
        nothing = await client.get("/journal?since=2030-01-01")
    assert "The campaign a campaign was paused" in everything.text
    assert "was paused" not in events.text
    assert "kind=events&amp;actor=system&amp;since=2026-03-01&amp;cursor=" in events.text
    assert "Nothing fits" in nothing.text


async def test_a_program_is_told_from_a_person_who_is_called_alike(
    running: RunningApp, database: Database, cast: Cast
) -> None:
    await write(
        database,
        entry(cast.organization_id, "campaign.paused", actor=Actor("api_key", "Reminders")),
        entry(cast.organization_id, "campaign.resumed", actor=Actor("user", "Reminders")),
    )
    async with page_client(running, cast.viewer) as client:
        page = (await client.get("/journal?kind=campaigns")).text
    async with await running.client_of(cast.viewer, Scope.READ) as api:
        told = (await api.get("/api/v1/journal?kind=campaigns")).json()["items"]
    assert re.findall(r'data-label="Who">([^<]*)<', page) == ["Reminders", "API key Reminders"]
    assert [(each["actor"]["kind"], each["actor"]["name"]) for each in told] == [
        ("user", "Reminders"),
        ("api_key", "Reminders"),
    ]


async def test_the_csv_holds_every_row_of_the_filter_and_no_formula(
    running: RunningApp, database: Database, cast: Cast
) -> None:
    evil = '=HYPERLINK("http://evil.example";"x")'
    await write(
        database,
        *[entry(cast.organization_id, "event.done") for _ in range(1_203)],
        entry(cast.organization_id, "campaign.paused"),
        entry(
            cast.organization_id,
            "template.created",
            actor=Actor("api_key", evil),
            data={"name": evil, "sentence": "+cmd|' /C calc'!A0"},
        ),
    )
    async with page_client(running, cast.viewer) as client:
        answer = await client.get("/journal/export.csv?kind=events")
    async with page_client(running, cast.outsider) as outside:
        theirs = await outside.get("/journal/export.csv?kind=events")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 1 + 1_203 + 1
    head, first = rows[0], rows[1]
    assert head[:3] == ["Time", "Who", "What happened"]
    assert first[0] == "2026-03-02T17:30:00+05:30"
    assert (first[1], first[5]) == (f"API key {evil}", f"'{evil}")
    assert first[3].startswith("'+cmd")
    assert len(theirs.text.strip().splitlines()) == 1
