"""Templates and sequences when several people change them at the same moment; and their media."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.support.app import open_test_runtime, running_app
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.factories import make_template
from tests.support.media import MediaServer, media_server

from groupline.db import Database
from groupline.models import SequenceStep, Template
from groupline.orgs.rules import Scope

TEMPLATES, SEQUENCES = "/api/v1/templates", "/api/v1/sequences"


@pytest.fixture
async def client(
    database: Database, clock: ManualClock, cast: Cast
) -> AsyncIterator[httpx.AsyncClient]:
    """Of an installation that may look at media on this machine."""
    async with (
        open_test_runtime(database, clock, media_allow_private=True) as runtime,
        running_app(runtime) as running,
        await running.client_of(cast.admin, Scope.READ, Scope.WRITE) as client,
    ):
        yield client


@pytest.fixture
async def template(database: Database, cast: Cast) -> Template:
    async with database.writing() as session:
        return await make_template(session, organization_id=cast.organization_id, name="Hello")


async def at_once(*calls: Any) -> list[int]:
    return sorted(answer.status_code for answer in await asyncio.gather(*calls))


@pytest.mark.parametrize("url", [TEMPLATES, SEQUENCES])
async def test_two_of_one_name_are_one(client: httpx.AsyncClient, url: str) -> None:
    body = {"name": "Same"} | ({"content": "x"} if url == TEMPLATES else {})
    statuses = await at_once(*(client.post(url, json=body) for _ in range(4)))
    assert statuses == [201, 422, 422, 422]
    assert (await client.get(url)).json()["total"] == 1


async def test_the_same_steps_from_several_sides_are_there_once(
    client: httpx.AsyncClient, template: Template, database: Database
) -> None:
    made = (await client.post(SEQUENCES, json={"name": "Reminders"})).json()
    steps = [{"templateId": str(template.id), "offsetMinutes": n} for n in (-10, 0, 10)]
    url = f"{SEQUENCES}/{made['id']}/steps"

    assert await at_once(*(client.put(url, json={"steps": steps}) for _ in range(4))) == [200] * 4

    async with database.reading() as session:
        assert len(list(await session.scalars(select(SequenceStep)))) == 3


async def test_a_template_is_removed_or_sent_and_never_both(
    client: httpx.AsyncClient, template: Template
) -> None:
    made = (await client.post(SEQUENCES, json={"name": "Reminders"})).json()
    steps = [{"templateId": str(template.id), "offsetMinutes": 0}]
    url = f"{SEQUENCES}/{made['id']}/steps"

    added, removed = await asyncio.gather(
        client.put(url, json={"steps": steps}), client.delete(f"{TEMPLATES}/{template.id}")
    )

    assert (added.status_code, removed.status_code) in {(200, 409), (422, 204)}
    left = (await client.get(f"{SEQUENCES}/{made['id']}")).json()["steps"]
    assert len(left) == (1 if added.status_code == 200 else 0)


# --- media -----------------------------------------------------------------------------------


@pytest.fixture
async def media() -> AsyncIterator[MediaServer]:
    async with media_server() as server:
        yield server


async def test_what_stands_at_an_address_decides_its_kind(
    client: httpx.AsyncClient, media: MediaServer
) -> None:
    body = {"name": "x", "content": "", "mediaUrl": f"{media.url}/file.png"}
    made = (await client.post(TEMPLATES, json=body)).json()
    assert (made["mediaType"], made["content"]) == ("image", "")
    url = f"{TEMPLATES}/{made['id']}"

    looked_at = len(media.requests)
    renamed = (await client.patch(url, json={"name": "y"})).json()
    assert renamed["mediaUrl"] == made["mediaUrl"]
    assert len(media.requests) == looked_at, "a change of the name looks at no media"

    other = await client.patch(
        url, json={"mediaUrl": f"{media.url}/file.png", "mediaType": "document"}
    )
    assert other.json()["mediaType"] == "document"
    without = await client.patch(url, json={"mediaUrl": None, "content": "Text"})
    assert (without.json()["mediaUrl"], without.json()["mediaType"]) == (None, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"mediaUrl": "file.html"}, "mediaUrl"),
        ({"mediaUrl": "file.png", "mediaType": "video"}, "mediaUrl"),
        ({"mediaType": "image"}, "mediaType"),
        ({"mediaUrl": None}, "content"),
    ],
)
async def test_media_that_cannot_be_sent_is_refused_and_nothing_changes(
    client: httpx.AsyncClient, media: MediaServer, change: dict[str, Any], field: str
) -> None:
    body = {"name": "x", "content": "", "mediaUrl": f"{media.url}/file.pdf"}
    made = (await client.post(TEMPLATES, json=body)).json()
    if change.get("mediaUrl"):
        change = change | {"mediaUrl": f"{media.url}/{change['mediaUrl']}"}

    refused = await client.patch(f"{TEMPLATES}/{made['id']}", json=change)

    assert refused.status_code == 422
    assert refused.json()["fields"].keys() == {field}
    assert (await client.get(f"{TEMPLATES}/{made['id']}")).json() == made
