"""The pages of people: logging in, the first run, members, API keys, the account."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast, Person
from tests.support.clock import NOW
from tests.support.factories import make_gateway, make_member

from groupline.http.auth import safe_next
from groupline.orgs.links import make_setup_link

HEADERS = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
OWNER = {
    "organizationName": "Morning Workshops",
    "name": "First Owner",
    "email": "owner@example.test",
    "password": "a long password",
    "timezone": "Asia/Kolkata",
}


@asynccontextmanager
async def signed_in(running: RunningApp, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with running.client(headers=HEADERS) as client:
        answer = await client.post("/login", data={"email": person.email, "password": PASSWORD})
        assert answer.status_code == 303
        yield client


def secret_in(page: str, start: str) -> str:
    found = re.search(rf"{re.escape(start)}[\w-]+", page)
    assert found
    return found.group()


async def test_the_login_leads_back_to_where_one_wanted_to_go(
    running: RunningApp, cast: Cast
) -> None:
    async with running.client(headers=HEADERS) as client:
        sent = await client.get("/settings/members?cursor=x")
        assert sent.headers["location"] == "/login?next=/settings/members%3Fcursor%3Dx"
        page = await client.get(sent.headers["location"])
        assert 'value="/settings/members?cursor=x"' in page.text
        done = await client.post(
            "/login",
            data={
                "email": cast.admin.email,
                "password": PASSWORD,
                "next": "/settings/members?cursor=x",
            },
        )
        assert (done.status_code, done.headers["location"]) == (303, "/settings/members?cursor=x")
        again = await client.get("/login?next=/settings/account")
        assert (again.status_code, again.headers["location"]) == (303, "/settings/account")


@pytest.mark.parametrize(
    "url",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", ""),
        *("javascript:alert(1)", "/a\\b", "/a\nb", "/login", "/logout", "evil"),
    ],
)
def test_the_login_leads_nowhere_else(url: str) -> None:
    assert safe_next(url) == "/"


async def test_a_wrong_password_shows_the_page_again_without_it(
    running: RunningApp, cast: Cast
) -> None:
    async with running.client(headers=HEADERS) as client:
        answer = await client.post(
            "/login", data={"email": cast.viewer.email, "password": "a wrong password"}
        )
    assert answer.status_code == 401
    assert "The email address or the password is wrong." in answer.text
    assert f'value="{cast.viewer.email}"' in answer.text
    assert "a wrong password" not in answer.text
    assert "set-cookie" not in answer.headers


async def test_too_many_attempts_say_when_to_come_again(running: RunningApp, cast: Cast) -> None:
    facts = {"email": cast.viewer.email, "password": "a wrong password"}
    async with running.client(headers=HEADERS) as client:
        for _ in range(10):
            await client.post("/login", data=facts)
        answer = await client.post("/login", data=facts)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "Try again in 16 min." in answer.text or "Try again in 15 min." in answer.text


async def test_before_the_first_run_the_login_says_how_to_begin(running: RunningApp) -> None:
    async with running.client(headers=HEADERS) as client:
        page = await client.get("/login")
    assert "Groupline is not set up yet" in page.text


async def test_logging_out_forgets_the_browser(running: RunningApp, cast: Cast) -> None:
    async with signed_in(running, cast.viewer) as client:
        answer = await client.post("/logout")
        assert answer.headers["location"] == "/login"
        page = await client.get("/settings/account")
    assert page.status_code == 303


async def test_the_first_run_is_one_page_and_a_choice(running: RunningApp) -> None:
    async with running.runtime.database.writing() as session:
        link = f"/setup/{await make_setup_link(session, now=NOW)}"
        await make_gateway(session, engine="simulator")
    async with running.client(headers=HEADERS) as client:
        page = await client.get(link)
        assert page.status_code == 200
        assert '<option value="Asia/Kolkata"' in page.text
        wrong = await client.post(link, data=OWNER | {"email": "x", "password": "short"})
        assert wrong.status_code == 422
        assert 'value="Morning Workshops"' in wrong.text
        assert "is not an email address" in wrong.text
        done = await client.post(link, data=OWNER)
        assert (done.status_code, done.headers["location"]) == (303, "/welcome")
        welcome = await client.get("/welcome")
        assert "Try with simulated phones" in welcome.text
        assert 'href="/settings/connection?start=simulator"' in welcome.text
        assert 'href="/settings/gateways"' in welcome.text  # none of them reaches WhatsApp
        assert (await client.get(link)).status_code == 404


async def test_a_link_that_is_over_says_so(running: RunningApp) -> None:
    async with running.client(headers=HEADERS) as client:
        page = await client.get("/setup/never-made")
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")


async def test_a_new_member_is_added_and_chooses_a_password(
    running: RunningApp, cast: Cast
) -> None:
    async with signed_in(running, cast.admin) as admin:
        added = await admin.post(
            "/settings/members", data={"email": "new@example.test", "role": "viewer"}
        )
        link = secret_in(added.text, f"{BASE_URL}/setup/")
        later = await admin.get("/settings/members")
        assert link not in later.text
        assert "Invited" in later.text
    async with running.client(headers=HEADERS) as client:
        page = await client.get(link)
        assert "new@example.test" in page.text
        weak = await client.post(f"{link}/password", data={"password": "short"})
        assert weak.status_code == 422
        done = await client.post(f"{link}/password", data={"password": "a long password"})
        assert done.status_code == 303
        assert (await client.get("/settings/account")).status_code == 200


async def test_an_admin_sees_owners_without_controls(running: RunningApp, cast: Cast) -> None:
    async with signed_in(running, cast.admin) as admin, signed_in(running, cast.owner) as owner:
        action = f"/settings/members/{cast.owner.user_id}/"
        assert action not in (await admin.get("/settings/members")).text
        assert action in (await owner.get("/settings/members")).text


async def test_roles_are_changed_and_members_removed(running: RunningApp, cast: Cast) -> None:
    viewer = f"/settings/members/{cast.viewer.user_id}"
    async with signed_in(running, cast.owner) as owner:
        changed = await owner.post(f"{viewer}/role", data={"role": "operator"})
        assert changed.status_code == 303
        removed = await owner.post(f"{viewer}/remove")
        assert removed.status_code == 303
        page = await owner.get("/settings/members")
        assert cast.viewer.email not in page.text
        last = await owner.post(f"/settings/members/{cast.owner.user_id}/remove")
        assert last.status_code == 409
        assert "only owner" in last.text


async def test_a_key_is_shown_once_and_revoked(running: RunningApp, cast: Cast) -> None:
    async with signed_in(running, cast.admin) as admin:
        empty = await admin.get("/settings/api-keys")
        assert "No API keys yet" in empty.text
        assert 'value="admin"' not in empty.text  # more than an admin may do
        wrong = await admin.post("/settings/api-keys", data={"name": "Reporting"})
        assert wrong.status_code == 422
        assert "choose at least one" in wrong.text
        made = await admin.post(
            "/settings/api-keys", data={"name": "Reporting", "scopes": ["read", "send"]}
        )
        key = secret_in(made.text, "glk_")
        async with running.client(headers={"Authorization": f"Bearer {key}"}) as program:
            assert (await program.get("/api/v1/organization")).status_code == 200
            page = await admin.get("/settings/api-keys")
            assert key not in page.text
            revoke = secret_in(page.text, "/settings/api-keys/") + "/revoke"
            assert (await admin.post(revoke)).status_code == 303
            assert (await program.get("/api/v1/organization")).status_code == 401


async def test_the_organization_is_changed_by_owners_only(running: RunningApp, cast: Cast) -> None:
    wanted = {"name": "New Name", "slug": "new-name", "timezone": "UTC"}
    async with signed_in(running, cast.admin) as admin, signed_in(running, cast.owner) as owner:
        assert "An owner of the organization" in (await admin.get("/settings/organization")).text
        assert (await admin.post("/settings/organization", data=wanted)).status_code == 403
        wrong = await owner.post("/settings/organization", data=wanted | {"slug": "outside"})
        assert wrong.status_code == 422
        assert "is taken by another organization" in wrong.text
        assert (await owner.post("/settings/organization", data=wanted)).status_code == 303
        assert 'value="new-name"' in (await owner.get("/settings/organization")).text


async def test_the_account_changes_name_and_password_and_ends_logins(
    running: RunningApp, cast: Cast
) -> None:
    account = "/settings/account"
    async with signed_in(running, cast.viewer) as here, signed_in(running, cast.viewer) as there:
        renamed = await here.post(f"{account}/name", data={"name": "New Name"})
        assert renamed.status_code == 303
        page = await here.get(account)
        assert "New Name" in page.text
        assert "This browser" in page.text
        wrong = await here.post(
            f"{account}/password", data={"currentPassword": "x", "newPassword": "a long password"}
        )
        assert wrong.status_code == 422
        assert "a long password" not in wrong.text
        done = await here.post(
            f"{account}/password",
            data={"currentPassword": PASSWORD, "newPassword": "a long password"},
        )
        assert done.status_code == 303
        assert (await there.get(account)).status_code == 303
        assert (await here.get(account)).status_code == 200


async def test_pages_follow_the_organization_that_was_entered(
    running: RunningApp, cast: Cast
) -> None:
    async with running.runtime.database.writing() as session:
        await make_member(
            session,
            organization_id=cast.outside_organization_id,
            user_id=cast.viewer.user_id,
            role="owner",
        )
    async with signed_in(running, cast.viewer) as client:
        assert "An owner of the organization" in (await client.get("/settings/organization")).text
        await client.post("/organizations/outside/enter")
        assert 'value="outside"' in (await client.get("/settings/organization")).text


async def test_what_people_type_is_shown_as_text(running: RunningApp, cast: Cast) -> None:
    script = "<script>alert(1)</script>"
    async with signed_in(running, cast.owner) as owner:
        await owner.post("/settings/account/name", data={"name": script})
        await owner.post("/settings/api-keys", data={"name": script, "scopes": ["read"]})
        for path in ("account", "members", "api-keys", "organization"):
            assert script not in (await owner.get(f"/settings/{path}")).text
