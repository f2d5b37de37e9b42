"""Who asks, over HTTP: cookies, keys, roles, organizations."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.support.app import RunningApp, open_test_runtime, running_app
from tests.support.cast import PASSWORD, Cast, Person
from tests.support.clock import NOW, ManualClock
from tests.support.factories import make_member

from groupline.db import Database
from groupline.orgs.links import make_setup_link
from groupline.orgs.rules import Scope

API = "/api/v1"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}

# One route for each permission of people's affairs, and a body that it takes.
CALLS: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "read": ("GET", "/organization", None),
    "members": ("GET", "/members", None),
    "organization": ("PATCH", "/organization", {"name": "Inside"}),
    "installation": ("GET", "/gateways", None),
}


@asynccontextmanager
async def signed_in(running: RunningApp, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with running.client(headers=SAME_ORIGIN) as client:
        answer = await client.post(
            f"{API}/account/login", json={"email": person.email, "password": PASSWORD}
        )
        assert answer.status_code == 200
        yield client


async def outcome(client: httpx.AsyncClient, call: str) -> int:
    method, path, body = CALLS[call]
    return (await client.request(method, API + path, json=body)).status_code


async def allowed_calls(client: httpx.AsyncClient) -> set[str]:
    outcomes = {call: await outcome(client, call) for call in CALLS}
    assert set(outcomes.values()) <= {200, 403}
    return {call for call, status in outcomes.items() if status == 200}


async def test_each_role_gets_exactly_its_share(running: RunningApp, cast: Cast) -> None:
    share = {}
    for person in cast.members:
        async with signed_in(running, person) as client:
            share[person.role] = await allowed_calls(client)
    assert share == {
        "viewer": {"read"},
        "operator": {"read"},
        "admin": {"read", "members"},
        "owner": {"read", "members", "organization", "installation"},
    }


async def test_each_scope_gets_exactly_its_share(running: RunningApp, cast: Cast) -> None:
    share = {}
    for scope in Scope:
        async with await running.client_of(cast.owner, scope) as program:
            share[scope.value] = await allowed_calls(program)
    assert share == {
        "read": {"read"},
        "write": {"read"},
        "send": {"read"},
        "admin": {"read", "members", "organization"},
    }


@pytest.mark.parametrize(
    "authorization", ["Bearer glk_wrong", "Bearer ", "bearer x" + "y" * 5000, "Bearer login"]
)
async def test_a_wrong_key_is_refused_even_with_a_good_cookie(
    running: RunningApp, cast: Cast, authorization: str
) -> None:
    async with signed_in(running, cast.owner) as client:
        answer = await client.get(f"{API}/organization", headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_another_kind_of_authorization_is_not_ours_and_the_cookie_counts(
    running: RunningApp, cast: Cast
) -> None:
    async with signed_in(running, cast.owner) as client:
        answer = await client.get(f"{API}/organization", headers={"Authorization": "Basic eDp5"})
    assert answer.status_code == 200


@pytest.mark.parametrize("cookie", ["wrong", "", "x" * 5000])
async def test_a_wrong_cookie_is_nobody(running: RunningApp, cast: Cast, cookie: str) -> None:
    async with running.client(headers={"Cookie": f"groupline_login={cookie}"}) as client:
        assert (await client.get(f"{API}/account")).status_code == 401


async def login_headers(running: RunningApp, person: Person) -> str:
    async with running.client() as client:
        answer = await client.post(
            f"{API}/account/login", json={"email": person.email, "password": PASSWORD}
        )
    return answer.headers["set-cookie"]


async def test_the_cookie_is_kept_from_scripts_and_other_sites(
    running: RunningApp, cast: Cast
) -> None:
    cookie = await login_headers(running, cast.viewer)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert f"Max-Age={30 * 86_400}" in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie


async def test_behind_https_the_cookie_stays_there(
    database: Database, clock: ManualClock, cast: Cast
) -> None:
    async with (
        open_test_runtime(database, clock, base_url="https://groupline.example") as runtime,
        running_app(runtime) as running,
    ):
        assert "Secure" in await login_headers(running, cast.viewer)


async def test_logging_out_ends_the_login_on_the_server(running: RunningApp, cast: Cast) -> None:
    async with signed_in(running, cast.viewer) as client:
        kept = dict(client.cookies)
        assert (await client.post(f"{API}/account/logout")).status_code == 204
        assert not client.cookies
    async with running.client(cookies=kept) as thief:
        assert (await thief.get(f"{API}/account")).status_code == 401


async def test_a_removed_member_is_out_at_once(running: RunningApp, cast: Cast) -> None:
    async with signed_in(running, cast.viewer) as viewer, signed_in(running, cast.owner) as owner:
        assert (await viewer.get(f"{API}/organization")).status_code == 200
        removed = await owner.delete(f"{API}/members/{cast.viewer.user_id}")
        assert removed.status_code == 204
        answer = await viewer.get(f"{API}/organization")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert (await viewer.get(f"{API}/account")).json()["organizations"] == []


async def test_a_person_of_two_organizations_chooses_by_header_and_by_cookie(
    running: RunningApp, cast: Cast
) -> None:
    async with running.runtime.database.writing() as session:
        await make_member(
            session,
            organization_id=cast.outside_organization_id,
            user_id=cast.viewer.user_id,
            role="admin",
        )

    async def slug(client: httpx.AsyncClient, named: str | None = None) -> str:
        headers = {"Groupline-Organization": named} if named else {}
        answer = await client.get(f"{API}/organization", headers=headers)
        return str(answer.json()["slug"])

    async with signed_in(running, cast.viewer) as client:
        assert await slug(client) == "inside"
        assert await slug(client, "outside") == "outside"
        assert await slug(client, str(cast.outside_organization_id)) == "outside"
        entered = await client.post("/organizations/outside/enter")
        assert entered.status_code == 303
        assert await slug(client) == "outside"
        assert await slug(client, "inside") == "inside"
        members = await client.get(f"{API}/members")
        assert members.status_code == 200  # admin there
        there = await client.get(f"{API}/members", headers={"Groupline-Organization": "inside"})
        assert there.status_code == 403  # viewer here


async def test_an_organization_that_is_not_mine_is_like_one_that_is_not(
    running: RunningApp, cast: Cast
) -> None:
    async with signed_in(running, cast.viewer) as client:
        problems = [
            (await client.get(f"{API}/organization", headers={"Groupline-Organization": name}))
            for name in ("outside", "nowhere", str(cast.outside_organization_id))
        ]
    assert [each.status_code for each in problems] == [404] * 3
    assert problems[0].json() == problems[1].json() == problems[2].json()


async def test_too_many_attempts_pause_with_retry_after(running: RunningApp, cast: Cast) -> None:
    facts = {"email": cast.viewer.email, "password": "a wrong password"}
    async with running.client() as client:
        statuses = [
            (await client.post(f"{API}/account/login", json=facts)).status_code for _ in range(11)
        ]
        answer = await client.post(f"{API}/account/login", json=facts)
    assert statuses == [401] * 10 + [429]
    assert 0 < int(answer.headers["Retry-After"]) <= 901
    assert answer.json()["retryAfter"] == int(answer.headers["Retry-After"])


async def test_the_account_lists_its_logins_and_ends_them(running: RunningApp, cast: Cast) -> None:
    async with signed_in(running, cast.viewer) as here, signed_in(running, cast.viewer) as there:
        logins = (await here.get(f"{API}/account/logins")).json()["items"]
        assert [each["isCurrent"] for each in logins] == [False, True]
        (other,) = [each["id"] for each in logins if not each["isCurrent"]]
        assert (await here.delete(f"{API}/account/logins/{other}")).status_code == 204
        assert (await here.delete(f"{API}/account/logins/{other}")).status_code == 404
        assert (await there.get(f"{API}/account")).status_code == 401


async def test_the_first_run_over_the_api(running: RunningApp) -> None:
    async with running.runtime.database.writing() as session:
        token = await make_setup_link(session, now=NOW)
    facts = {
        "token": token,
        "organizationName": "Morning Workshops",
        "name": "First Owner",
        "email": "owner@example.test",
        "password": "a long password",
        "timezone": "Asia/Kolkata",
    }
    async with running.client() as client:
        answer = await client.post(f"{API}/setup", json=facts)
        assert answer.status_code == 201
        assert answer.json()["organization"]["slug"] == "morning-workshops"
        account = (await client.get(f"{API}/account")).json()
        again = await client.post(f"{API}/setup", json=facts)
    assert account["isInstanceAdmin"] is True
    assert account["organizations"][0]["role"] == "owner"
    assert again.status_code == 404


async def test_a_new_member_comes_in_by_the_link(running: RunningApp, cast: Cast) -> None:
    async with await running.client_of(cast.admin, Scope.READ) as reader:
        assert (await reader.post(f"{API}/members", json={})).status_code == 403
    async with signed_in(running, cast.admin) as admin:
        added = await admin.post(
            f"{API}/members", json={"email": "new@example.test", "role": "operator"}
        )
    assert added.status_code == 201
    assert added.json()["isInvited"] is True
    token = added.json()["setupUrl"].rpartition("/")[2]
    async with running.client() as client:
        chosen = await client.post(
            f"{API}/setup/password", json={"token": token, "password": "a long password"}
        )
        assert chosen.status_code == 200
        account = (await client.get(f"{API}/account")).json()
    assert account["email"] == "new@example.test"


async def test_lists_come_in_pages_without_gaps(running: RunningApp, cast: Cast) -> None:
    async with await running.client_of(cast.owner) as program:
        for name in ("one", "two", "three"):
            await program.post(f"{API}/api-keys", json={"name": name, "scopes": ["read"]})
        for path, key in (("members", "email"), ("api-keys", "id")):
            whole = (await program.get(f"{API}/{path}")).json()
            assert whole["nextCursor"] is None
            seen, cursor = [], ""
            while cursor is not None:
                query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
                page = (await program.get(f"{API}/{path}", params=query)).json()
                seen += [each[key] for each in page["items"]]
                cursor = page["nextCursor"]
            assert seen == [each[key] for each in whole["items"]]
            odd = await program.get(f"{API}/{path}", params={"cursor": "odd"})
            assert (odd.status_code, odd.json()["fields"]) == (422, {"cursor": "is not valid"})


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/members", {"email": "x", "role": "viewer"}, "email"),
        ("/members", {"email": "a@b.test", "role": "king"}, "role"),
        ("/members", {"email": "a@b.test", "role": "viewer", "extra": 1}, "extra"),
        ("/members", {"email": "a@b.test"}, "role"),
        ("/api-keys", {"name": "k", "scopes": []}, "scopes"),
        ("/api-keys", {"name": "k", "scopes": ["all"]}, "scopes.0"),
        ("/api-keys", {"name": "", "scopes": ["read"]}, "name"),
    ],
)
async def test_bad_input_names_its_field_and_writes_nothing(
    running: RunningApp, cast: Cast, path: str, body: dict[str, Any], field: str
) -> None:
    async with await running.client_of(cast.owner) as program:
        before = (await program.get(API + path)).json()
        answer = await program.post(API + path, json=body)
        after = (await program.get(API + path)).json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.json()["fields"]
    assert after == before
