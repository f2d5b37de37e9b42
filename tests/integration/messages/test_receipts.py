"""The receipts of a message, page by page, over the API and from the command line."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.integration.messages.desk import Desk, put_message
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast
from tests.support.clock import NOW
from tests.support.databases import in_own_loop
from tests.support.factories import make_message, make_organization, make_receipt
from typer.testing import CliRunner, Result

from groupline.cli.main import app
from groupline.db import Announcements, Database
from groupline.ids import new_id
from groupline.models import ScheduledWhatsappMessage
from groupline.orgs.rules import Scope

READERS = [f"91987654321{n}" for n in range(5)]


def url(message_id: UUID) -> str:
    return f"/api/v1/messages/{message_id}/receipts"


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await running.client_of(cast.viewer, Scope.READ) as client:
        yield client


async def pages(client: httpx.AsyncClient, message_id: UUID) -> list[list[dict[str, Any]]]:
    found, cursor = [], ""
    while True:
        answer = await client.get(
            url(message_id), params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        )
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        cursor = answer.json()["nextCursor"]
        if cursor is None:
            return found


async def test_they_come_newest_first_and_each_once(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    async with database.writing() as session:
        own = {"organization_id": desk.organization_id}
        message_id = await put_message(session, desk, "sent")
        other_id = await put_message(session, desk, "sent", 1)
        for minute, reader in zip((0, 1, 1, 1, 2), READERS, strict=True):
            at = NOW + timedelta(minutes=minute)
            await make_receipt(session, **own, message_id=message_id, reader=reader, at=at)
        await make_receipt(session, **own, message_id=other_id)

    found = await pages(client, message_id)

    assert [len(page) for page in found] == [2, 2, 1]
    flat = [each for page in found for each in page]
    assert (flat[0]["reader"], flat[-1]["reader"]) == (READERS[4], READERS[0])
    assert {each["reader"] for each in flat} == set(READERS)
    assert [each["at"] for each in flat] == sorted((each["at"] for each in flat), reverse=True)
    assert {each["kind"] for each in flat} == {"delivered"}


async def test_those_without_a_reader_are_counted(
    desk: Desk, client: httpx.AsyncClient, database: Database
) -> None:
    counts = {"anonymous_delivered_count": 3, "anonymous_read_count": 1}
    async with database.writing() as session:
        message_id = await put_message(session, desk, "sent", **counts)
    assert (await client.get(url(message_id))).json() == {
        "items": [],
        "nextCursor": None,
        "total": 0,
        "anonymousDeliveredCount": 3,
        "anonymousReadCount": 1,
    }


async def test_those_of_a_message_that_is_not_ours_are_not_found(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    for message_id in (desk.foreign_message, new_id()):
        assert (await client.get(url(message_id))).status_code == 404
    wrong = await client.get(url(desk.foreign_message), params={"cursor": "nonsense"})
    assert wrong.status_code == 422


# --- from the command line


@pytest.fixture
def failed_message(read_message: UUID, database_url: str) -> UUID:
    made: list[UUID] = []
    in_own_loop(_fail(database_url, read_message, made))
    return made[0]


async def _fail(database_url: str, beside: UUID, made: list[UUID]) -> None:
    database = Database(database_url, announcements=Announcements())
    async with database.writing() as session:
        other = await session.get_one(ScheduledWhatsappMessage, beside)
        own: dict[str, Any] = {"organization_id": other.organization_id, "status": "failed"}
        made.append((await make_message(session, **own)).id)
    await database.dispose()


@pytest.fixture
def read_message(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UUID:
    monkeypatch.setenv("GROUPLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("GROUPLINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    made: list[UUID] = []
    in_own_loop(_fill(database_url, made))
    return made[0]


async def _fill(database_url: str, made: list[UUID]) -> None:
    database = Database(database_url, announcements=Announcements())
    async with database.writing() as session:
        own: dict[str, Any] = {"organization_id": (await make_organization(session, slug="one")).id}
        facts: dict[str, Any] = {"status": "sent", "anonymous_read_count": 1}
        made.append((await make_message(session, **own, **facts)).id)
        for minute, reader in enumerate(READERS[:2]):
            at = NOW + timedelta(minutes=minute)
            await make_receipt(session, **own, message_id=made[0], reader=reader, at=at)
    await database.dispose()


def run(message_id: UUID, *options: str) -> Result:
    words = ["messages", "receipts", str(message_id), "--org", "one", *options]
    return CliRunner().invoke(app, words)


def test_a_command_lists_them_and_says_what_it_leaves_out(read_message: UUID) -> None:
    lines = run(read_message, "--limit", "1").stdout.splitlines()
    assert lines[0].split() == ["READER", "KIND", "TIME"]
    assert lines[1].split("  ")[:2] == ["+91 98765 43211", "delivered"]
    assert lines[2:] == [
        "The latest 1 of 2. --limit shows up to 500.",
        "1 delivered without a reader.",
        "1 read without a reader.",
    ]
    found = json.loads(run(read_message, "--json").stdout)
    assert [each["reader"] for each in found["items"]] == [READERS[1], READERS[0]]
    assert (found["anonymousDeliveredCount"], found["anonymousReadCount"]) == (1, 1)
    assert run(new_id()).exit_code == 1


NOTHING_YET = "Nothing was sent yet."
NOBODY = "It was not sent, so nobody can have got it."
NONE = "No receipts have come yet."
PROVEN = {"gateway_message_id": "3EB0", "sent_at": NOW}
EMPTY: dict[str, tuple[str, dict[str, Any], str]] = {
    "pending": ("pending", {}, NOTHING_YET),
    "failed": ("failed", {"attempts": 3}, NOBODY),
    "cancelled": ("cancelled", {}, NOBODY),
    "expired": ("expired", {}, NOBODY),
    "sent": ("sent", {}, NONE),
    "uncertain": ("uncertain", {}, NONE),
    "rejected later": ("failed", PROVEN, NONE),
    "taken": ("failed", {"accepted_at": NOW}, NONE),
    "on somebody's word": ("cancelled", {"resolved_at": NOW, "resolved_by": "user:x"}, NONE),
    "sent again": ("pending", PROVEN, NONE),
}


async def test_without_receipts_it_is_said_whether_anybody_can_have_got_it(
    desk: Desk, running: RunningApp, cast: Cast, database: Database
) -> None:
    async with database.writing() as session:
        made = {
            name: await put_message(session, desk, status, **facts)
            for name, (status, facts, _) in EMPTY.items()
        }
        known = await put_message(session, desk, "sent")
        own: dict[str, Any] = {"organization_id": desk.organization_id, "message_id": known}
        for reader in (READERS[0], "77@lid"):
            await make_receipt(session, **own, reader=reader)
    async with running.client(headers={"Accept": "text/html", "Origin": BASE_URL}) as browser:
        await browser.post("/login", data={"email": cast.viewer.email, "password": PASSWORD})
        pages = {name: (await browser.get(f"/messages/{each}")).text for name, each in made.items()}
        page = (await browser.get(f"/messages/{known}")).text
    for name, (*_, sentence) in EMPTY.items():
        found = [each for each in (NOTHING_YET, NOBODY, NONE) if f">{each}<" in pages[name]]
        assert found == [sentence], name
    assert ">+91 98765 43210<" in page
    assert ">77@lid<" in page


def test_a_command_says_that_of_what_was_not_sent_nobody_got_anything(
    failed_message: UUID,
) -> None:
    assert run(failed_message).stdout == f"{NOBODY}\n"
