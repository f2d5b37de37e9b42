"""One decision about many messages: by ids or by a filter, counted, and only about what it fits."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from tests.integration.messages.desk import Desk, put_message
from tests.integration.messages.outbox import PERSON
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW, ManualClock
from tests.support.factories import make_campaign, make_event, make_number

from groupline.db import Database
from groupline.errors import Conflict
from groupline.groups.names import search_name
from groupline.ids import new_id
from groupline.messages import bulk
from groupline.messages.bulk import BulkAction, Decided, Selection
from groupline.messages.schemas import Filter
from groupline.models import JournalEntry, ScheduledWhatsappMessage, WhatsappGroup
from groupline.orgs.rules import Scope

URL = "/api/v1/messages/bulk"
FREE = {"waiting": 0, "waitingFor": None}
ALL = ("pending", "sending", "accepted", "sent", "uncertain", "failed", "expired", "cancelled")


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.operator, Scope.READ, Scope.SEND) as client:
        yield client


async def put(database: Database, desk: Desk, *statuses: str, **facts: Any) -> list[UUID]:
    async with database.writing() as session:
        return [await put_message(session, desk, status, **facts) for status in statuses]


async def make_searchable(database: Database, desk: Desk) -> None:
    """As a sync would leave the groups."""
    async with database.writing() as session:
        for group_id in desk.groups:
            group = await session.get_one(WhatsappGroup, group_id)
            group.search_name = search_name(group.group_name, group.group_jid)


async def statuses(database: Database, ids: list[UUID]) -> list[str]:
    message = ScheduledWhatsappMessage
    async with database.reading() as session:
        rows = await session.execute(select(message.id, message.status).where(message.id.in_(ids)))
        found = {row.id: row.status for row in rows}
    return [found[each] for each in ids]


async def decide(
    database: Database, desk: Desk, action: BulkAction, selection: Selection, **options: Any
) -> Decided:
    async with database.writing() as session:
        return await bulk.decide(
            session, desk.organization_id, action, selection, actor=PERSON, now=NOW, **options
        )


@pytest.mark.parametrize(
    ("action", "changed"),
    [
        ("cancel", {"pending": "cancelled"}),
        ("send_again", {"failed": "pending", "expired": "pending"}),
        ("discard", {"failed": "cancelled"}),
        ("arrived", {"uncertain": "sent"}),
        ("not_arrived", {"uncertain": "pending"}),
    ],
)
@pytest.mark.parametrize("by_ids", [True, False])
async def test_only_what_a_decision_fits_is_changed_and_counted(
    database: Database, desk: Desk, action: BulkAction, changed: dict[str, str], by_ids: bool
) -> None:
    one = {s: (await put(database, desk, s))[0] for s in ALL if s != "sending"}
    selection = Selection(ids=[*one.values(), desk.foreign_message]) if by_ids else Selection()

    decided = await decide(database, desk, action, selection)

    assert decided == Decided(done=len(changed), left=0)
    after = await statuses(database, [*one.values()])
    assert after == [changed.get(status, status) for status in one]
    assert await statuses(database, [desk.foreign_message]) == ["failed"]


async def test_every_message_has_its_entry_and_a_persons_word_is_theirs(
    database: Database, desk: Desk
) -> None:
    ids = await put(database, desk, "uncertain", "uncertain")
    await decide(database, desk, "arrived", Selection(ids=ids))
    async with database.reading() as session:
        rows = (
            await session.scalars(select(JournalEntry).where(JournalEntry.subject_id.in_(ids)))
        ).all()
        message = await session.get_one(ScheduledWhatsappMessage, ids[0])
    assert [(row.action, row.actor_label, row.data["outcome"]) for row in rows] == [
        ("message.resolved", PERSON.label, "arrived")
    ] * 2
    assert (message.resolved_by, message.sent_at) == (PERSON.reference, NOW)


async def test_what_is_late_gets_time_again_and_what_was_rejected_a_new_name(
    database: Database, desk: Desk
) -> None:
    late = {"scheduled_for": NOW - timedelta(hours=2), "expires_at": NOW - timedelta(hours=1)}
    ids = await put(database, desk, "failed", "failed", gateway_message_id="3EB0", **late)
    await decide(database, desk, "send_again", Selection(ids=ids))
    async with database.reading() as session:
        rows = [await session.get_one(ScheduledWhatsappMessage, each) for each in ids]
    assert all(row.expires_at == NOW + timedelta(hours=1) for row in rows)
    assert all(row.client_ref.startswith(f"{row.id}.") for row in rows)
    assert {row.gateway_message_id for row in rows} == {"3EB0"}  # until the next claim


async def test_what_is_too_many_for_one_turn_is_left_and_told(
    database: Database, desk: Desk
) -> None:
    ids = await put(database, desk, *["failed"] * 5)
    first = await decide(database, desk, "send_again", Selection(), most=3)
    assert first == Decided(done=3, left=2)
    assert sorted(await statuses(database, ids)) == ["failed"] * 2 + ["pending"] * 3
    assert await decide(database, desk, "send_again", Selection(), most=3) == Decided(2, 0)
    assert await decide(database, desk, "send_again", Selection(), most=3) == Decided(0, 0)


async def test_what_changed_since_it_was_seen_is_left_alone(database: Database, desk: Desk) -> None:
    seen, changed = await put(database, desk, "failed", "failed")
    async with database.writing() as session:
        row = await session.get_one(ScheduledWhatsappMessage, changed)
        row.updated_at = NOW + timedelta(seconds=1)
    decided = await decide(database, desk, "discard", Selection(as_of=NOW))
    assert decided.done == 1
    assert await statuses(database, [seen, changed]) == ["cancelled", "failed"]


async def test_what_was_scheduled_when_it_was_seen_is_decided_although_it_is_due_now(
    database: Database, desk: Desk
) -> None:
    seen = NOW - timedelta(minutes=1)
    due = await put(
        database, desk, "pending", scheduled_for=NOW - timedelta(seconds=30), updated_at=seen
    )
    scheduled = Filter(states=frozenset({"scheduled"}))
    assert (await decide(database, desk, "cancel", Selection(scheduled))).done == 0
    assert (await decide(database, desk, "cancel", Selection(scheduled, as_of=seen))).done == 1
    assert await statuses(database, due) == ["cancelled"]


async def test_more_than_somebody_was_asked_about_are_not_decided(
    database: Database, desk: Desk
) -> None:
    ids = await put(database, desk, "failed", "failed", "failed")
    for most in (1, 5):  # also when more are left than are done
        with pytest.raises(Conflict, match="By now it is about 3 messages"):
            await decide(database, desk, "discard", Selection(), most=most, at_most=2)
    assert await statuses(database, ids) == ["failed"] * 3
    assert (await decide(database, desk, "discard", Selection(), at_most=3)).done == 3


async def test_a_filter_narrows_what_is_decided(database: Database, desk: Desk) -> None:
    await make_searchable(database, desk)
    first, second = [await put(database, desk, "failed", group=n) for n in (0, 1)]
    selection = Selection(Filter(group_named="pott", states=frozenset({"failed"})))
    assert (await decide(database, desk, "discard", selection)).done == 1
    assert await statuses(database, [*first, *second]) == ["cancelled", "failed"]


# --- the API


async def test_a_dry_run_counts_and_the_count_can_be_held_to(
    database: Database, desk: Desk, client: httpx.AsyncClient
) -> None:
    ids = await put(database, desk, "failed", "failed", "sent")
    body: dict[str, Any] = {"action": "send_again", "filter": {"status": ["failed"]}}

    counted = (await client.post(URL, json=body | {"dryRun": True})).json()
    assert counted == {"matched": 2, "done": 0, "left": 2, "calledOff": 0, **FREE}
    assert await statuses(database, ids) == ["failed", "failed", "sent"]
    wrong = await client.post(URL, json=body | {"expected": 1})
    assert (wrong.status_code, wrong.json()["state"]) == (409, "2")
    assert wrong.json()["detail"] == "By now it is about 2 messages."
    only = {"action": "discard", "ids": [str(ids[0])], "expected": 2}
    assert (await client.post(URL, json=only)).json()["detail"] == "By now it is about 1 message."
    done = await client.post(URL, json=body | {"expected": 2})
    assert done.json() == {"matched": 2, "done": 2, "left": 0, "calledOff": 0, **FREE}
    assert await statuses(database, ids) == ["pending", "pending", "sent"]


async def test_the_same_key_decides_once(
    database: Database, desk: Desk, client: httpx.AsyncClient
) -> None:
    (message_id,) = await put(database, desk, "failed")
    body = {"action": "send_again", "ids": [str(message_id)]}
    headers = {"Idempotency-Key": "once"}
    first, second = [await client.post(URL, json=body, headers=headers) for _ in range(2)]
    assert (
        first.json()
        == second.json()
        == {"matched": 1, "done": 1, "left": 0, "calledOff": 0, **FREE}
    )


@pytest.mark.parametrize(
    "body",
    [
        {"action": "discard"},
        {"action": "discard", "ids": []},
        {"action": "discard", "ids": [str(UUID(int=1))], "filter": {}},
        {"action": "forget", "filter": {}},
        {"action": "discard", "filter": {"status": ["dead"]}},
    ],
)
async def test_bad_decisions(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post(URL, json=body)).status_code == 422


async def test_a_viewer_decides_nothing(running: RunningApp, cast: Cast) -> None:
    async with await running.client_of(cast.viewer, Scope.READ) as viewer:
        answer = await viewer.post(URL, json={"action": "discard", "filter": {}})
    assert answer.status_code == 403


# --- the page


def words(response: httpx.Response) -> str:
    body = response.text.partition('id="content"')[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def hidden_fields(response: httpx.Response) -> dict[str, str]:
    """Those of the form that decides about many."""
    form = response.text.partition('id="bulk"')[2].partition("</form>")[0]
    found = re.findall(r'type="hidden" name="([a-z_]+)" value="([^"]*)"', form)
    return {name: value for name, value in found if name != "ids_all"}


def rows_of(response: httpx.Response) -> set[str]:
    return set(re.findall(r'<tr data-key="([^"]+)"', response.text))


async def test_the_failed_list_is_sent_again_as_picked_or_as_a_whole(
    database: Database, desk: Desk, browser: httpx.AsyncClient
) -> None:
    ids = await put(database, desk, "failed", "failed", "failed")
    page = await browser.get("/messages?tab=failed")
    assert len(re.findall(r'type="checkbox"[^>]+name="ids"[^>]+autocomplete="off"', page.text)) == 3
    assert 'data-total="3"' in page.text

    picked = await browser.post(
        "/messages/bulk?tab=failed", data={"action": "discard", "ids": [str(ids[0])]}
    )
    assert "Put 1 message away." in picked.text
    assert picked.url.params["tab"] == "failed"
    whole = await browser.post(
        "/messages/bulk?tab=failed", data={"action": "send_again", "ids_all": "1"}
    )
    assert "Sending 2 messages again." in whole.text
    assert await statuses(database, ids) == ["cancelled", "pending", "pending"]
    again = await browser.post(
        "/messages/bulk?tab=failed", data={"action": "send_again", "ids_all": "1"}
    )
    assert "Nothing was changed" in again.text


async def test_what_came_too_late_is_listed_alone_and_sent_again_as_a_whole(
    database: Database, desk: Desk, browser: httpx.AsyncClient
) -> None:
    late = await put(database, desk, "expired", "expired")
    other = await put(database, desk, "cancelled")
    page = await browser.get("/messages?tab=expired")
    assert rows_of(page) == {str(each) for each in late}
    answer = await browser.post(
        "/messages/bulk?tab=expired",
        data=hidden_fields(page) | {"action": "send_again", "ids_all": "1"},
    )
    assert "Sending 2 messages again." in answer.text
    assert await statuses(database, late + other) == ["pending", "pending", "cancelled"]


async def test_one_message_is_spoken_of_in_the_singular(
    database: Database, desk: Desk, browser: httpx.AsyncClient
) -> None:
    async with database.writing() as session:
        own = {"organization_id": desk.organization_id, "number_id": desk.number_id}
        cancelled = (await make_campaign(session, **own, status="cancelled", finished_at=NOW)).id
    (sent,) = await put(database, desk, "sent")
    (unknown,) = await put(database, desk, "uncertain", campaign_id=cancelled)
    for action, message_id, said in (
        ("cancel", sent, "Nothing was changed: this message is in another state by now."),
        (
            "not_arrived",
            unknown,
            "1 message is put away and not sent again: its campaign was cancelled.",
        ),
    ):
        given = {"action": action, "ids": [str(message_id)]}
        assert said in words(await browser.post("/messages/bulk", data=given))


async def test_a_whole_list_is_what_it_was_when_it_was_shown(
    database: Database, desk: Desk, browser: httpx.AsyncClient, clock: ManualClock
) -> None:
    ids = await put(database, desk, *["uncertain"] * 3)
    shown = hidden_fields(await browser.get("/messages?tab=uncertain"))
    assert shown["ids_total"] == "3"
    clock.advance(1)
    await decide(database, desk, "arrived", Selection(ids=ids[:1]))  # somebody else was quicker
    later = await put(database, desk, "uncertain", "uncertain", updated_at=clock.now())

    answer = await browser.post(
        "/messages/bulk?tab=uncertain", data=shown | {"action": "arrived", "ids_all": "1"}
    )

    assert "Noted that 2 messages arrived. 1 other stays as before" in words(answer)
    assert await statuses(database, ids + later) == ["sent"] * 3 + ["uncertain"] * 2


async def test_a_whole_list_that_has_more_than_was_shown_is_left_alone(
    database: Database, desk: Desk, browser: httpx.AsyncClient
) -> None:
    """What was written before the page was made, and committed after it."""
    ids = await put(database, desk, "failed")
    shown = hidden_fields(await browser.get("/messages?tab=failed"))
    late = await put(database, desk, "failed")

    answer = await browser.post(
        "/messages/bulk?tab=failed", data=shown | {"action": "discard", "ids_all": "1"}
    )

    assert answer.status_code == 409
    assert "By now it is about 2 messages." in words(answer)
    assert await statuses(database, ids + late) == ["failed", "failed"]


async def test_nothing_picked_is_refused(desk: Desk, browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/messages/bulk?tab=failed", data={"action": "discard"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("tab", "offered"),
    [
        ("all", []),
        ("attention", []),
        ("uncertain", ["arrived", "not_arrived"]),
        ("failed", ["send_again", "discard"]),
        ("waiting", ["cancel"]),
        ("sent", []),
        ("expired", ["send_again"]),
        ("cancelled", []),
    ],
)
async def test_a_tab_offers_what_fits_all_of_its_messages(
    database: Database, desk: Desk, browser: httpx.AsyncClient, tab: str, offered: list[str]
) -> None:
    await put(database, desk, *(status for status in ALL if status != "sending"))
    page = await browser.get(f"/messages?tab={tab}")
    assert rows_of(page)
    assert re.findall(r'name="action" value="([a-z_]+)"', page.text) == offered
    assert ('data-confirm-label="Cancel them"' in page.text) == ("cancel" in offered)
    assert ('data-confirm-one-label="Cancel the message"' in page.text) == ("cancel" in offered)
    assert page.text.count('data-confirm-one="') == len(offered)


def chosen(page: httpx.Response) -> list[str]:
    """What the controls of the list say that it is narrowed to."""
    controls = page.text.partition('role="search"')[2].partition("</form>")[0]
    assert 'type="hidden"' not in controls
    return re.findall(r'<option value="([^"]+)" selected', controls)


@pytest.mark.parametrize("name", ["group", "number", "event", "campaign"])
async def test_what_narrows_the_list_and_is_not_ours_can_be_taken_back(
    browser: httpx.AsyncClient, name: str
) -> None:
    unknown = str(new_id())
    page = await browser.get(f"/messages?{name}={unknown}")
    assert chosen(page) == [unknown]
    assert "None of your messages matches" in words(page)


async def test_the_list_is_narrowed_by_everything_that_a_message_belongs_to(
    database: Database, desk: Desk, browser: httpx.AsyncClient
) -> None:
    own: dict[str, Any] = {"organization_id": desk.organization_id}
    async with database.writing() as session:
        event = await make_event(session, **own, title="Throwing clay", kind="workshop")
        campaign = await make_campaign(session, **own, number_id=desk.number_id, name="Spring")
        other = await make_number(session, **own)
        made = {
            f"event={event.id}": await put_message(session, desk, "sent", event_id=event.id),
            f"campaign={campaign.id}": await put_message(
                session, desk, "sent", campaign_id=campaign.id
            ),
            f"number={other.id}": await put_message(session, desk, "sent", number_id=other.id),
            f"group={desk.groups[1]}": await put_message(session, desk, "sent", 1),
        }
    await make_searchable(database, desk)
    everything = await browser.get("/messages")
    assert rows_of(everything) == {str(each) for each in made.values()}
    assert "Throwing clay" in words(everything)
    assert f'href="/workshops/{event.id}"' in everything.text
    assert "Spring" in words(everything)
    for query, message_id in made.items():
        page = await browser.get(f"/messages?{query}")
        assert rows_of(page) == {str(message_id)}, query
        assert 'data-src="/messages?' in page.text
        assert chosen(page) == [query.partition("=")[2]]
    assert rows_of(await browser.get("/messages?q=YOGA")) == {str(made[f"group={desk.groups[1]}"])}
    assert "None of your messages matches" in words(await browser.get("/messages?q=nobody"))
