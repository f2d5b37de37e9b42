"""Workshops and webinars over the REST API."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update
from tests.integration.events.studio import (
    STARTS,
    Studio,
    journal_of,
    make_member_group,
    messages_of,
)
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import make_event, make_group, make_membership, make_number

from groupline.db import Database
from groupline.models import Organization, SequenceStep, WhatsappNumber
from groupline.orgs.rules import Scope

API = "/api/v1"
LINK = {"values": {"zoom_link": "https://example.org/zoom"}}


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    scopes = (Scope.READ, Scope.SEND, Scope.WRITE)
    async with await running.client_of(cast.owner, *scopes) as client:
        yield client


def url(studio: Studio, rest: str = "") -> str:
    return f"{API}/workshops/{studio.event_id}{rest}"


async def call(
    client: httpx.AsyncClient, method: str, path: str, body: Any = None, status: int = 200
) -> Any:
    answer = await client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def scheduled(client: httpx.AsyncClient, studio: Studio) -> Any:
    await call(client, "PUT", url(studio, "/variables"), LINK)
    return await call(client, "POST", url(studio, "/run-sequence"))


async def test_a_workshop_is_planned_shown_and_found_only_among_workshops(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    body = {
        "title": "  Glazing  ",
        "startsAt": "2026-03-10T19:00:00",
        "endsAt": "2026-03-10T21:00:00",
        "timezone": "America/New_York",
        "numberId": str(studio.number_id),
        "sequenceId": str(studio.sequence_id),
        "groupIds": [str(each) for each in studio.group_ids],
        "variables": {"zoom_link": "https://example.org/z"},
    }
    made = await call(client, "POST", f"{API}/workshops", body, 201)
    # Without an offset it is in the organization's zone, whatever the zone of the event.
    assert datetime.fromisoformat(made["startsAt"]) == datetime(2026, 3, 10, 13, 30, tzinfo=UTC)
    assert (made["title"], made["kind"], made["groups"]) == ("Glazing", "workshop", 3)
    assert made["ready"] is True
    assert made["steps"][0]["title"] == "The day before"
    assert made["steps"][0]["dueAt"].startswith("2026-03-09T14:00:00")  # 10:00 in New York
    shown = await call(client, "GET", f"{API}/workshops/{made['id']}")
    assert shown == made
    await call(client, "GET", f"{API}/webinars/{made['id']}", status=404)


async def test_what_is_missing_is_said_step_by_step(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    body = {"title": "Bare", "startsAt": "2026-03-10T19:00:00"}
    made = await call(client, "POST", f"{API}/webinars", body, 201)
    assert made["timezone"] == "Asia/Kolkata"
    assert {step["key"]: step["done"] for step in made["readiness"]} == {
        "number": False,
        "groups": False,
        "sequence": False,
        "variables": False,
    }
    refused = await call(client, "POST", f"{API}/webinars/{made['id']}/run-sequence", status=409)
    assert refused["code"] == "event_not_ready"
    assert refused["missing"] == ["number", "groups", "sequence"]
    shown = await call(client, "GET", url(studio))
    assert [step["sentence"] for step in shown["readiness"] if not step["done"]] == [
        "Without a value: {zoom_link}."
    ]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"title": " \u200b "}, "title"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"startsAt": "2031-01-01T00:00:00"}, "startsAt"),
        ({"startsAt": "9999-12-31T23:59:59-23:59"}, "startsAt"),
        ({"endsAt": "2026-03-10T18:00:00"}, "endsAt"),
        ({"variables": {"Zoom Link": "x"}}, "Zoom Link"),
        ({"variables": {"event_title": "x"}}, "event_title"),
    ],
)
async def test_bad_input_is_named_and_nothing_is_written(
    client: httpx.AsyncClient, studio: Studio, changed: dict[str, Any], field: str
) -> None:
    body = {"title": "Glazing", "startsAt": "2026-03-10T19:00:00"} | changed
    refused = await call(client, "POST", f"{API}/workshops", body, 422)
    assert field in refused["fields"]
    listed = await call(client, "GET", f"{API}/workshops")
    assert [item["id"] for item in listed["items"]] == [str(studio.event_id)]


async def test_running_says_what_was_committed_and_the_key_makes_it_one(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    refused = await call(client, "POST", url(studio, "/run-sequence"), status=422)
    assert refused["code"] == "unresolved_variables"
    assert {each["variable"] for each in refused["unresolved"]} == {"zoom_link"}
    assert {each["template"] for each in refused["unresolved"]} == {"Reminder"}

    await call(client, "PUT", url(studio, "/variables"), LINK)
    for replayed in (None, "true"):
        answer = await client.post(
            url(studio, "/run-sequence"), headers={"Idempotency-Key": "run-1"}
        )
        assert answer.headers.get("idempotent-replayed") == replayed
        assert answer.json() == {
            "scheduled": 15,
            "already": 0,
            "skippedPast": 0,
            "cancelled": 0,
            "refused": 0,
            "refusedGroups": [],
            "unresolved": [],
        }
    again = await call(client, "POST", url(studio, "/run-sequence"))
    assert (again["scheduled"], again["already"]) == (0, 15)
    shown = await call(client, "GET", url(studio))
    assert shown["counts"] == {"scheduled": 15}


async def test_the_list_by_time_and_words_with_a_cursor(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    async with database.writing() as session:
        for title, days, status in (
            ("Past", -2, "planned"),
            ("Done", 1, "done"),
            ("Off", 3, "cancelled"),
            ("Later", 4, "planned"),
            ("Much later", 9, "planned"),
        ):
            await make_event(
                session,
                organization_id=studio.organization_id,
                title=title,
                status=status,
                starts_at=NOW + timedelta(days=days),
                ends_at=NOW + timedelta(days=days, hours=1),
            )

    async def titles(query: str) -> list[str]:
        listed = await call(client, "GET", f"{API}/workshops?{query}")
        return [item["title"] for item in listed["items"]]

    assert await titles("period=upcoming") == ["Pottery", "Later", "Much later"]
    assert await titles("period=past") == ["Done", "Past"]
    assert await titles("period=cancelled") == ["Off"]
    assert await titles("status=done") == ["Done"]
    assert await titles("q=LATER") == ["Much later", "Later"]
    assert await titles("q=%25") == []
    first = await call(client, "GET", f"{API}/workshops?period=upcoming&limit=2")
    rest = await call(
        client, "GET", f"{API}/workshops?period=upcoming&limit=2&cursor={first['nextCursor']}"
    )
    assert [each["title"] for each in first["items"] + rest["items"]] == [
        "Pottery",
        "Later",
        "Much later",
    ]
    assert rest["nextCursor"] is None
    assert (await client.get(f"{API}/workshops?cursor=nonsense")).status_code == 422
    assert (await call(client, "GET", f"{API}/webinars"))["items"] == []


async def test_moving_by_a_day_shows_the_difference_and_moves_what_is_pending(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await scheduled(client, studio)
    body = {"startsAt": (STARTS + timedelta(days=1)).isoformat()}
    before = await messages_of(database, studio.event_id)

    plan = await call(client, "POST", url(studio, "/reschedule"), body)
    assert (plan["moved"], plan["cancelled"], plan["committed"]) == (15, 0, False)
    assert [step["title"] for step in plan["steps"]][:2] == ["The day before", "An hour before"]
    day = timedelta(days=1)
    for step in plan["steps"]:
        (old,) = map(datetime.fromisoformat, step["oldTimes"])
        assert datetime.fromisoformat(step["newTime"]) - old == day
    unchanged = await messages_of(database, studio.event_id)
    assert [row.scheduled_for for row in unchanged] == [row.scheduled_for for row in before]

    done = await call(client, "POST", url(studio, "/reschedule"), {**body, "dryRun": False})
    assert done == {**plan, "committed": True}
    after = {row.id: row for row in await messages_of(database, studio.event_id)}
    for row in before:
        assert after[row.id].scheduled_for == row.scheduled_for + day
        assert row.expires_at is not None
        assert after[row.id].expires_at == row.expires_at + day


async def test_the_time_of_a_scheduled_event_does_not_change_by_the_way(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await scheduled(client, studio)
    body = {"startsAt": "2026-03-06T19:00:00"}
    refused = await call(client, "PATCH", url(studio), body, 409)
    assert refused["pendingMessages"] == 15
    assert "Reschedule" in refused["hint"]
    renamed = await call(client, "PATCH", url(studio), {"title": "Clay"})
    assert (renamed["title"], renamed["staleTexts"]) == ("Clay", 15)


async def test_another_number_takes_the_pending_messages_and_groups_without_it_are_named(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await scheduled(client, studio)
    async with database.writing() as session:
        inside = {"organization_id": studio.organization_id}
        other = await make_number(session, **inside)
        await make_membership(session, **inside, number_id=other.id, group_id=studio.group_ids[0])
    change = {"numberId": str(other.id)}

    shown = await call(client, "PATCH", url(studio), change | {"dryRun": True})

    assert (shown["committed"], shown["numberId"]) == (False, str(studio.number_id))
    rows = await messages_of(database, studio.event_id)
    assert {row.number_id for row in rows} == {studio.number_id}
    edited = await call(client, "PATCH", url(studio), change)
    assert (edited["committed"], edited["numberId"]) == (True, str(other.id))
    for answer in (shown, edited):
        assert answer["movedMessages"] == 15
        assert {group["id"] for group in answer["notMember"]} == set(map(str, studio.group_ids[1:]))
    rows = await messages_of(database, studio.event_id)
    assert {row.number_id for row in rows} == {other.id}


async def test_another_sequence_calls_off_the_messages_of_the_old_one(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await scheduled(client, studio)
    async with database.writing() as session:
        other = await make_number(session, organization_id=studio.organization_id)
    change = {"sequenceId": None, "numberId": str(other.id)}
    shown = await call(client, "PATCH", url(studio), change | {"dryRun": True})
    assert (shown["cancelledMessages"], shown["movedMessages"]) == (15, 0)
    assert shown["counts"] == {"scheduled": 15}
    edited = await call(client, "PATCH", url(studio), change | {"numberId": None})
    assert (edited["cancelledMessages"], edited["counts"]) == (15, {"cancelled": 15})
    await call(client, "PATCH", url(studio), {"numberId": str(studio.number_id)})
    await call(client, "PATCH", url(studio), {"sequenceId": str(studio.sequence_id)})
    again = await call(client, "POST", url(studio, "/run-sequence"))
    assert again["scheduled"] == 15


async def test_a_changed_value_is_offered_to_the_pending_messages(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await scheduled(client, studio)
    changed = await call(
        client, "PUT", url(studio, "/variables"), {"values": {"zoom_link": "https://new"}}
    )
    assert changed["staleTexts"] == 15
    assert changed["items"] == [
        {
            "name": "zoom_link",
            "value": "https://new",
            "needed": True,
            "steps": [
                "The day before",
                "An hour before",
                "Ten minutes before",
                "Start",
                "The day after",
            ],
        }
    ]
    counted = await call(client, "POST", url(studio, "/refresh-texts"), {})
    assert (counted["messages"], counted["committed"]) == (15, False)
    done = await call(client, "POST", url(studio, "/refresh-texts"), {"dryRun": False})
    assert (done["messages"], done["committed"]) == (15, True)
    rows = await messages_of(database, studio.event_id)
    assert {row.content for row in rows} == {"Pottery at 7:00 pm: https://new"}
    assert (await call(client, "GET", url(studio)))["staleTexts"] == 0


async def test_a_template_that_lacks_a_value_now_leaves_older_texts_which_are_counted(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await scheduled(client, studio)
    template = f"{API}/templates/{studio.template_id}"
    await call(client, "PATCH", template, {"content": "Join {new_var}: {zoom_link}"})

    assert (await call(client, "GET", url(studio)))["staleTexts"] == 15
    for path in (url(studio, "/refresh-texts"), f"{template}/update-pending"):
        for dry_run in (True, False):
            refreshed = await call(client, "POST", path, {"dryRun": dry_run})
            assert (refreshed["messages"], refreshed["kept"]) == (0, 15)
            assert {each["variable"] for each in refreshed["unresolved"]} == {"new_var"}
    texts = {row.content for row in await messages_of(database, studio.event_id)}
    assert texts == {"Pottery at 7:00 pm: https://example.org/zoom"}


async def test_taking_out_a_group_with_messages_has_to_be_confirmed(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await scheduled(client, studio)
    kept = [str(each) for each in studio.group_ids[:2]]
    refused = await call(client, "PUT", url(studio, "/groups"), {"groupIds": kept}, 409)
    assert (refused["pendingMessages"], refused["removedGroups"]) == (5, 1)
    assert (await call(client, "GET", url(studio, "/groups")))["total"] == 3
    done = await call(
        client, "PUT", url(studio, "/groups"), {"groupIds": kept, "cancelMessages": True}
    )
    assert done == {"added": 0, "removed": 1, "total": 2, "cancelledMessages": 5}
    assert (await call(client, "GET", url(studio)))["counts"] == {"scheduled": 10, "cancelled": 5}


async def test_groups_say_why_the_number_cannot_write_there_and_a_community_is_refused(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    async with database.writing() as session:
        news = await make_member_group(
            session, studio.organization_id, studio.number_id, "News", announce_only=True
        )
        parent = await make_group(
            session, organization_id=studio.organization_id, is_community=True
        )
    body = {"groupIds": [str(news)]}
    await call(client, "PUT", url(studio, "/groups"), body)
    listed = await call(client, "GET", url(studio, "/groups"))
    (group,) = listed["items"]
    assert group["sendable"] is False
    assert "admin" in group["notSendableBecause"]
    refused = await call(client, "PUT", url(studio, "/groups"), {"groupIds": [str(parent.id)]}, 422)
    assert refused["groups"][0]["code"] == "community_parent"


async def test_cancelling_calls_off_what_has_not_left(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await scheduled(client, studio)
    cancelled = await call(client, "POST", url(studio, "/cancel"))
    assert (cancelled["status"], cancelled["cancelledMessages"]) == ("cancelled", 15)
    again = await call(client, "POST", url(studio, "/cancel"), status=409)
    assert again["state"] == "cancelled"
    for path in ("/run-sequence", "/done"):
        await call(client, "POST", url(studio, path), status=409)
    entries = await journal_of(database, studio.event_id)
    assert entries[-1].data == {"cancelledMessages": 15}


async def test_a_copy_has_the_groups_and_values_and_none_of_the_messages(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    await scheduled(client, studio)
    body = {"startsAt": "2026-03-11T19:00:00", "title": "Pottery again"}
    copy = await call(client, "POST", url(studio, "/duplicate"), body, 201)
    assert (copy["title"], copy["groups"], copy["counts"], copy["ready"]) == (
        "Pottery again",
        3,
        {},
        True,
    )
    assert (await call(client, "POST", url(studio, "/duplicate"), status=201))["groups"] == 3


async def test_only_what_was_never_sent_can_be_deleted(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await scheduled(client, studio)
    copy = await call(client, "POST", url(studio, "/duplicate"), status=201)
    here = f"{API}/workshops/{copy['id']}"
    await call(client, "POST", f"{here}/run-sequence")
    asked = await call(client, "DELETE", here, status=409)
    assert (asked["pendingMessages"], asked["groups"]) == (15, 3)
    assert asked["detail"] == "15 messages of this workshop are scheduled."
    assert len(await messages_of(database, UUID(copy["id"]))) == 15
    await call(client, "DELETE", f"{here}?cancelMessages=true", status=204)
    await call(client, "GET", here, status=404)
    assert await messages_of(database, UUID(copy["id"])) == []

    from sqlalchemy import update

    from groupline.models import ScheduledWhatsappMessage as Message

    (first, *_) = await messages_of(database, studio.event_id)
    async with database.writing() as session:
        values = {"status": "sent", "sent_at": NOW, "gateway_message_id": "3EB0"}
        await session.execute(update(Message).where(Message.id == first.id).values(**values))
    refused = await call(client, "DELETE", url(studio, "?cancelMessages=true"), status=409)
    assert "Cancel" in refused["hint"]
    assert len(await messages_of(database, studio.event_id)) == 15


async def test_send_now_goes_to_the_groups_of_the_event_with_its_variables(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    body = {"content": "We are live: {zoom_link} {group_name}"}
    refused = await call(client, "POST", url(studio, "/send"), body, 422)
    assert "zoom_link" in refused["detail"]
    await call(client, "PUT", url(studio, "/variables"), LINK)
    sent = await call(client, "POST", url(studio, "/send"), body, 201)
    assert sent["scheduled"] == 3
    rows = await messages_of(database, studio.event_id)
    assert {row.content for row in rows} == {
        f"We are live: https://example.org/zoom Group {n}" for n in range(3)
    }
    assert {(row.priority, row.scheduled_for, row.step_id) for row in rows} == {(0, NOW, None)}
    some = {"templateId": str(studio.template_id), "groupIds": [str(studio.group_ids[0])]}
    assert (await call(client, "POST", url(studio, "/send"), some, 201))["scheduled"] == 1
    strangers = {"content": "Hi", "groupIds": [str(studio.number_id)]}
    await call(client, "POST", url(studio, "/send"), strangers, 404)
    assert (await call(client, "POST", url(studio, "/run-sequence")))["scheduled"] == 15


async def test_a_key_that_may_only_read_changes_nothing(
    running: RunningApp, cast: Cast, studio: Studio
) -> None:
    async with await running.client_of(cast.owner, Scope.READ) as reader:
        await call(reader, "GET", url(studio))
        for method, path in (
            ("PATCH", ""),
            ("DELETE", ""),
            ("PUT", "/groups"),
            ("PUT", "/variables"),
            ("POST", "/run-sequence"),
            ("POST", "/reschedule"),
            ("POST", "/refresh-texts"),
            ("POST", "/cancel"),
            ("POST", "/done"),
            ("POST", "/duplicate"),
            ("POST", "/send"),
        ):
            answer = await reader.request(method, url(studio, path), json={})
            assert answer.status_code == 403, (method, path)


SPRING = (
    "02:30 on Sunday, 8 March 2026 does not exist in America/New_York, where the clocks go "
    "forward. It becomes 03:00 EDT."
)


async def in_new_york(studio: Studio, database: Database) -> None:
    """The organization is there: times without an offset are of its clocks."""
    async with database.writing() as session:
        own = Organization.id == studio.organization_id
        await session.execute(update(Organization).where(own).values(timezone="America/New_York"))


async def test_a_start_that_the_clocks_jump_over_says_what_it_becomes(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await in_new_york(studio, database)
    start = {"startsAt": "2026-03-08T02:30:00"}
    note = {
        "field": "startsAt",
        "kind": "skipped",
        "becomes": "2026-03-08T07:00:00Z",
        "sentence": SPRING,
    }
    body = start | {"title": "Night", "endsAt": "2026-03-08T05:00:00"}

    made = await call(client, "POST", f"{API}/workshops", body, 201)
    changed = await call(client, "PATCH", f"{API}/workshops/{made['id']}", start)
    copied = await call(client, "POST", f"{API}/workshops/{made['id']}/duplicate", start, 201)
    asked = start | {"timezone": "America/New_York"}
    shown = await call(client, "POST", url(studio, "/reschedule"), asked)
    moved = await call(client, "POST", url(studio, "/reschedule"), asked | {"dryRun": False})

    for answer in (made, changed, copied, shown, moved):
        assert answer["timeNotes"] == [note]
    assert made["startsAt"] == copied["startsAt"] == moved["newStart"] == "2026-03-08T07:00:00Z"
    # Afterwards it is a time like any other.
    assert (await call(client, "GET", url(studio)))["timeNotes"] == []


async def test_of_an_hour_that_comes_twice_it_is_said_which_one_is_taken(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    await in_new_york(studio, database)
    for start, which in (
        ("2026-11-01T01:30:00", "The first is taken: 01:30 EDT."),
        ("2026-11-01T01:30:00-04:00", "The first is taken: 01:30 EDT."),
        ("2026-11-01T01:30:00-05:00", "The second is taken: 01:30 EST."),
    ):
        body = {"title": "Night", "startsAt": start}
        made = await call(client, "POST", f"{API}/webinars", body, 201)
        (note,) = made["timeNotes"]
        assert (note["kind"], note["sentence"].endswith(which)) == ("repeated", True)
        shown = await call(client, "GET", f"{API}/webinars/{made['id']}")
        assert shown["timeNotes"] == [note]


async def test_steps_that_meet_a_change_of_the_clocks_say_so(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    step = studio.step_ids["The day after"]
    async with database.writing() as session:
        night = update(SequenceStep).where(SequenceStep.id == step).values(local_time=time(2, 30))
        await session.execute(night)
    await scheduled(client, studio)
    asked = {"startsAt": "2026-03-07T19:00:00-05:00", "timezone": "America/New_York"}

    plan = await call(client, "POST", url(studio, "/reschedule"), asked | {"dryRun": False})
    shown = await call(client, "GET", url(studio))
    preview = f"{API}/sequences/{studio.sequence_id}/preview"
    times = await call(client, "POST", preview, asked)

    for steps in (plan["steps"], shown["steps"], times["items"]):
        noted = {step["title"]: step["note"] for step in steps if step["note"]}
        assert noted == {"The day after": SPRING}
    assert times["note"] is None


TABLE = """title,starts,number,groups,zoom_link
Glazing,2026-03-08 19:00,{phone},Group 0|Group 1,https://example.org/g
Firing,2026-03-09 19:00,,,
"""


async def test_a_table_is_looked_at_and_then_planned_once(
    client: httpx.AsyncClient, studio: Studio, database: Database
) -> None:
    async with database.reading() as session:
        number = await session.get_one(WhatsappNumber, studio.number_id)
    table = {"csv": TABLE.format(phone=number.phone_number)}
    here = f"{API}/workshops/import"

    looked = await call(client, "POST", here, table)
    assert (looked["committed"], looked["planned"], looked["ids"]) == (False, 2, [])
    glazing = looked["events"][0]
    assert (glazing["line"], glazing["startsAt"]) == (2, "2026-03-08T19:00:00+05:30")
    assert (glazing["numberId"], len(glazing["groupIds"])) == (str(studio.number_id), 2)
    assert glazing["variables"] == {"zoom_link": "https://example.org/g"}
    assert len((await call(client, "GET", f"{API}/workshops"))["items"]) == 1

    taken = await call(client, "POST", here, table | {"dryRun": False})
    assert (taken["committed"], taken["planned"], taken["skipped"]) == (True, 2, 0)
    shown = await call(client, "GET", f"{API}/workshops/{taken['ids'][0]}")
    assert (shown["title"], shown["groups"]) == ("Glazing", 2)

    await call(client, "POST", f"{API}/workshops/{taken['ids'][1]}/cancel")
    repeated = await call(client, "POST", here, table | {"dryRun": False})
    assert (repeated["planned"], repeated["skipped"], repeated["ids"]) == (0, 2, [])
    assert [(each["alreadyThere"], each["eventId"]) for each in repeated["events"]] == [
        ("Already there", taken["ids"][0]),
        ("Already there, cancelled", taken["ids"][1]),
    ]
    wanted = await call(client, "POST", here, table | {"dryRun": False, "again": True})
    assert (wanted["planned"], wanted["skipped"]) == (2, 0)


async def test_a_wrong_line_of_a_table_is_shown_and_keeps_all_from_being_planned(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    table = {"csv": "title,starts\nGood,2026-03-08 19:00\nBad,soon\n"}
    looked = await call(client, "POST", f"{API}/webinars/import", table)
    (mistake,) = looked["mistakes"]
    assert (mistake["line"], "is no time" in mistake["why"]) == (3, True)
    refused = await call(
        client, "POST", f"{API}/webinars/import", table | {"dryRun": False}, status=422
    )
    assert (refused["code"], list(refused["fields"])) == ("table_refused", ["line 3"])
    assert (await call(client, "GET", f"{API}/webinars"))["items"] == []


async def test_the_same_table_twice_at_once_is_planned_once(
    client: httpx.AsyncClient, studio: Studio
) -> None:
    body = {"csv": "title,starts\nGlazing,2026-03-08 19:00\n", "dryRun": False}
    calls = [call(client, "POST", f"{API}/workshops/import", body) for _ in range(4)]
    answers = await asyncio.gather(*calls)
    assert sorted(answer["planned"] for answer in answers) == [0, 0, 0, 1]
