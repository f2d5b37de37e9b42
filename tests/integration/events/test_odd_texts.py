"""Characters and numbers that nobody means: refused, or not found, and never a failure."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.integration.groups.test_pages import signed_in
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.factories import make_template

from groupline.db import Database
from groupline.http.schemas import encode_cursor


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(running, cast.admin) as browser:
        yield browser


@pytest.mark.parametrize("kind", ["templates", "sequences"])
@pytest.mark.parametrize("words", ["\x00", "%", "\\", "_", "a" * 200, "\u200b"])
async def test_any_words_can_be_searched_for(
    browser: httpx.AsyncClient, kind: str, words: str
) -> None:
    for url in (f"/{kind}", f"/api/v1/{kind}"):
        assert (await browser.get(url, params={"q": words})).status_code in (200, 422)


@pytest.mark.parametrize("kind", ["templates", "sequences"])
@pytest.mark.parametrize("cursor", ["x", encode_cursor("a", "b"), encode_cursor("\ud800", "x")])
async def test_what_is_no_place_in_a_list_is_refused(
    browser: httpx.AsyncClient, kind: str, cursor: str
) -> None:
    for url in (f"/{kind}", f"/api/v1/{kind}"):
        assert (await browser.get(url, params={"cursor": cursor})).status_code == 422


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b"])
async def test_control_characters_are_refused_by_the_name_of_their_field(
    browser: httpx.AsyncClient, char: str
) -> None:
    odd = f"a{char}b"
    for body, field in (
        ({"name": odd, "content": "x"}, "name"),
        ({"name": "x", "content": odd}, "content"),
    ):
        answer = await browser.post("/api/v1/templates", json=body)
        assert (answer.status_code, [*answer.json()["fields"]]) == (422, [field])
        assert (await browser.post("/templates/new", data=body)).status_code == 422
    assert (await browser.post("/sequences", data={"name": odd})).status_code == 422
    shown = await browser.post("/templates/new", data={"content": odd, "action": "preview"})
    assert shown.status_code == 200


@pytest.mark.parametrize(
    "start", ["9999-12-31T23:59", "0001-01-01T00:00", "x", "2026-13-01", "\x00"]
)
async def test_a_start_that_cannot_be_shows_the_example(
    browser: httpx.AsyncClient, start: str, database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        template = await make_template(session, organization_id=cast.organization_id)
    made = await browser.post("/sequences", data={"name": "x"})
    step = {"template": str(template.id), "offset": "1 day before"}
    await browser.post(f"{made.url.path}/steps", data=step)

    page = await browser.get(made.url.path, params={"starts_at": start})

    assert page.status_code == 200
    assert "Sun 08 Mar 2026, 19:00 IST" in page.text


@pytest.mark.parametrize("day", ["999999999", "-999999999", "1e9", "٣"])
async def test_a_day_that_is_too_far_away_is_refused(
    browser: httpx.AsyncClient, day: str, database: Database, cast: Cast
) -> None:
    async with database.writing() as session:
        template = await make_template(session, organization_id=cast.organization_id)
    made = await browser.post("/sequences", data={"name": "x"})
    step = {"template": str(template.id), "kind": "clock", "day": day, "at": "10:00"}
    assert (await browser.post(f"{made.url.path}/steps", data=step)).status_code == 422
