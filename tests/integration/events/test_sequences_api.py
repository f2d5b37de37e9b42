"""Sequences over the API: steps in their order, ids that stay, and events that follow."""

from collections.abc import AsyncIterator
from datetime import time
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from tests.integration.events.studio import PERSON, Studio, messages_of
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_event, make_message, make_step, make_template

from groupline.db import Database
from groupline.events.run import run_sequence
from groupline.events.values import set_values
from groupline.models import JournalEntry, SequenceStep
from groupline.models import Sequence as MessageSequence
from groupline.orgs.rules import Scope

URL = "/api/v1/sequences"


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.admin, Scope.READ, Scope.WRITE) as client:
        yield client


@pytest.fixture
async def template_id(database: Database, cast: Cast) -> str:
    async with database.writing() as session:
        made = await make_template(session, organization_id=cast.organization_id, name="Hello")
    return str(made.id)


def steps_of(template_id: str) -> list[dict[str, Any]]:
    return [
        {"templateId": template_id, "dayOffset": -1, "localTime": "10:00"},
        {"templateId": template_id, "offsetMinutes": -60, "label": "An hour before"},
        {"templateId": template_id, "offsetMinutes": 0, "lateMinutes": 10},
    ]


async def create(client: httpx.AsyncClient, template_id: str, name: str = "Reminders") -> Any:
    body = {"name": name, "steps": steps_of(template_id)}
    response = await client.post(URL, json=body)
    assert response.status_code == 201, response.text
    return response.json()


async def test_a_sequence_comes_back_as_it_was_given(
    client: httpx.AsyncClient, template_id: str
) -> None:
    made = await create(client, template_id)

    assert [step["when"] for step in made["steps"]] == [
        "the day before, at 10:00",
        "1 hour before the start",
        "at the start",
    ]
    assert [step["position"] for step in made["steps"]] == [1, 2, 3]
    assert [step["lateMinutes"] for step in made["steps"]] == [30, 30, 10]
    assert made["steps"][0]["localTime"] == "10:00"
    assert (await client.get(f"{URL}/{made['id']}")).json() == made
    assert (await client.get(URL)).json()["items"] == [made]


async def test_the_same_steps_again_change_nothing(
    client: httpx.AsyncClient, template_id: str, database: Database
) -> None:
    made = await create(client, template_id)
    url = f"{URL}/{made['id']}/steps"

    without_ids = (await client.put(url, json={"steps": steps_of(template_id)})).json()
    named = [
        step | {"id": known["id"]}
        for step, known in zip(steps_of(template_id), made["steps"], strict=True)
    ]
    with_ids = (await client.put(url, json={"steps": named})).json()

    assert without_ids == made == with_ids
    async with database.reading() as session:
        statement = select(JournalEntry.action).where(JournalEntry.subject == "sequence")
        assert list(await session.scalars(statement)) == ["sequence.created"]


async def test_two_equal_steps_are_refused_when_made_and_when_changed(
    client: httpx.AsyncClient, template_id: str
) -> None:
    made = await create(client, template_id)
    twice = [*steps_of(template_id), {"templateId": template_id, "offsetMinutes": -60}]

    created = await client.post(URL, json={"name": "Twice", "steps": twice})
    changed = await client.put(f"{URL}/{made['id']}/steps", json={"steps": twice})

    for refused in (created, changed):
        assert refused.status_code == 422
        assert refused.json()["detail"].startswith(
            "Step 4: It is the same as step 2, “An hour before”:"
        )
    assert (await client.get(URL)).json()["items"] == [made]


async def test_another_order_keeps_the_steps(client: httpx.AsyncClient, template_id: str) -> None:
    made = await create(client, template_id)
    ids = [step["id"] for step in made["steps"]]
    turned = [steps_of(template_id)[n] | {"id": ids[n]} for n in (2, 0, 1)]

    answer = await client.put(f"{URL}/{made['id']}/steps", json={"steps": turned})

    assert [step["id"] for step in answer.json()["steps"]] == [ids[2], ids[0], ids[1]]
    assert [step["position"] for step in answer.json()["steps"]] == [1, 2, 3]


