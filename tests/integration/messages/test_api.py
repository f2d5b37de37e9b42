"""Messages over the API: what it answers, to whom, and that a refusal writes nothing."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from tests.integration.messages.desk import Desk, put_message
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW

from groupline.db import Database
from groupline.ids import new_id
from groupline.models import ScheduledWhatsappMessage
from groupline.orgs.rules import Scope

URL = "/api/v1/messages"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.operator, Scope.READ, Scope.SEND) as client:
        yield client


def body(desk: Desk, **changed: Any) -> dict[str, Any]:
    return {
        "numberId": str(desk.number_id),
        "groupIds": [str(each) for each in desk.groups],
        "content": "We start at 7",
    } | changed


async def count(database: Database, desk: Desk) -> int:
    async with database.reading() as session:
        statement = select(func.count()).where(
            ScheduledWhatsappMessage.organization_id == desk.organization_id
        )
        return (await session.execute(statement)).scalar_one()


async def test_one_message_per_group_answered_as_committed(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    response = await client.post(URL, json=body(desk))

    assert response.status_code == 201
    answer = response.json()
    assert answer["scheduled"] == 2 == await count(database, desk)
    first = answer["items"][0]
    assert (first["status"], first["state"]) == ("pending", "waiting")
    assert first["actions"] == ["cancel"]
    assert first["deliveredCount"] is None, "no receipts yet is not zero"
    assert first["phoneNumber"] == "919876543210"
    listed = (await client.get(URL)).json()
    assert {each["id"] for each in listed["items"]} == {each["id"] for each in answer["items"]}


async def test_a_group_named_twice_gets_one_message(desk: Desk, client: httpx.AsyncClient) -> None:
    twice = [str(desk.groups[0])] * 2
    assert (await client.post(URL, json=body(desk, groupIds=twice))).json()["scheduled"] == 1


async def test_a_time_without_offset_is_in_the_organizations_zone(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    local = (NOW + timedelta(hours=5, minutes=30) + timedelta(days=1)).replace(tzinfo=None)
    response = await client.post(URL, json=body(desk, scheduledFor=local.isoformat()))
    item = response.json()["items"][0]
    assert item["scheduledFor"] == (NOW + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    assert item["state"] == "scheduled"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"content": "Hi {first_name}"}, "content"),
        ({"content": " "}, "content"),
        ({"content": "\u200b\ufeff"}, "content"),
        ({"content": "Hello\x00"}, "content"),
        ({"content": "Hello\x1b[1m"}, "content"),
        ({"content": "Hello\ud800"}, "content"),
        ({"mediaUrl": "https://example.test/\x00.png"}, "mediaUrl"),
        ({"mediaUrl": "https://example.test:99999/a.png"}, "mediaUrl"),
        ({"mediaUrl": "https://example.test:0/a.png"}, "mediaUrl"),
        ({"mediaUrl": "https://:443/a.png"}, "mediaUrl"),
        ({"mediaUrl": "https://../a.png"}, "mediaUrl"),
        ({"scheduledFor": "9999-12-31T23:59:59-12:00"}, "scheduledFor"),
        ({"scheduledFor": "9999-12-31T23:59:59"}, "scheduledFor"),
        ({"scheduledFor": "0001-01-01T00:00:00+14:00"}, "scheduledFor"),
        ({"expiresAt": "9999-12-31T23:59:59-12:00"}, "expiresAt"),
        ({"expiresAt": "0001-01-01T00:00:00+14:00"}, "expiresAt"),
        ({"groupIds": []}, "groupIds"),
        ({"scheduledFor": "2020-01-01T00:00:00Z"}, "scheduledFor"),
        ({"scheduledFor": 1_796_000_000}, "scheduledFor"),
        ({"scheduledFor": "1796000000"}, "scheduledFor"),
        ({"scheduledFor": "2026-12-01"}, "scheduledFor"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ({"mediaUrl": "ftp://example.test/a.png"}, "mediaUrl"),
        ({"mediaUrl": "https://user:secret@example.test/a.png"}, "mediaUrl"),
        ({"mediaUrl": "http://127.0.0.1:9/a.png"}, "mediaUrl"),
        ({"mediaUrl": "http://169.254.169.254/latest/meta-data"}, "mediaUrl"),
        ({"mediaType": "image"}, "mediaType"),
        ({"typo": 1}, "typo"),
    ],
)
async def test_bad_input_names_its_field_and_writes_nothing(
    desk: Desk,
    client: httpx.AsyncClient,
    database: Database,
    changed: dict[str, Any],
    field: str,
) -> None:
    # Written with escapes, as any program may write it: httpx refuses half a surrogate pair.
    written = json.dumps(body(desk, **changed))
    response = await client.post(URL, content=written, headers=JSON)
    assert response.status_code == 422
    assert field in response.json()["fields"]
    assert await count(database, desk) == 0


@pytest.mark.parametrize(
    ("which", "code"),
    [
        ("community", "community_parent"),
        ("not_in", "not_a_member"),
        ("admins_only", "admins_only"),
    ],
)
async def test_a_group_that_cannot_be_written_to_refuses_the_whole(
    desk: Desk, client: httpx.AsyncClient, database: Database, which: str, code: str
) -> None:
    ids = [str(desk.groups[0]), str(getattr(desk, which))]
    response = await client.post(URL, json=body(desk, groupIds=ids))

    assert response.status_code == 422
    problem = response.json()
    assert problem["code"] == "groups_refused"
    assert [(each["id"], each["code"]) for each in problem["groups"]] == [(ids[1], code)]
    assert await count(database, desk) == 0


@pytest.mark.parametrize(("more", "ending"), [(0, ""), (1, " And 1 more."), (2, " And 2 more.")])
async def test_of_the_groups_that_are_refused_one_is_named_and_the_others_counted(
    desk: Desk, client: httpx.AsyncClient, more: int, ending: str
) -> None:
    refused = [desk.admins_only, desk.community, desk.not_in][: more + 1]
    response = await client.post(URL, json=body(desk, groupIds=[str(each) for each in refused]))
    problem = response.json()
    first = f"{problem['groups'][0]['name']}: {problem['groups'][0]['reason']}"
    assert problem["detail"] == f"Nothing was scheduled. {first}{ending}"


async def test_foreign_and_unknown_ids_are_not_found(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    for changed in (
        {"numberId": str(desk.foreign_number)},
        {"numberId": str(new_id())},
        {"groupIds": [str(desk.foreign_group)]},
        {"groupIds": [str(desk.groups[0]), str(new_id())]},
    ):
        assert (await client.post(URL, json=body(desk, **changed))).status_code == 404
    for path in ("", "/cancel", "/retry", "/resolve"):
        url = f"{URL}/{desk.foreign_message}{path}"
        given = {"outcome": "arrived"} if path == "/resolve" else None
        response = await (client.get(url) if not path else client.post(url, json=given))
        assert response.status_code == 404
    assert await count(database, desk) == 0


async def test_the_same_idempotency_key_sends_once(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    headers = {"Idempotency-Key": "reminder-1"}
    first = await client.post(URL, json=body(desk), headers=headers)
    again = await client.post(URL, json=body(desk), headers=headers)
    other = await client.post(URL, json=body(desk, content="Other"), headers=headers)

    assert first.json() == again.json()
    assert other.status_code == 409
    assert await count(database, desk) == 2


async def test_who_may_send(
    desk: Desk, running: RunningApp, cast: Cast, database: Database
) -> None:
    async with await running.client_of(cast.admin, Scope.READ, Scope.WRITE) as reader:
        assert (await reader.post(URL, json=body(desk))).status_code == 403
        assert (await reader.get(URL)).status_code == 200
    async with running.client() as nobody:
        assert (await nobody.post(URL, json=body(desk))).status_code == 401
    assert await count(database, desk) == 0


# --- lists


async def test_a_list_is_paged_without_loss_and_says_where_it_ends(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        ids = [
            await put_message(
                session,
                desk,
                "sent" if n % 2 else "failed",
                scheduled_for=NOW - timedelta(minutes=n // 3),  # several at one time
            )
            for n in range(25)
        ]
    seen: list[str] = []
    more = ""
    while True:
        page = (await client.get(f"{URL}?limit=4&status=sent&status=failed{more}")).json()
        seen += [each["id"] for each in page["items"]]
        if page["nextCursor"] is None:
            break
        more = f"&cursor={page['nextCursor']}"
    assert sorted(seen) == sorted(map(str, ids))
    assert page["counts"] == {"sent": 12, "failed": 13}


async def test_the_filters_of_a_list(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        failed = await put_message(session, desk, "failed")
        later = await put_message(
            session, desk, "pending", 1, scheduled_for=NOW + timedelta(minutes=5)
        )

    async def ids(**asked: Any) -> list[str]:
        listed = (await client.get(URL, params=asked)).json()["items"]
        return [each["id"] for each in listed]

    assert await ids(status="failed") == [str(failed)]
    assert await ids(status="scheduled") == [str(later)]
    assert await ids(status="waiting") == []
    assert await ids(groupId=str(desk.groups[1])) == [str(later)]
    assert await ids(numberId=str(desk.foreign_number)) == []
    unknown = await client.get(URL, params={"status": "nonsense"})
    assert (unknown.status_code, list(unknown.json()["fields"])) == (422, ["status"])
    assert (await client.get(URL, params={"cursor": "nonsense"})).status_code == 422


# --- decisions


async def test_a_pending_message_is_cancelled_and_its_history_says_so(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    made = (await client.post(URL, json=body(desk))).json()["items"][0]

    answer = (await client.post(f"{URL}/{made['id']}/cancel")).json()

    assert answer["status"] == "cancelled"
    assert [each["title"] for each in answer["history"]] == ["Scheduled", "Cancelled"]
    again = await client.post(f"{URL}/{made['id']}/cancel")
    assert (again.status_code, again.json()["state"]) == (409, "cancelled")


@pytest.mark.parametrize("status", ["sending", "accepted", "uncertain", "sent"])
async def test_what_is_under_way_cannot_be_cancelled(
    desk: Desk, client: httpx.AsyncClient, database: Database, status: str
) -> None:
    async with database.writing() as session:
        message_id = await put_message(session, desk, status)
    response = await client.post(f"{URL}/{message_id}/cancel")
    assert (response.status_code, response.json()["state"]) == (409, status)


async def test_a_failed_message_is_sent_again_with_time_to_do_so(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        message_id = await put_message(
            session,
            desk,
            "failed",
            attempts=3,
            scheduled_for=NOW - timedelta(days=2),
            expires_at=NOW - timedelta(days=1),
        )
    answer = (await client.post(f"{URL}/{message_id}/retry")).json()
    assert (answer["status"], answer["retryCount"]) == ("pending", 0)
    assert answer["expiresAt"] == (NOW + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert answer["history"][-1]["title"] == "To be sent again"


async def test_a_failed_message_is_discarded(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        why: dict[str, Any] = {"error_code": "rejected", "error_message": "It refuses it."}
        message_id = await put_message(session, desk, "failed", **why)
    answer = (await client.post(f"{URL}/{message_id}/cancel")).json()
    assert (answer["status"], answer["errorMessage"]) == ("cancelled", "It refuses it.")
    assert answer["errorCode"] is None  # which would let a run of the sequence send it anew


async def test_a_persons_word_on_an_uncertain_message_is_recorded_as_theirs(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        first = await put_message(session, desk, "uncertain")
        second = await put_message(session, desk, "uncertain", 1)

    arrived = (await client.post(f"{URL}/{first}/resolve", json={"outcome": "arrived"})).json()
    again = (await client.post(f"{URL}/{second}/resolve", json={"outcome": "not_arrived"})).json()

    assert (arrived["status"], again["status"]) == ("sent", "pending")
    assert arrived["resolvedBy"].startswith("api_key:")
    assert arrived["history"][-1]["title"] == "It arrived"
    assert arrived["history"][-1]["by"] == "API key of the operator"
    assert again["history"][-1]["title"] == "Send again"
    refused = await client.post(f"{URL}/{first}/resolve", json={"outcome": "arrived"})
    assert refused.status_code == 409


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ({}, (None, None, None, None)),
        ({"delivered_count": 2}, (2, None, None, None)),
        ({"anonymous_delivered_count": 3}, (None, 3, None, None)),
        ({"delivered_count": 2, "read_count": 1}, (2, None, 1, None)),
        ({"anonymous_read_count": 1}, (None, 1, None, 1)),
        ({"delivered_count": 2, "anonymous_read_count": 2}, (2, 2, None, 2)),
    ],
)
async def test_not_yet_is_not_zero_for_each_kind_of_receipt(
    desk: Desk,
    client: httpx.AsyncClient,
    database: Database,
    stored: dict[str, int],
    told: tuple[int | None, ...],
) -> None:
    async with database.writing() as session:
        message_id = await put_message(
            session, desk, "sent", first_receipt_at=NOW if stored else None, **stored
        )
    answer = (await client.get(f"{URL}/{message_id}")).json()
    names = ("deliveredCount", "anonymousDeliveredCount", "readCount", "anonymousReadCount")
    assert tuple(answer[name] for name in names) == told
    got, read = (sum(each or 0 for each in kind) for kind in (told[:2], told[2:]))
    assert (f"delivered to {got}" in answer["sentence"]) == bool(got)
    assert (f"read by {read}" in answer["sentence"]) == bool(read)
    receipts = (await client.get(f"{URL}/{message_id}/receipts")).json()
    assert (receipts[names[1]], receipts[names[3]]) == (told[1], told[3])
