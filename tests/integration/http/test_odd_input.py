"""Characters and parameters that nobody means: refused with their name, on both databases."""

import json
import re
from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast
from tests.support.factories import make_number

from groupline.db import Database

API = "/api/v1"
JSON = {"Content-Type": "application/json"}

TEXTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/sessions", {}, "label"),
    ("PATCH", "/numbers/{number}", {}, "displayName"),
    ("POST", "/gateways", {"baseUrl": "http://127.0.0.1:1", "apiKey": "k"}, "name"),
    ("POST", "/api-keys", {"scopes": ["read"]}, "name"),
    ("PATCH", "/organization", {}, "name"),
    ("PATCH", "/organization", {}, "slug"),
    ("POST", "/members", {"role": "viewer"}, "email"),
    ("POST", "/members", {"role": "viewer", "email": "new@example.org"}, "name"),
]


async def refused(client: httpx.AsyncClient, method: str, path: str, body: Any) -> dict[str, Any]:
    answer = await client.request(method, API + path, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422, answer.text
    fields: dict[str, Any] = answer.json()["fields"]
    return fields


@pytest.mark.parametrize("char", ["\x00", "\x07", "\ud800"])
async def test_control_characters_are_refused_by_the_name_of_their_field(
    running: RunningApp, cast: Cast, database: Database, char: str
) -> None:
    async with database.writing() as session:
        number = await make_number(session, organization_id=cast.organization_id)
    async with running.client(headers={"Sec-Fetch-Site": "same-origin"}) as owner:
        login = {"email": cast.owner.email, "password": PASSWORD}
        await owner.post(f"{API}/account/login", json=login)
        for method, path, body, field in TEXTS:
            where = path.format(number=number.id)
            fields = await refused(owner, method, where, {**body, field: f"a{char}b"})
            assert field in fields, path


@pytest.mark.parametrize("char", ["\x00", "\ud800"])
async def test_a_place_in_a_list_cannot_hold_them(
    running: RunningApp, cast: Cast, char: str
) -> None:
    async with await running.client_of(cast.owner) as client:
        for path, keys in (("/groups", [char, str(cast.organization_id)]), ("/members", [char])):
            cursor = urlsafe_b64encode(json.dumps(keys).encode()).decode()
            answer = await client.get(API + path, params={"cursor": cursor})
            assert (answer.status_code, [*answer.json()["fields"]]) == (422, ["cursor"])


async def test_a_search_for_them_finds_nothing_special(running: RunningApp, cast: Cast) -> None:
    async with await running.client_of(cast.owner) as client:
        assert (await client.get(f"{API}/groups?q=a%00b")).status_code == 200


async def test_nobody_logs_in_with_them(running: RunningApp) -> None:
    async with running.client(headers={"Sec-Fetch-Site": "same-origin"}) as client:
        body = {"email": "a\x00b@example.org", "password": PASSWORD}
        answer = await client.post(f"{API}/account/login", json=body)
        assert answer.status_code in {401, 422}


@pytest.mark.parametrize(
    ("path", "unknown"),
    [
        ("/messages?state=failed", ["state"]),
        ("/messages?limit=3&foo=1&bar=2", ["foo", "bar"]),
        ("/numbers?number_id=1", ["number_id"]),
        ("/groups?query=a", ["query"]),
        ("/sessions?page=2", ["page"]),
        ("/organization?all=1", ["all"]),
        ("/members?offset=1", ["offset"]),
    ],
)
async def test_a_parameter_that_does_not_exist_is_refused_by_name(
    running: RunningApp, cast: Cast, path: str, unknown: list[str]
) -> None:
    async with await running.client_of(cast.owner) as client:
        answer = await client.get(API + path)
    assert answer.status_code == 422
    assert [*answer.json()["fields"]] == unknown
    assert unknown[0] in answer.json()["detail"]


async def test_parameters_that_exist_are_taken_wherever_they_are_declared(
    running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.owner) as client:
        for path in ("/messages?status=failed&status=sent&limit=3", "/groups?q=a&sendable=true"):
            assert (await client.get(API + path)).status_code == 200


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/messages?limit=ten", "limit must be a whole number."),
        ("/messages?limit=0&numberId=7", "numberId is not a valid id; limit must be at least 1."),
        ("/messages?cursor=" + "x" * 501, "cursor takes at most 500 characters."),
        ("/messages?cursor=nonsense", "This cursor is not one of ours."),
    ],
)
async def test_who_only_looks_is_told_nothing_of_saving(
    running: RunningApp, cast: Cast, path: str, detail: str
) -> None:
    async with await running.client_of(cast.owner) as client:
        answer = await client.get(API + path)
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


async def test_a_search_that_is_too_long_is_called_what_people_see(
    running: RunningApp, cast: Cast
) -> None:
    async with running.client(headers={"Accept": "text/html", "Origin": BASE_URL}) as browser:
        await browser.post("/login", data={"email": cast.viewer.email, "password": PASSWORD})
        page = (await browser.get("/messages")).text
        answer = await browser.get("/messages", params={"q": "x" * 201})
    assert re.search(r'name="q"[^>]* maxlength="200"', page)
    assert answer.status_code == 422
    assert ">The search takes at most 200 characters.<" in answer.text


async def test_who_would_have_changed_something_is_told_that_nothing_was_saved(
    running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.owner) as client:
        answer = await client.post(f"{API}/sessions", json={"label": 7})
    assert answer.json()["detail"] == "Nothing was saved: label must be a text."


@pytest.mark.parametrize("said", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_not_said_to_be_json_is_refused_by_its_header(
    running: RunningApp, said: str
) -> None:
    body = json.dumps({"email": "a@example.org", "password": PASSWORD})
    async with running.client(headers={"Sec-Fetch-Site": "same-origin"}) as client:
        headers = {"Content-Type": said}
        answer = await client.post(f"{API}/account/login", content=body, headers=headers)
    assert answer.status_code == 415
    assert "Content-Type" in answer.json()["detail"]


async def test_no_shape_of_the_api_bears_the_name_of_a_module(running: RunningApp) -> None:
    shapes = running.app.openapi()["components"]["schemas"]
    assert [name for name in shapes if "__" in name] == []