async def test_a_changed_step_keeps_its_id_and_a_removed_one_its_messages(
    client: httpx.AsyncClient, template_id: str, database: Database, cast: Cast
) -> None:
    made = await create(client, template_id)
    first, second, third = made["steps"]
    async with database.writing() as session:
        await make_message(
            session,
            organization_id=cast.organization_id,
            event_id=(await make_event(session, organization_id=cast.organization_id)).id,
            step_id=(await session.get_one(SequenceStep, UUID(second["id"]))).id,
            status="sent",
        )
    wanted = [{"id": first["id"], "templateId": template_id, "offsetMinutes": 15}]

    answer = (await client.put(f"{URL}/{made['id']}/steps", json={"steps": wanted})).json()

    assert [(step["id"], step["when"]) for step in answer["steps"]] == [
        (first["id"], "15 minutes after the start")
    ]
    async with database.reading() as session:
        kept = await session.get(SequenceStep, UUID(second["id"]))
        assert kept is not None
        assert kept.removed_at is not None
        assert await session.get(SequenceStep, UUID(third["id"])) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"offsetMinutes": None}, "steps[1].offsetMinutes"),
        ({"dayOffset": 1}, "steps[1].offsetMinutes"),
        ({"offsetMinutes": None, "dayOffset": 1}, "steps[1].localTime"),
        ({"id": "00000000-0000-7000-8000-000000000000"}, "steps[1].id"),
        ({"templateId": "00000000-0000-7000-8000-000000000000"}, "steps[1].templateId"),
        ({"label": "x\x00"}, "steps[1].label"),
    ],
)
async def test_a_step_that_cannot_be_is_named_and_nothing_is_written(
    client: httpx.AsyncClient, template_id: str, change: dict[str, Any], field: str
) -> None:
    made = await create(client, template_id)
    steps = steps_of(template_id)
    steps[1] |= change
    steps[0]["label"] = "changed"

    answer = await client.put(f"{URL}/{made['id']}/steps", json={"steps": steps})

    assert answer.status_code == 422
    assert field in answer.json()["fields"]
    assert "Step 2" in answer.json()["detail"]
    assert (await client.get(f"{URL}/{made['id']}")).json() == made


