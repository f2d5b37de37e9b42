"""Campaigns over the API: written whole or not at all, changed while nothing has left."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, update
from tests.integration.messages.desk import Desk, put_message
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW, ManualClock
from tests.support.factories import make_group, make_membership, make_number

from groupline.db import Database
from groupline.models import (
    CampaignGroup,
    JournalEntry,
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WhatsappGroup,
)
from groupline.orgs.rules import Scope

URL = "/api/v1/campaigns"
LATER = (NOW + timedelta(hours=2)).isoformat()


def body(desk: Desk, **changed: Any) -> dict[str, Any]:
    return {
        "name": "Spring",
        "numberId": str(desk.number_id),
        "groupIds": [str(each) for each in desk.groups],
        "content": "Hello {group_name}",
    } | changed


async def create(client: httpx.AsyncClient, desk: Desk, **changed: Any) -> dict[str, Any]:
    response = await client.post(URL, json=body(desk, **changed))
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def act(
    client: httpx.AsyncClient,
    campaign: Mapping[str, Any],
    action: str,
    given: object = None,
    *,
    expect: int = 200,
) -> dict[str, Any]:
    response = await client.post(f"{URL}/{campaign['id']}/{action}", json=given)
    assert response.status_code == expect, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def messages(
    database: Database, campaign: Mapping[str, Any]
) -> list[ScheduledWhatsappMessage]:
    message = ScheduledWhatsappMessage
    statement = select(message).where(message.campaign_id == UUID(campaign["id"]))
    async with database.reading() as session:
        return list(await session.scalars(statement.order_by(message.content)))


async def rows(database: Database, table: type[Any]) -> int:
    async with database.reading() as session:
        return (await session.execute(select(func.count()).select_from(table))).scalar_one()


async def put(database: Database, ids: Sequence[UUID], **values: Any) -> None:
    message = ScheduledWhatsappMessage
    async with database.writing() as session:
        await session.execute(update(message).where(message.id.in_(ids)).values(**values))


async def journal(database: Database, campaign: Mapping[str, Any]) -> list[tuple[str, Any]]:
    statement = (
        select(JournalEntry)
        .where(JournalEntry.subject_id == UUID(campaign["id"]))
        .order_by(JournalEntry.position)
    )
    async with database.reading() as session:
        return [(entry.action, entry.data) for entry in await session.scalars(statement)]


FAILED = {"status": "failed", "error_code": "rejected", "vps_error": "HTTP 400: no"}
SENT = {"status": "sent", "sent_at": NOW, "accepted_at": NOW, "gateway_message_id": "3EB0"}
UNCERTAIN = {"status": "uncertain", "error_code": "no_answer"}


# --- writing


async def test_a_draft_keeps_its_groups_and_writes_no_message(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk)

    assert (campaign["status"], campaign["groups"]) == ("draft", 2)
    assert campaign["actions"] == ["delete", "duplicate", "edit", "start"]
    assert await messages(database, campaign) == []


async def test_a_started_campaign_has_one_message_per_group_with_its_own_text(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)

    assert (campaign["status"], campaign["counts"]["pending"]) == ("sending", 2)
    assert campaign["actions"] == ["cancel", "duplicate", "pause"]
    written = await messages(database, campaign)
    assert [each.content for each in written] == ["Hello Pottery", "Hello Yoga <b>"]
    assert {each.priority for each in written} == {2}
    assert {each.expires_at for each in written} == {NOW + timedelta(hours=24)}
    assert await rows(database, CampaignGroup) == 0


async def test_starting_a_draft_is_the_same_as_creating_it_started(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    draft = await create(client, desk)
    started = await act(client, draft, "start")
    assert (started["status"], started["counts"]["pending"]) == ("sending", 2)
    assert len(await messages(database, draft)) == 2
    assert await rows(database, CampaignGroup) == 0
    again = await act(client, draft, "start", expect=409)
    assert (again["state"], "pause" in again["actions"]) == ("sending", True)


async def test_a_time_makes_it_scheduled_and_the_late_policy_counts_from_there(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True, scheduledFor=LATER, lateMinutes=60)
    assert campaign["status"] == "scheduled"
    written = await messages(database, campaign)
    assert {each.scheduled_for for each in written} == {NOW + timedelta(hours=2)}
    assert {each.expires_at for each in written} == {NOW + timedelta(hours=3)}


async def test_groups_that_cannot_be_written_to_are_named_and_nothing_is_written(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    refused = (desk.community, desk.not_in, desk.admins_only)
    ids = [str(each) for each in (*desk.groups, *refused)]
    response = await client.post(URL, json=body(desk, groupIds=ids, start=True))

    assert response.status_code == 422
    named = {each["id"]: each["code"] for each in response.json()["groups"]}
    assert named == {
        str(desk.community): "community_parent",
        str(desk.not_in): "not_a_member",
        str(desk.admins_only): "admins_only",
    }
    assert await rows(database, NotificationCampaign) == 0


async def test_they_are_left_out_on_request_and_named_all_the_same(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    ids = [str(each) for each in (*desk.groups, desk.not_in)]
    campaign = await create(client, desk, groupIds=ids, start=True, skipRefused=True)
    assert [each["id"] for each in campaign["skipped"]] == [str(desk.not_in)]
    assert len(await messages(database, campaign)) == 2
    nobody = body(desk, groupIds=[str(desk.not_in)], start=True, skipRefused=True)
    assert (await client.post(URL, json=nobody)).status_code == 422


async def test_a_group_that_was_left_since_the_draft_is_found_when_it_starts(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    draft = await create(client, desk)
    async with database.writing() as session:
        await session.execute(
            update(WhatsappGroup)
            .where(WhatsappGroup.id == desk.groups[0])
            .values(announce_only=True)
        )
    refused = await act(client, draft, "start", expect=422)
    assert [each["id"] for each in refused["groups"]] == [str(desk.groups[0])]
    started = await act(client, draft, "start", {"skipRefused": True})
    assert started["groups"] == 1


async def test_a_group_without_a_name_cannot_get_a_text_that_says_it(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    inside: dict[str, Any] = {"organization_id": desk.organization_id}
    async with database.writing() as session:
        group = await make_group(session, **inside, group_name=None)
        await make_membership(session, **inside, number_id=desk.number_id, group_id=group.id)
    response = await client.post(URL, json=body(desk, groupIds=[str(group.id)]))
    assert response.status_code == 422
    assert response.json()["groups"][0]["code"] == "unresolved_variable"
    await create(client, desk, groupIds=[str(group.id)], content="Hello")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"content": "Join {zoom_link}"}, "content"),
        ({"content": "Join {zoom link}"}, "content"),
        ({"content": "Hi\x1b[1m"}, "content"),
        ({"content": " ", "start": True}, "content"),
        ({"groupIds": [], "start": True}, "groupIds"),
        ({"name": " "}, "name"),
        ({"delaySeconds": -1}, "delaySeconds"),
        ({"delaySeconds": 4_000}, "delaySeconds"),
        ({"lateMinutes": 0}, "lateMinutes"),
        ({"scheduledFor": "2020-01-01T00:00:00Z"}, "scheduledFor"),
        ({"scheduledFor": "9999-12-31T23:59:59-12:00"}, "scheduledFor"),
        ({"mediaUrl": "ftp://example.test/a.png"}, "mediaUrl"),
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
    response = await client.post(URL, json=body(desk, **changed))
    assert response.status_code == 422
    assert field in response.json()["fields"]
    assert await rows(database, NotificationCampaign) == 0


async def test_unresolved_variables_name_themselves(desk: Desk, client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json=body(desk, content="{zoom_link} {Group_Name}"))
    assert response.json()["unresolved"] == ["{zoom_link}", "{Group_Name}"]


@pytest.mark.parametrize("foreign", [{"numberId": "foreign_number"}, {"groupIds": "foreign_group"}])
async def test_what_belongs_to_others_does_not_exist(
    desk: Desk, client: httpx.AsyncClient, foreign: dict[str, str]
) -> None:
    changed: dict[str, Any] = {}
    for name, attribute in foreign.items():
        value = str(getattr(desk, attribute))
        changed[name] = [value] if name == "groupIds" else value
    assert (await client.post(URL, json=body(desk, **changed))).status_code == 404


async def test_the_same_key_writes_one_campaign(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await client.post(URL, json=body(desk, start=True), headers=headers)
    second = await client.post(URL, json=body(desk, start=True), headers=headers)
    assert first.json()["id"] == second.json()["id"]
    assert await rows(database, NotificationCampaign) == 1
    assert await rows(database, ScheduledWhatsappMessage) == 3, "one is of somebody else"


async def test_starting_needs_the_scope_to_send(
    desk: Desk, running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.admin, Scope.READ, Scope.WRITE) as writer:
        draft = await create(writer, desk)
        assert (await writer.post(URL, json=body(desk, start=True))).status_code == 403
        await act(writer, draft, "start", expect=403)
    async with await running.client_of(cast.viewer, Scope.READ) as reader:
        assert (await reader.post(URL, json=body(desk))).status_code == 403
        assert (await reader.get(URL)).json()["counts"] == {"draft": 1}


# --- changing


async def test_a_draft_is_changed_field_by_field(desk: Desk, client: httpx.AsyncClient) -> None:
    draft = await create(client, desk, scheduledFor=LATER)
    url = f"{URL}/{draft['id']}"
    changed = (await client.patch(url, json={"name": "Summer", "scheduledFor": None})).json()
    assert (changed["name"], changed["scheduledFor"]) == ("Summer", None)
    assert (changed["content"], changed["groups"]) == ("Hello {group_name}", 2)
    changed = (await client.patch(url, json={"groupIds": [str(desk.groups[1])]})).json()
    assert changed["groups"] == 1


async def test_changing_what_is_scheduled_rewrites_its_messages_and_keeps_their_ids(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True, scheduledFor=LATER)
    before = {each.group_id: each.id for each in await messages(database, campaign)}
    later = NOW + timedelta(hours=5)
    change = {"content": "Bye {group_name}", "scheduledFor": later.isoformat(), "lateMinutes": 30}
    response = await client.patch(f"{URL}/{campaign['id']}", json=change)

    assert response.status_code == 200, response.text
    after = await messages(database, campaign)
    assert {each.group_id: each.id for each in after} == before
    assert [each.content for each in after] == ["Bye Pottery", "Bye Yoga <b>"]
    assert {each.expires_at for each in after} == {later + timedelta(minutes=30)}


async def test_groups_come_and_go_while_it_is_scheduled(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    one = [str(desk.groups[0])]
    campaign = await create(client, desk, start=True, scheduledFor=LATER, groupIds=one)
    both = [str(each) for each in desk.groups]
    for ids, texts in (
        (both, ["Hello Pottery", "Hello Yoga <b>"]),
        (both[1:], ["Hello Yoga <b>"]),
    ):
        response = await client.patch(f"{URL}/{campaign['id']}", json={"groupIds": ids})
        assert response.json()["groups"] == len(ids)
        assert [each.content for each in await messages(database, campaign)] == texts


async def test_a_refused_change_changes_nothing(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True, scheduledFor=LATER)
    url = f"{URL}/{campaign['id']}"
    refused: tuple[dict[str, Any], ...] = (
        {"content": "{nothing}"},
        {"content": " "},
        {"scheduledFor": None, "numberId": str(desk.number_id)},
        {"numberId": None},
        {"groupIds": [str(desk.not_in)]},
        {"groupIds": []},
        {"name": "New", "content": "New", "scheduledFor": NOW.isoformat()},
    )
    for change in refused:
        response = await client.patch(url, json=change)
        assert response.status_code == 422, change
    shown = (await client.get(url)).json()
    assert (shown["name"], shown["content"]) == ("Spring", "Hello {group_name}")
    assert [each.content for each in await messages(database, campaign)] == [
        "Hello Pottery",
        "Hello Yoga <b>",
    ]


async def test_what_has_begun_is_not_changed(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True, scheduledFor=LATER)
    first, _ = await messages(database, campaign)
    await put(database, [first.id], **SENT)
    response = await client.patch(f"{URL}/{campaign['id']}", json={"content": "New"})
    assert response.status_code == 409
    assert "begun" in response.json()["detail"]


async def test_a_scheduled_campaign_can_be_sent_now(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True, scheduledFor=LATER)
    assert (await act(client, campaign, "start"))["status"] == "sending"
    written = await messages(database, campaign)
    assert {each.scheduled_for for each in written} == {NOW}
    assert {each.expires_at for each in written} == {NOW + timedelta(hours=24)}


async def test_only_a_draft_can_be_deleted(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    draft = await create(client, desk)
    assert (await client.delete(f"{URL}/{draft['id']}")).status_code == 204
    assert (await client.get(f"{URL}/{draft['id']}")).status_code == 404
    assert await rows(database, CampaignGroup) == 0
    started = await create(client, desk, start=True)
    assert (await client.delete(f"{URL}/{started['id']}")).status_code == 409


async def test_a_copy_is_a_draft_with_the_same_groups_and_no_time(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    for started in (False, True):
        campaign = await create(client, desk, start=started, scheduledFor=LATER)
        copy = await act(client, campaign, "duplicate", expect=201)
        assert (copy["status"], copy["groups"]) == ("draft", 2)
        assert (copy["name"], copy["scheduledFor"]) == ("Spring (copy)", None)
        assert copy["content"] == "Hello {group_name}"


# --- under way


async def test_pausing_and_resuming_is_journaled_and_says_what_expired_meanwhile(
    *, desk: Desk, client: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    campaign = await create(client, desk, start=True)
    assert (await act(client, campaign, "pause"))["waitingFor"] == "The campaign is paused."
    clock.advance(60)
    first, second = await messages(database, campaign)
    await put(database, [first.id], status="expired", error_code="expired", updated_at=clock.now())
    resumed = await act(client, campaign, "resume")

    assert (resumed["status"], resumed["expiredMeanwhile"]) == ("sending", 1)
    assert (await messages(database, campaign))[1].expires_at == second.expires_at
    actions = [action for action, _ in await journal(database, campaign)]
    assert actions == [
        "campaign.created",
        "campaign.started",
        "campaign.paused",
        "campaign.resumed",
    ]


async def test_resuming_gives_more_time_only_when_told_to(
    *, desk: Desk, client: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    campaign = await create(client, desk, start=True)
    await act(client, campaign, "pause")
    clock.advance(60)
    first, _ = await messages(database, campaign)
    await put(database, [first.id], status="expired", error_code="expired", updated_at=clock.now())
    resumed = await act(client, campaign, "resume", {"extend": True})

    assert (resumed["expiredMeanwhile"], resumed["extended"]) == (0, 2)
    after = await messages(database, campaign)
    assert {each.status for each in after} == {"pending"}
    assert {each.expires_at for each in after} == {clock.now() + timedelta(hours=24)}


async def test_cancelling_calls_off_what_has_not_been_claimed_and_waits_for_the_rest(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    first, _ = await messages(database, campaign)
    await put(database, [first.id], **UNCERTAIN)
    cancelled = await act(client, campaign, "cancel")

    assert (cancelled["status"], cancelled["cancelled"]) == ("cancelled", 1)
    assert cancelled["finishedAt"] is None, "one may still arrive"
    assert cancelled["counts"]["uncertain"] == 1
    marked = await act(client, campaign, "mark-arrived")
    assert (marked["status"], marked["marked"]) == ("cancelled", 1)
    assert marked["finishedAt"] is not None
    finished = [data for action, data in await journal(database, campaign) if "finish" in action]
    assert [each["counts"]["sent"] for each in finished] == [1]


async def test_retrying_sends_again_what_failed_and_nothing_uncertain(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    first, second = await messages(database, campaign)
    await put(database, [first.id], **FAILED)
    await put(database, [second.id], **UNCERTAIN)
    retried = await act(client, campaign, "retry-failed")

    assert (retried["requeued"], retried["status"]) == (1, "sending")
    after = await messages(database, campaign)
    assert [each.status for each in after] == ["pending", "uncertain"]
    nothing = await act(client, campaign, "retry-failed", expect=409)
    assert "No message of this campaign failed" in nothing["detail"]


async def test_retrying_from_another_number_takes_the_groups_that_it_may_write_to(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    inside: dict[str, Any] = {"organization_id": desk.organization_id}
    async with database.writing() as session:
        other = await make_number(session, **inside)
        await make_membership(session, **inside, number_id=other.id, group_id=desk.groups[1])
    campaign = await create(client, desk, start=True)
    await put(database, [each.id for each in await messages(database, campaign)], **FAILED)
    retried = await act(client, campaign, "retry-failed", {"numberId": str(other.id)})

    assert retried["requeued"] == 1
    assert [(each["id"], each["code"]) for each in retried["refused"]] == [
        (str(desk.groups[0]), "not_a_member")
    ]
    first, second = await messages(database, campaign)
    assert (first.status, first.number_id) == ("failed", desk.number_id)
    assert (second.status, second.number_id) == ("pending", other.id)
    foreign = {"numberId": str(desk.foreign_number)}
    await act(client, campaign, "retry-failed", foreign, expect=404)


async def test_what_expired_is_sent_again_only_when_included(
    *, desk: Desk, client: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    campaign = await create(client, desk, start=True, lateMinutes=30)
    ids = [each.id for each in await messages(database, campaign)]
    await put(database, ids, status="expired", error_code="expired")
    await act(client, campaign, "retry-failed", expect=409)
    clock.advance(7200)
    retried = await act(client, campaign, "retry-failed", {"includeExpired": True})
    assert retried["requeued"] == 2
    after = await messages(database, campaign)
    assert {each.expires_at for each in after} == {clock.now() + timedelta(minutes=30)}


async def test_verifying_asks_about_what_a_gateway_can_answer_for(
    *, desk: Desk, client: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    campaign = await create(client, desk, start=True)
    first, second = await messages(database, campaign)
    await put(database, [first.id], **UNCERTAIN, carried_ref=True)
    await put(database, [second.id], **UNCERTAIN, carried_ref=False)
    verified = await act(client, campaign, "verify")
    assert (verified["asked"], verified["cannotBeAsked"]) == (1, 1)
    first, second = await messages(database, campaign)
    assert (first.next_check_at, second.next_check_at) == (clock.now(), None)


# --- reading


async def test_the_list_goes_on_by_cursor_and_is_filtered(
    *, desk: Desk, client: httpx.AsyncClient, clock: ManualClock
) -> None:
    made = []
    for n in range(5):
        clock.advance(1)
        made.append(await create(client, desk, name=f"Number {n}", start=n % 2 == 0))
    seen, cursor = [], None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(URL, params=params)).json()
        seen += [each["id"] for each in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == [each["id"] for each in reversed(made)]
    assert page["counts"] == {"draft": 2, "sending": 3}
    drafts = (await client.get(URL, params={"status": "draft"})).json()["items"]
    assert {each["name"] for each in drafts} == {"Number 1", "Number 3"}
    found = (await client.get(URL, params={"q": "number 3"})).json()["items"]
    assert [each["name"] for each in found] == ["Number 3"]
    assert (await client.get(URL, params={"cursor": "nonsense"})).status_code == 422


async def test_results_show_each_group_with_the_gateways_own_error(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    first, second = await messages(database, campaign)
    await put(database, [first.id], **FAILED)
    await put(database, [second.id], **SENT)
    url = f"{URL}/{campaign['id']}/results"
    page = (await client.get(url, params={"limit": "1"})).json()

    assert page["total"] == 2
    assert (page["items"][0]["groupName"], page["items"][0]["vpsError"]) == (
        "Pottery",
        "HTTP 400: no",
    )
    following = (await client.get(url, params={"cursor": page["nextCursor"]})).json()
    assert [each["state"] for each in following["items"]] == ["sent"]
    assert following["nextCursor"] is None
    failed = (await client.get(url, params={"status": "failed"})).json()
    assert [each["groupName"] for each in failed["items"]] == ["Pottery"]
    async with database.writing() as session:
        named = update(WhatsappGroup).where(WhatsappGroup.id == desk.groups[1])
        await session.execute(named.values(search_name="yoga 123456"))
    searched = (await client.get(url, params={"q": "Yóg"})).json()
    assert [each["groupName"] for each in searched["items"]] == ["Yoga <b>"]


async def test_the_file_counts_who_got_it_and_leaves_open_what_is_not_known_yet(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    counts = {"delivered_count": 2, "anonymous_read_count": 3}
    async with database.writing() as session:
        message = ScheduledWhatsappMessage
        one = update(message).where(message.group_id == desk.groups[0])
        await session.execute(one.values(**SENT, first_receipt_at=NOW, **counts))
        other = update(message).where(message.group_id == desk.groups[1])
        await session.execute(other.values(**SENT | {"gateway_message_id": "3EB1"}))
    file = (await client.get(f"{URL}/{campaign['id']}/results.csv")).text
    read = csv.DictReader(io.StringIO(file.lstrip("\ufeff")))
    assert {row["Group"]: (row["Delivered to"], row["Read by"]) for row in read} == {
        "Pottery": ("5", "3"),
        "Yoga <b>": ("", ""),
    }


async def test_the_file_has_all_rows_and_no_formula(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        await session.execute(
            update(WhatsappGroup)
            .where(WhatsappGroup.id == desk.groups[0])
            .values(group_name='=HYPERLINK("http://example.test")')
        )
    campaign = await create(client, desk, content="-1+2 for you", start=True)
    response = await client.get(f"{URL}/{campaign['id']}/results.csv")

    assert response.headers["content-type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(response.text.lstrip("\ufeff"))))
    assert len(read) == 2
    for row in read:
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
    assert {row["Text"] for row in read} == {"'-1+2 for you"}
    other = await client.get(f"{URL}/{desk.foreign_message}/results.csv")
    assert other.status_code == 404


async def test_the_estimate_of_what_is_left_counts_what_else_the_number_sends(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    alone = (await client.get(f"{URL}/{campaign['id']}")).json()
    async with database.writing() as session:
        for _ in range(10):
            await put_message(session, desk, "pending", priority=1)
    together = (await client.get(f"{URL}/{campaign['id']}")).json()
    assert alone["remaining"] == together["remaining"] == 2
    assert alone["eta"] is not None
    assert alone["waitingFor"] is None
    assert together["eta"] > alone["eta"]
