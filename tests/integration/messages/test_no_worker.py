"""Nothing is sent without a worker: messages that are due say so, and the pages too."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from tests.integration.messages.desk import Desk, put_message
from tests.integration.messages.outbox import Outbox
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast
from tests.support.clock import ManualClock
from tests.support.factories import make_campaign, make_event

from groupline.db import Announcement, Announcements, Database
from groupline.heartbeat import Heartbeat, WorkerWatch, expect_worker
from groupline.messages.expire import Expirer
from groupline.models import WhatsappSession
from groupline.orgs.rules import Scope

NONE = "No worker is running: nothing is sent until one runs."
NEXT = "It is next."
BEGUN = (
    "Its request was begun, and no worker is running: what became of it is found out when one runs."
)
TITLE = "No worker is running"


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with running.client(headers={"Accept": "text/html", "Origin": BASE_URL}) as browser:
        await browser.post("/login", data={"email": cast.viewer.email, "password": PASSWORD})
        yield browser


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.viewer, Scope.READ) as client:
        yield client


async def sentences(client: httpx.AsyncClient) -> list[str]:
    items = (await client.get("/api/v1/messages")).json()["items"]
    return [each["sentence"] for each in items]


async def banners(browser: httpx.AsyncClient, *more: str) -> set[int]:
    """How often the pages say it above their rows, as a heading of trouble."""
    paths = ("/", "/messages", "/workshops", "/webinars", "/campaigns", *more)
    pages = [await browser.get(path) for path in paths]
    assert {page.status_code for page in pages} == {200}
    return {len(re.findall(r'id="no-worker"', unescape(page.text))) for page in pages}


async def beat(database: Database, heartbeat: Heartbeat, clock: ManualClock) -> None:
    async with database.writing() as session:
        await heartbeat.beat(session, clock.now())


async def test_a_due_message_and_the_pages_say_that_no_worker_runs_until_one_runs(
    desk: Desk,
    client: httpx.AsyncClient,
    browser: httpx.AsyncClient,
    database: Database,
    clock: ManualClock,
) -> None:
    soon = clock.now() + timedelta(hours=1)
    async with database.writing() as session:
        await put_message(session, desk, "pending")
        await put_message(session, desk, "pending", next_attempt_at=soon, error_message="Busy.")
        await put_message(session, desk, "pending", 1, scheduled_for=soon)
        own: dict[str, Any] = {"organization_id": desk.organization_id}
        campaign = await make_campaign(session, **own, number_id=desk.number_id, status="sending")
        event = await make_event(session, **own, kind="workshop")
    details = f"/campaigns/{campaign.id}", f"/workshops/{event.id}"
    died = Heartbeat("died")
    await beat(database, died, clock)
    clock.advance(60)  # its sign of life has lapsed, and another may be on its way
    assert NEXT in await sentences(client)
    assert await banners(browser, *details) == {0}

    clock.advance(10)
    assert sorted(await sentences(client)) == ["It goes out at its time.", NONE, NONE]
    assert await banners(browser, *details) == {1}
    assert NONE in (await browser.get("/messages")).text

    await beat(database, Heartbeat("new"), clock)
    assert NEXT in await sentences(client)
    assert await banners(browser, *details) == {0}


async def test_what_a_worker_had_begun_is_not_called_under_way_when_none_runs(
    desk: Desk, client: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    died = Heartbeat("died")
    await beat(database, died, clock)
    async with database.writing() as session:
        await put_message(session, desk, "sending")
    assert await sentences(client) == ["It is being handed to the gateway."]
    clock.advance(70)
    assert await sentences(client) == [BEGUN]


async def test_a_restart_is_no_trouble_and_a_start_has_its_time(
    desk: Desk, client: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    async with database.writing() as session:
        await put_message(session, desk, "pending")
    assert await sentences(client) == [NEXT]  # nothing has ever run here, not even the web
    async with database.writing() as session:
        await expect_worker(session, "web", clock.now())
    clock.advance(29)
    assert await sentences(client) == [NEXT]
    clock.advance(2)
    assert await sentences(client) == [NONE]

    worker = Heartbeat("worker")
    await beat(database, worker, clock)
    async with database.writing() as session:
        await worker.end(session, clock.now())
    clock.advance(29)
    assert await sentences(client) == [NEXT]
    clock.advance(2)
    assert await sentences(client) == [NONE]
    async with database.writing() as session:
        await expect_worker(session, "web", clock.now())
    assert await sentences(client) == [NEXT]


async def test_open_pages_hear_when_the_last_worker_goes_and_when_one_comes(
    database: Database, clock: ManualClock
) -> None:
    announcements = Announcements()
    watch = WorkerWatch(database, announcements, clock)
    async with announcements.subscribe() as heard:

        async def hears_after(seconds: float) -> set[Announcement]:
            clock.advance(seconds)
            await watch.run_once()
            end = Announcement("journal", None, None)
            announcements.publish(end)
            news: set[Announcement] = set()
            while (each := await anext(heard)) != end:
                news.add(each)
            return news

        # Reasons and banners are about messages; the cards of numbers say it too.
        changed = {Announcement("messages", None, None), Announcement("numbers", None, None)}
        await beat(database, Heartbeat("one"), clock)
        assert await hears_after(0) == set()
        assert await hears_after(30) == set()
        assert await hears_after(60) == changed
        assert await hears_after(5) == set()
        await beat(database, Heartbeat("two"), clock)
        assert await hears_after(5) == changed
        assert await hears_after(5) == set()


async def test_the_cards_of_numbers_listen_to_it_and_say_it(
    desk: Desk, browser: httpx.AsyncClient, database: Database, clock: ManualClock
) -> None:
    async with database.writing() as session:
        serving = await session.get_one(WhatsappSession, desk.session_id)
        serving.verified_at, serving.next_verify_at = clock.now(), clock.now()
    await beat(database, Heartbeat("died"), clock)
    clock.advance(70)
    page = await browser.get("/settings/connection")
    assert "No worker is running: nobody asks the gateway" in unescape(page.text)
    assert re.search(r'id="numbers"[^>]* data-live="numbers,', page.text)


async def test_what_expires_in_the_hands_of_a_worker_does_not_say_that_none_runs(
    outbox: Outbox,
) -> None:
    """It comes back after a long night, and its first sign of life may come after this."""
    sender = await outbox.add_sender()
    now = outbox.clock.now()
    late = await outbox.write(sender, expires_at=now + timedelta(minutes=30))
    await beat(outbox.database, Heartbeat("yesterday"), outbox.clock)
    outbox.clock.advance(30 * 60)
    await Expirer(outbox.database, outbox.clock).run_once()
    message = await outbox.message(late)
    assert message.error_message == "The message did not leave before its time was over."
