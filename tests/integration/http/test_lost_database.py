"""What is answered when PostgreSQL is lost: before, in, and after the commit of a request."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import func, select
from tests.support.app import RunningApp, open_test_runtime, running_app
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.proxy import Proxy, proxy_to

from groupline.api import health
from groupline.db import Announcements, Database
from groupline.models import Template

pytestmark = pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)

TEMPLATE = {"name": "Welcome", "content": "Good morning"}
PAGE = {"Accept": "text/html"}


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    async with proxy_to(database_url) as proxy:
        yield proxy


@pytest.fixture
async def app(proxy: Proxy, clock: ManualClock) -> AsyncIterator[RunningApp]:
    database = Database(proxy.url, announcements=Announcements())
    async with open_test_runtime(database, clock) as runtime, running_app(runtime) as app:
        yield app
    await database.dispose()


@pytest.fixture
async def client(app: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with await app.client_of(cast.owner) as client:
        yield client


async def templates(database: Database) -> int:
    async with database.reading() as session:
        return (await session.execute(select(func.count()).select_from(Template))).scalar_one()


async def test_a_request_that_was_saved_is_not_called_unchanged_and_can_be_repeated(
    client: httpx.AsyncClient, proxy: Proxy, database: Database
) -> None:
    await client.get("/api/v1/templates")  # the key is noted as used: that is a commit too
    key = {"Idempotency-Key": "once"}
    proxy.lose_the_answer_to(b"COMMIT")
    lost = await client.post("/api/v1/templates", json=TEMPLATE, headers=key)
    assert await templates(database) == 1
    assert (lost.status_code, lost.json()["code"]) == (500, "db_outcome_unknown")
    assert "othing was changed" not in lost.text
    assert "same Idempotency-Key" in lost.json()["hint"]

    again = await client.post("/api/v1/templates", json=TEMPLATE, headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert await templates(database) == 1


async def test_a_database_that_is_away_is_a_503_for_programs_and_a_page_that_comes_back(
    client: httpx.AsyncClient, app: RunningApp, proxy: Proxy
) -> None:
    await proxy.close()
    api = await client.get("/api/v1/templates")
    page = await client.get("/login", headers=PAGE | {"Cookie": "groupline_login=x"})
    ready = await client.get("/readyz")
    await proxy.open()

    assert (api.status_code, api.json()["code"]) == (503, "db_unreachable")
    assert api.headers["retry-after"]
    assert page.status_code == 503
    assert page.headers["retry-after"]
    assert "The database cannot be reached" in page.text
    assert "Groupline made a mistake" not in page.text
    assert "/static/retry.js" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert (ready.status_code, ready.json()["checks"]["database"]["ok"]) == (503, False)
    assert (await client.get("/api/v1/templates")).status_code == 200


async def test_a_page_of_a_form_does_not_repeat_it_by_itself(
    client: httpx.AsyncClient, proxy: Proxy
) -> None:
    await proxy.close()
    page = await client.post("/login", headers=PAGE, data={"email": "a@b.example", "password": "x"})
    await proxy.open()
    assert page.status_code == 503
    assert "Nothing was changed." in page.text
    assert 'http-equiv="refresh"' not in page.text


async def test_whether_it_is_ready_is_answered_while_the_database_is_silent(
    app: RunningApp, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its connections are, and none is free."""
    monkeypatch.setattr(health, "READY_SECONDS", 0.5)
    await app.runtime.database.ping()
    proxy.go_silent()
    begun = time.monotonic()
    async with app.client() as nobody:
        answer = await nobody.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"]["detail"] == "The database cannot be reached."
    assert time.monotonic() - begun < 8, "without its limit it takes nine, and ten are too many"
