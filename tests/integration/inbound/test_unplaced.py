"""What a gateway reports and what fits nothing, or too much, is shown to its administrator."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from tests.integration.inbound.test_hooks import SECRET, report
from tests.integration.numbers.test_pages import signed_in, words
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.factories import (
    make_gateway,
    make_group,
    make_inbound_event,
    make_message,
    make_number,
    make_session,
)
from typer.testing import CliRunner

from groupline.chronicle.unplaced import unplaced_reports
from groupline.cli.main import app
from groupline.db import Database
from groupline.gateways.webhook_secrets import write_webhook_secrets
from groupline.inbound.process import Replay
from groupline.models import Gateway, InboundEvent, JournalEntry
from groupline.web import gateways

JID = "120363025246125999@g.us"
CALLBACK = "/whatsapp-send-callback"
_THEIRS = ("wa_theirs", "Pottery", JID, "no route", "3EB0")
JSON = {"Accept": "application/json"}


@pytest.fixture
async def gateway(running: RunningApp, database: Database) -> Gateway:
    secrets = write_webhook_secrets(running.runtime.vault, [SECRET])
    async with database.writing() as session:
        return await make_gateway(session, name="VPS", webhook_secrets=secrets)


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    """Of an administrator of the installation."""
    async with signed_in(running, cast.owner) as client:
        yield client


async def in_flight(
    database: Database, organization_id: UUID, gateway: Gateway, name: str
) -> tuple[UUID, list[UUID]]:
    """A group to which two messages are under way through a session of this name."""
    own: dict[str, Any] = {"organization_id": organization_id}
    async with database.writing() as session:
        number = await make_number(session, **own)
        phone = await make_session(
            session, **own, number_id=number.id, gateway_id=gateway.id, gateway_session_id=name
        )
        group = await make_group(session, **own, group_jid=JID, group_name="Pottery")
        facts = {"number_id": number.id, "group_id": group.id, "session_id": phone.id}
        ids = [(await make_message(session, **own, **facts, status="accepted")).id for _ in "ab"]
    return group.id, ids


def failed(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "event": "message_failed",
        "sessionId": name,
        "groupJid": JID,
        "messageId": "3EB0",
        "error": "no route for +919876543210",
        "timestamp": "2026-03-02T12:00:00Z",
    } | fields


async def listed(browser: httpx.AsyncClient, gateway: Gateway, **asked: Any) -> dict[str, Any]:
    address = f"/api/v1/gateways/{gateway.id}/reports"
    answer = await browser.get(address, headers=JSON, params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_report_that_fits_two_messages_is_listed_and_told_once_however_often_it_comes(
    running: RunningApp,
    browser: httpx.AsyncClient,
    database: Database,
    cast: Cast,
    gateway: Gateway,
) -> None:
    group_id, ids = await in_flight(database, cast.organization_id, gateway, "wa_1")
    for _ in range(2):
        await report(running, gateway, CALLBACK, failed("wa_1"))

    [item] = (await listed(browser, gateway))["items"]
    assert (item["outcome"], item["kind"], item["session"]) == (
        "fits_several",
        "send_callback",
        "own",
    )
    assert (item["title"], item["groupName"]) == ("A message was not sent", "Pottery")
    assert (item["groupId"], item["messageId"]) == (str(group_id), "3EB0")
    assert item["words"] == "no route for +9198•••••210"
    async with database.reading() as session:
        action = JournalEntry.action == "message.report_ambiguous"
        told = (await session.scalars(select(JournalEntry.subject_id).where(action))).all()
    assert sorted(told, key=str) == sorted(ids, key=str)
    page = await browser.get(f"/settings/gateways/{gateway.id}/reports")
    assert "A message was not sent · Pottery no route for +9198•••••210" in words(page)
    assert f'href="/messages?group={group_id}"' in page.text
    story = words(await browser.get(f"/messages/{ids[0]}"))
    assert "It fits 2 messages, so it decides nothing about this one. Look into the group." in story
    assert "no route for •••210" in story


async def test_what_fits_nothing_waits_for_a_day_and_is_listed_then(
    running: RunningApp,
    browser: httpx.AsyncClient,
    database: Database,
    clock: ManualClock,
    gateway: Gateway,
) -> None:
    await report(running, gateway, CALLBACK, failed("wa_gone"))
    first = await listed(browser, gateway)
    assert (first["items"], first["waiting"]) == ([], 1)
    [waiting] = (await listed(browser, gateway, outcome="waiting"))["items"]
    assert (waiting["outcome"], waiting["session"]) == ("waiting", "nowhere")
    assert waiting["nextTryAt"] is not None
    page = await browser.get(f"/settings/gateways/{gateway.id}/reports")
    assert "Waiting 1" in words(page)
    assert "Every report was placed" in words(page)

    for _ in range(40):
        clock.advance(3600)
        await Replay(database, clock).run_once()

    later = await listed(browser, gateway)
    assert later["waiting"] == 0
    [item] = later["items"]
    assert (item["outcome"], item["groupJid"], item["words"]) == ("fits_none", None, None)
    assert "No report waits" in words(
        await browser.get(f"/settings/gateways/{gateway.id}/reports?tab=waiting")
    )


async def test_what_is_not_understood_is_shown_with_its_own_words(
    running: RunningApp,
    browser: httpx.AsyncClient,
    database: Database,
    cast: Cast,
    gateway: Gateway,
) -> None:
    await in_flight(database, cast.organization_id, gateway, "wa_1")
    await report(running, gateway, CALLBACK, failed("wa_1", event="message_pondered"))
    await report(running, gateway, CALLBACK, {"event": "message_sent"})
    undated = {"sessionId": "wa_1", "status": "disconnected"}
    await report(running, gateway, "/whatsapp-status-webhook", undated)

    unnamed, pondered = (await listed(browser, gateway))["items"]
    assert (unnamed["outcome"], unnamed["session"]) == ("not_understood", "unnamed")
    assert pondered["title"] == "What became of a message"
    assert pondered["words"] == "message_pondered: no route for +9198•••••210"
    page = words(await browser.get(f"/settings/gateways/{gateway.id}/reports?tab=not_understood"))
    assert "message_pondered" in page
    assert "It names no session" in page


async def test_what_is_said_of_another_organization_stays_its_own(
    running: RunningApp,
    browser: httpx.AsyncClient,
    database: Database,
    cast: Cast,
    gateway: Gateway,
) -> None:
    await in_flight(database, cast.outside_organization_id, gateway, "wa_theirs")
    await report(running, gateway, CALLBACK, failed("wa_theirs"))

    [item] = (await listed(browser, gateway))["items"]
    assert (item["session"], item["title"]) == ("other", "What became of a message")
    hidden = ("gatewaySessionId", "words", "messageId", "groupJid", "groupId", "groupName")
    assert [item[name] for name in hidden] == [None] * 6
    page = await browser.get(f"/settings/gateways/{gateway.id}/reports")
    assert "Of another organization" in words(page)
    assert not [each for each in _THEIRS if each in page.text]


async def test_only_administrators_of_the_installation_see_them(
    running: RunningApp, cast: Cast, gateway: Gateway
) -> None:
    async with signed_in(running, cast.admin) as client:
        api = await client.get(f"/api/v1/gateways/{gateway.id}/reports", headers=JSON)
        page = await client.get(f"/settings/gateways/{gateway.id}/reports")
    assert (api.status_code, page.status_code) == (403, 403)


async def unplaced(database: Database, gateway: Gateway, *outcomes: str) -> list[UUID]:
    async with database.writing() as session:
        return [
            (
                await make_inbound_event(
                    session,
                    gateway_id=gateway.id,
                    kind="receipt",
                    outcome=each,
                    payload={"event": "read", "readerPhone": "919900000001"},
                )
            ).id
            for each in outcomes
        ]


async def test_all_of_a_long_list_is_reached_page_by_page_and_nothing_of_another_gateway(
    browser: httpx.AsyncClient, database: Database, gateway: Gateway
) -> None:
    async with database.writing() as session:
        other = await make_gateway(session)
        waiting = await make_inbound_event(session, gateway_id=other.id, outcome="unmatched")
        waiting.next_try_at = waiting.received_at
    await unplaced(database, other, "invalid")
    ids = await unplaced(database, gateway, *["invalid", "applied"] * 30)
    expected = [str(each) for each in reversed(ids[::2])]

    found, cursor = [], None
    while True:
        asked = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = await listed(browser, gateway, **asked)
        found += [each["id"] for each in page["items"]]
        assert page["waiting"] == 0
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert found == expected
    wrong = await browser.get(
        f"/api/v1/gateways/{gateway.id}/reports", headers=JSON, params={"cursor": "x"}
    )
    assert wrong.status_code == 422


async def test_a_page_looks_through_a_part_and_says_that_the_list_goes_on(
    database: Database, gateway: Gateway
) -> None:
    made = await unplaced(database, gateway, "invalid", "applied", "invalid", *["applied"] * 3)

    async def page(before: UUID | None) -> tuple[list[UUID], UUID | None]:
        async with database.reading() as session:
            found = await unplaced_reports(
                session, None, gateway.id, before=before, limit=10, look_through=3
            )
        return [each.id for each in found.items], found.next_before

    ids, place = await page(None)
    assert ids == []
    assert place is not None
    assert await page(place) == ([made[2], made[0]], None)


async def test_a_page_without_reports_leads_on_to_older_ones(
    browser: httpx.AsyncClient,
    database: Database,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a plain link: there is no list yet that more could be added to."""
    monkeypatch.setattr(gateways, "unplaced_reports", partial(unplaced_reports, look_through=2))
    await unplaced(database, gateway, "invalid", "applied", "applied")
    first = await browser.get(f"/settings/gateways/{gateway.id}/reports")
    assert "None among the latest reports" in words(first)
    [link] = re.findall(r'<a [^>]*href="(/settings/gateways/[^"]*cursor=[^"]*)"[^>]*>', first.text)
    assert "data-load-more" not in first.text
    assert "It names no session" in words(await browser.get(unescape(link)))


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))