async def test_a_template_of_somebody_else_is_none(
    client: httpx.AsyncClient, database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        foreign = await make_template(session, organization_id=cast.outside_organization_id)
    steps = [{"templateId": str(foreign.id), "offsetMinutes": 0}]
    answer = await client.post(URL, json={"name": "x", "steps": steps})
    assert answer.status_code == 422
    assert (await client.get(URL)).json()["total"] == 0


async def test_names_are_unique_and_copies_have_their_own(
    client: httpx.AsyncClient, template_id: str
) -> None:
    made = await create(client, template_id)
    copy = (await client.post(f"{URL}/{made['id']}/duplicate")).json()
    again = await client.post(URL, json={"name": "Reminders"})
    renamed = await client.patch(f"{URL}/{copy['id']}", json={"name": "Reminders"})

    assert copy["name"] == "Reminders (copy)"
    assert [step["when"] for step in copy["steps"]] == [step["when"] for step in made["steps"]]
    assert {step["id"] for step in copy["steps"]}.isdisjoint(step["id"] for step in made["steps"])
    assert (again.status_code, renamed.status_code) == (422, 422)
    free = await client.patch(f"{URL}/{copy['id']}", json={"name": "Others"})
    assert free.json()["name"] == "Others"


async def test_a_sequence_of_a_planned_event_is_not_removed(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    answer = await client.delete(f"{URL}/{studio.sequence_id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "sequence_in_use")
    assert [each["title"] for each in answer.json()["events"]] == ["Pottery"]


@pytest.mark.parametrize("used", [True, False])
async def test_a_removed_sequence_gives_its_name_and_its_templates_back(
    *, client: httpx.AsyncClient, template_id: str, database: Database, cast: Cast, used: bool
) -> None:
    made = await create(client, template_id)
    async with database.writing() as session:
        if used:
            await make_event(
                session,
                organization_id=cast.organization_id,
                sequence_id=UUID(made["id"]),
                status="done",
            )

    assert (await client.delete(f"{URL}/{made['id']}")).status_code == 204

    assert (await client.get(f"{URL}/{made['id']}")).status_code == 404
    async with database.reading() as session:
        kept = await session.get(MessageSequence, UUID(made["id"]))
        assert (kept is not None) is used
    assert (await client.delete(f"/api/v1/templates/{template_id}")).status_code == 204
    assert (await client.post(URL, json={"name": "Reminders"})).status_code == 201


async def test_the_times_of_a_sequence_across_a_change_of_the_clocks(
    client: httpx.AsyncClient, template_id: str
) -> None:
    made = await create(client, template_id)
    body = {"startsAt": "2026-03-08T19:00:00", "timezone": "America/New_York"}

    answer = (await client.post(f"{URL}/{made['id']}/preview", json=body)).json()

    assert [each["due"] for each in answer["items"]] == [
        "2026-03-07T10:00:00-05:00",
        "2026-03-08T18:00:00-04:00",
        "2026-03-08T19:00:00-04:00",
    ]
    assert answer["items"][2]["usefulUntil"] == "2026-03-08T19:10:00-04:00"
    for wrong in ({"timezone": "Mars/Base"}, {"startsAt": "9999-12-31T23:59:59Z"}):
        refused = await client.post(f"{URL}/{made['id']}/preview", json=body | wrong)
        assert refused.status_code == 422


# --- events follow ---------------------------------------------------------------------------


@pytest.fixture
async def running_studio(studio: Studio, database: Database) -> Studio:
    """Its sequence has been run: five steps for three groups."""
    own = (studio.organization_id, studio.event_id)
    async with database.writing() as session:
        link = {"zoom_link": "https://example.org"}
        await set_values(session, *own, link, actor=PERSON, now=NOW)
        result = await run_sequence(session, *own, actor=PERSON, now=NOW)
    assert result.scheduled == 15
    return studio


async def test_events_follow_a_changed_sequence_when_somebody_says_so(
    client: httpx.AsyncClient, running_studio: Studio, database: Database
) -> None:
    studio, url = running_studio, f"{URL}/{running_studio.sequence_id}"
    steps = (await client.get(url)).json()["steps"]
    wanted = [
        {name: step[name] for name in ("id", "templateId", "dayOffset", "localTime", "lateMinutes")}
        | {"offsetMinutes": step["offsetMinutes"]}
        for step in steps
    ]
    wanted[1]["offsetMinutes"] = -90  # moved
    del wanted[2]  # removed
    wanted.append({"templateId": str(studio.template_id), "offsetMinutes": 30})  # new
    await client.put(f"{url}/steps", json={"steps": wanted})
    before = await messages_of(database, studio.event_id)

    dry = (await client.post(f"{url}/update-pending", json={})).json()
    assert [each.id for each in await messages_of(database, studio.event_id)] == [
        each.id for each in before
    ]
    done = (await client.post(f"{url}/update-pending", json={"dryRun": False})).json()
    again = (await client.post(f"{url}/update-pending", json={"dryRun": False})).json()

    assert dry["events"] == done["events"]
    (event,) = done["events"]
    assert (event["added"], event["moved"], event["cancelled"]) == (3, 3, 3)
    assert (dry["committed"], done["committed"]) == (False, True)
    assert again["events"] == []
    pending = [m for m in await messages_of(database, studio.event_id) if m.status == "pending"]
    assert len(pending) == 15
    at = {m.scheduled_for.strftime("%H:%M") for m in pending}
    assert at == {"04:30", "12:00", "13:30", "14:00", "03:30"}


async def test_an_event_that_was_not_run_is_left_alone(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    url = f"{URL}/{studio.sequence_id}/update-pending"
    done = (await client.post(url, json={"dryRun": False})).json()
    assert done["events"] == []
    assert await messages_of(database, studio.event_id) == []


async def test_a_new_step_that_lacks_a_value_refuses_everything(
    client: httpx.AsyncClient, running_studio: Studio, database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        template = await make_template(
            session, organization_id=cast.organization_id, content="{price}"
        )
        await make_step(
            session,
            organization_id=cast.organization_id,
            sequence_id=running_studio.sequence_id,
            template_id=template.id,
            position=9,
            day_offset=0,
            local_time=time(12),
        )
    url = f"{URL}/{running_studio.sequence_id}/update-pending"
    refused = await client.post(url, json={"dryRun": False})
    assert (refused.status_code, refused.json()["code"]) == (422, "unresolved_variables")
    assert len(await messages_of(database, running_studio.event_id)) == 15
