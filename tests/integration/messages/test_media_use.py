"""Media in the API and on the page: looked at once, before anything is written."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import func, select
from tests.integration.messages.desk import Desk
from tests.support.app import RunningApp, open_test_runtime, running_app
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.media import MediaServer, media_server

from groupline.db import Database
from groupline.models import ScheduledWhatsappMessage
from groupline.orgs.rules import Scope

URL = "/api/v1/messages"


@pytest.fixture
async def server() -> AsyncIterator[MediaServer]:
    async with media_server() as running:
        yield running


@pytest.fixture
async def at_home(database: Database, clock: ManualClock) -> AsyncIterator[RunningApp]:
    """An installation whose media lies in its own network, and that says so."""
    async with (
        open_test_runtime(database, clock, media_allow_private=True) as runtime,
        running_app(runtime) as app,
    ):
        yield app


def body(desk: Desk, **media: str) -> dict[str, object]:
    groups = [str(each) for each in desk.groups]
    return {"numberId": str(desk.number_id), "groupIds": groups, "content": "", **media}


async def test_the_kind_is_found_and_a_repetition_does_not_look_again(
    at_home: RunningApp, cast: Cast, desk: Desk, server: MediaServer
) -> None:
    asked = body(desk, mediaUrl=f"{server.url}/file.mp4")
    headers = {"Idempotency-Key": "once"}
    async with await at_home.client_of(cast.operator, Scope.SEND) as client:
        first = await client.post(URL, json=asked, headers=headers)
        again = await client.post(URL, json=asked, headers=headers)
    assert (first.status_code, again.content) == (201, first.content)
    items = first.json()["items"]
    assert {each["mediaType"] for each in items} == {"video"}
    assert len(items) == 2
    assert server.requests == ["/file.mp4"]


@pytest.mark.parametrize(
    ("path", "kind", "why"),
    [
        ("/file.html", "image", "leads to a web page"),
        ("/file.pdf", "image", "leads to a document, not to an image"),
        ("/gone", None, "is answered with 410"),
    ],
)
async def test_what_cannot_be_sent_is_refused_and_nothing_is_written(
    *,
    at_home: RunningApp,
    cast: Cast,
    desk: Desk,
    database: Database,
    server: MediaServer,
    path: str,
    kind: str | None,
    why: str,
) -> None:
    media = {"mediaUrl": f"{server.url}{path}"} | ({"mediaType": kind} if kind else {})
    async with await at_home.client_of(cast.operator, Scope.SEND) as client:
        answer = await client.post(URL, json=body(desk, **media))
    assert answer.status_code == 422
    assert why in answer.json()["fields"]["mediaUrl"]
    message = ScheduledWhatsappMessage
    async with database.reading() as session:
        count = select(func.count()).where(message.organization_id == desk.organization_id)
        assert await session.scalar(count) == 0


async def test_without_that_setting_the_own_network_is_refused(
    running: RunningApp, cast: Cast, desk: Desk, server: MediaServer
) -> None:
    async with await running.client_of(cast.operator, Scope.SEND) as client:
        answer: httpx.Response = await client.post(
            URL, json=body(desk, mediaUrl=f"{server.url}/file.png")
        )
    assert answer.status_code == 422
    assert answer.json()["detail"] == "The media address leads into a private network."
    assert server.requests == []