@pytest.mark.usefixtures("settings")
async def test_the_command_lists_them_with_all_that_they_say_but_readers(
    database: Database, cast: Cast, gateway: Gateway
) -> None:
    await in_flight(database, cast.outside_organization_id, gateway, "wa_theirs")
    async with database.writing() as session:
        facts: dict[str, Any] = {"gateway_id": gateway.id, "gateway_session_id": "wa_theirs"}
        said: dict[str, Any] = {
            "kind": "send_callback",
            "payload": failed("wa_theirs", error="no\nroute"),
        }
        await make_inbound_event(session, **facts, **said, outcome="ambiguous")
        row = await make_inbound_event(session, **facts, outcome="unmatched")
        row.next_try_at = row.received_at + timedelta(hours=1)
    await unplaced(database, gateway, "invalid")

    async def run(*arguments: str) -> str:
        command = ["gateways", "reports", *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, app, command)
        assert result.exit_code == 0, result.output
        return result.stdout

    found = json.loads(await run(str(gateway.id), "--json"))
    assert found["waiting"] == 1
    assert [each["outcome"] for each in found["items"]] == ["not_understood", "fits_several"]
    assert (found["items"][1]["groupName"], found["items"][1]["words"]) == (
        "Pottery",
        "no\nroute",
    )
    table = await run("VPS")
    assert "919900000001" not in table
    assert "Pottery           no route" in table
    assert "Waiting, and tried again for a day: 1" in table
    assert "No such reports." in await run("VPS", "--outcome", "fits_none")
    wrong = await asyncio.to_thread(
        CliRunner().invoke, app, ["gateways", "reports", "VPS", "--outcome", "lost"]
    )
    assert wrong.exit_code == 2
    async with database.reading() as session:
        assert len((await session.scalars(select(InboundEvent))).all()) == 3
