"""A time without an offset that a change of the clocks skips or shows twice is said, as it is of
events."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.integration.messages.desk import Desk
from tests.support.app import RunningApp
from tests.support.cast import Cast

from groupline.db import Database
from groupline.models import Organization

API = "/api/v1"
SKIPPED, REPEATED = "2026-03-29T02:30:00", "2026-10-25T02:30:00"


@pytest.fixture
async def client(
    running: RunningApp, cast: Cast, database: Database
) -> AsyncIterator[httpx.AsyncClient]:
    async with database.writing() as session:
        await session.execute(
            update(Organization)
            .where(Organization.id == cast.organization_id)
            .values(timezone="Europe/Berlin")
        )
    async with await running.client_of(cast.owner) as client:
        yield client


def notes(answer: httpx.Response) -> list[tuple[str, str, datetime]]:
    assert answer.status_code in (200, 201), answer.text
    found: list[dict[str, Any]] = answer.json()["timeNotes"]
    return [
        (each["field"], each["kind"], datetime.fromisoformat(each["becomes"])) for each in found
    ]


def message(desk: Desk, **times: str) -> dict[str, Any]:
    return {
        "numberId": str(desk.number_id),
        "groupIds": [str(desk.groups[0])],
        "content": "We start",
        **times,
    }


async def test_messages_are_scheduled_for_what_their_times_become(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    asked = message(desk, scheduledFor=SKIPPED, expiresAt=REPEATED)
    answer = await client.post(f"{API}/messages", json=asked)
    skipped, repeated = (
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    )
    assert notes(answer) == [
        ("scheduledFor", "skipped", skipped),
        ("expiresAt", "repeated", repeated),
    ]
    assert "02:30" in answer.json()["timeNotes"][0]["sentence"]
    (made,) = answer.json()["items"]
    assert datetime.fromisoformat(made["scheduledFor"]) == skipped
    assert datetime.fromisoformat(made["expiresAt"]) == repeated


@pytest.mark.parametrize(
    "clear", ["2026-03-29T03:30:00", "2026-10-25T02:30:00+01:00", "2026-03-29T01:30:00Z"]
)
async def test_of_a_clear_time_there_is_nothing_to_say(
    desk: Desk, client: httpx.AsyncClient, clear: str
) -> None:
    asked = message(desk, scheduledFor=clear)
    assert notes(await client.post(f"{API}/messages", json=asked)) == []


async def test_campaigns_say_it_when_they_are_made_and_when_they_are_changed(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    asked = message(desk, name="Spring", scheduledFor=SKIPPED)
    made = await client.post(f"{API}/campaigns", json=asked)
    becomes = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert notes(made) == [("scheduledFor", "skipped", becomes)]
    path = f"{API}/campaigns/{made.json()['id']}"
    changed = await client.patch(path, json={"scheduledFor": REPEATED})
    becomes = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert notes(changed) == [("scheduledFor", "repeated", becomes)]
    assert notes(await client.patch(path, json={"name": "Autumn"})) == []
