"""A single message of a campaign: what it waits for, and what can be done with it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update
from tests.integration.campaigns.test_api import FAILED, UNCERTAIN, act, create, messages, put
from tests.integration.campaigns.test_pages import logged_in, words
from tests.integration.messages.desk import Desk, put_message
from tests.integration.messages.outbox import Outbox
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import NOW, ManualClock

from groupline.db import Database
from groupline.messages.waiting import lanes
from groupline.models import NotificationCampaign, ScheduledWhatsappMessage, WhatsappNumber

MESSAGES = "/api/v1/messages"
CALLED_OFF = "Its campaign was cancelled, so this message is not sent again."
NEXT, BEHIND = "It is next.", "Other messages of the number go first."


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with logged_in(running, cast.operator) as browser:
        yield browser


async def test_a_message_of_a_cancelled_campaign_is_not_sent_again(
    desk: Desk, client: httpx.AsyncClient, browser: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    first, second = await messages(database, campaign)
    await put(database, [first.id], **FAILED)
    await put(database, [second.id], status="expired", error_code="expired")
    await act(client, campaign, "cancel")

    for each in (first, second):
        refused = await client.post(f"{MESSAGES}/{each.id}/retry")
        assert (refused.status_code, refused.json()["detail"]) == (409, CALLED_OFF)
        page = await browser.post(f"/messages/{each.id}/send-again")
        assert (page.status_code, CALLED_OFF in words(page)) == (409, True)
        shown = (await client.get(f"{MESSAGES}/{each.id}")).json()
        assert "send_again" not in shown["actions"]
        assert "/send-again" not in (await browser.get(f"/messages/{each.id}")).text
    assert [each.status for each in await messages(database, campaign)] == ["failed", "expired"]


async def test_a_decision_about_many_leaves_what_a_campaign_called_off(
    desk: Desk, client: httpx.AsyncClient, browser: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    ids = [each.id for each in await messages(database, campaign)]
    await put(database, ids, **FAILED)
    await act(client, campaign, "cancel")
    given = {"action": "send_again", "ids": [str(each) for each in ids]}

    refused = await client.post(f"{MESSAGES}/bulk", json=given)
    assert (refused.status_code, refused.json()["detail"]) == (409, CALLED_OFF)
    page = await browser.post("/messages/bulk", data=given)
    assert (page.status_code, CALLED_OFF in words(page)) == (409, True)

    async with database.writing() as session:
        other = await put_message(session, desk, "failed")
    mixed = given | {"ids": [*given["ids"], str(other)]}
    done = await client.post(f"{MESSAGES}/bulk", json=mixed)
    assert (done.json()["matched"], done.json()["done"]) == (1, 1)
    assert {each.status for each in await messages(database, campaign)} == {"failed"}


async def test_an_uncertain_message_of_a_cancelled_campaign_is_only_settled(
    desk: Desk, client: httpx.AsyncClient, browser: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    first, second = await messages(database, campaign)
    await put(database, [first.id, second.id], **UNCERTAIN)
    shown = (await client.get(f"{MESSAGES}/{first.id}")).json()
    assert shown["actions"] == ["it_arrived", "not_arrived"]
    await act(client, campaign, "cancel")

    shown = (await client.get(f"{MESSAGES}/{first.id}")).json()
    assert shown["actions"] == ["it_arrived", "call_off"]
    assert "Its campaign was cancelled, so it is not sent again." in shown["sentence"]
    page = await browser.get(f"/messages/{first.id}")
    assert "Its campaign was cancelled, so it is not sent again." in words(page)
    assert "Send again" not in words(page)
    assert "It did not arrive" in words(page)

    refused = await client.post(f"{MESSAGES}/{first.id}/retry")
    assert (refused.status_code, refused.json()["detail"]) == (409, CALLED_OFF)
    assert "“It arrived” or “It did not arrive”" in refused.json()["hint"]

    settled = await client.post(f"{MESSAGES}/{first.id}/resolve", json={"outcome": "not_arrived"})
    assert (settled.json()["status"], settled.json()["actions"]) == ("cancelled", [])
    titles = [each["title"] for each in settled.json()["history"]]
    assert titles[-2:] == ["It did not arrive", "Cancelled"]
    said = await browser.post(f"/messages/{second.id}/resolve", data={"arrived": "false"})
    assert "It did not arrive. Its campaign was cancelled, so it is not sent again." in said.text
    assert {each.status for each in await messages(database, campaign)} == {"cancelled"}


async def test_of_many_that_did_not_arrive_those_of_a_cancelled_campaign_are_told_apart(
    desk: Desk, client: httpx.AsyncClient, browser: httpx.AsyncClient, database: Database
) -> None:
    campaign = await create(client, desk, start=True)
    first, second = await messages(database, campaign)
    await put(database, [first.id, second.id], **UNCERTAIN)
    await act(client, campaign, "cancel")
    async with database.writing() as session:
        other = await put_message(session, desk, "uncertain")
    given = {"action": "not_arrived", "ids": [str(first.id), str(other)]}

    done = (await client.post(f"{MESSAGES}/bulk", json=given)).json()
    assert (done["done"], done["calledOff"]) == (2, 1)
    page = await browser.post("/messages/bulk", data=given | {"ids": [str(second.id)]})
    assert "1 message is put away and not sent again: its campaign was cancelled." in page.text
    assert {each.status for each in await messages(database, campaign)} == {"cancelled"}


async def sentences(client: httpx.AsyncClient) -> list[str]:
    listed = (await client.get(MESSAGES)).json()["items"]
    return sorted(each["sentence"] for each in listed)


async def test_one_message_of_a_number_is_next_and_every_page_says_so(
    desk: Desk,
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    database: Database,
    clock: ManualClock,
) -> None:
    campaign = await create(client, desk, start=True)
    for free_at in (None, clock.now() + timedelta(seconds=5)):
        async with database.writing() as session:
            await session.execute(update(WhatsappNumber).values(lane_free_at=free_at))
        assert await sentences(client) == [NEXT, BEHIND]
        for path in ("/", "/messages", f"/campaigns/{campaign['id']}"):
            said = words(await browser.get(path))
            assert (said.count(NEXT), said.count(BEHIND)) == (1, 1), (path, said)

    await act(client, campaign, "pause")
    assert await sentences(client) == ["Its campaign is paused."] * 2
    for path in ("/", "/messages", f"/campaigns/{campaign['id']}"):
        assert NEXT not in words(await browser.get(path))


async def test_what_is_said_to_be_next_is_what_is_claimed_next(outbox: Outbox) -> None:
    sender = await outbox.add_sender(groups=3, pace_seconds=1.0)
    now = outbox.clock.now()
    third = await outbox.write(sender, 0, priority=2)
    first = await outbox.write(sender, 1, priority=0)
    second = await outbox.write(sender, 2, priority=1)
    await outbox.write(sender, 1, priority=0, scheduled_for=now + timedelta(hours=1))
    await outbox.write(sender, 1, priority=0, next_attempt_at=now + timedelta(minutes=30))
    for expected in (first, second, third, None):
        async with outbox.database.reading() as session:
            lane = (await lanes(session, {sender.number_id}, outbox.clock.now()))[sender.number_id]
        assert lane.next_id == expected
        await outbox.work()
        if expected is not None:
            assert await outbox.statuses([expected]) == ["sent"]
        outbox.clock.advance(2)


async def test_a_campaign_that_waits_for_its_delay_lets_others_be_next(
    desk: Desk, client: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    campaign = await create(client, desk, start=True)
    async with database.writing() as session:
        later = clock.now() + timedelta(seconds=30)
        await session.execute(update(NotificationCampaign).values(next_send_at=later))
        other = await put_message(session, desk, "pending", priority=2, scheduled_for=NOW)
    async with database.reading() as session:
        lane = (await lanes(session, {desk.number_id}, clock.now()))[desk.number_id]
        assert lane.next_id == other
    await put(database, [other], status="cancelled")
    async with database.reading() as session:
        first = await session.scalar(
            select(ScheduledWhatsappMessage.id)
            .where(ScheduledWhatsappMessage.status == "pending")
            .order_by(ScheduledWhatsappMessage.id)
        )
        lane = (await lanes(session, {desk.number_id}, clock.now()))[desk.number_id]
    assert lane.next_id == first, campaign
