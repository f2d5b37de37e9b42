"""Nobody can learn that another organization's rows exist, or change them.

Every route of the application is walked with the ids of one organization, by the owner of another
one and by nobody. A new route is found by itself; what this test cannot call fails it: then say
below which row a path parameter names, or that the route is public by design.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support import factories
from tests.support.app import RunningApp
from tests.support.cast import PASSWORD, Cast
from tests.support.clock import NOW
from tests.support.examples import example_of

from groupline.api import API_ROUTERS, ROOT_ROUTERS
from groupline.app import API_PREFIX
from groupline.db import Database
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.http.auth import LOGIN_COOKIE, ORGANIZATION_HEADER
from groupline.models import Base
from groupline.orgs.logins import Client, open_login
from groupline.runtime import Runtime
from groupline.vault import Vault
from groupline.web import WEB_ROUTERS

MARK = "of-the-inside"

# Routes that everybody may call, and why.
PUBLIC = {
    "POST /api/v1/account/login": "it is how one gets in; it knows no organization",
    "POST /api/v1/setup": "needs the one-time link",
    "POST /api/v1/setup/password": "needs the one-time link",
    "GET /login": "the login page",
    "POST /login": "the login page",
    "GET /setup/{token}": "needs the one-time link",
    "POST /setup/{token}": "needs the one-time link",
    "POST /setup/{token}/password": "needs the one-time link",
    "GET /healthz": "says that the process lives",
    "GET /readyz": "counts over the whole installation",
    "GET /version": "says which build runs",
    "GET /metrics": "on loopback only, or with a token",
    "POST /hooks/{gateway_id}": "needs the signature of the gateway",
    "POST /hooks/{gateway_id}/{path}": "needs the signature of the gateway",
    "GET /api/v1/docs": "describes the API",
}
# Of the person, whatever their organization: no key and no organization takes part.
OWN = ("/api/v1/account", "/logout", "/organizations/")
# Refused webhooks are counted, so that somebody hears of them.
REJECTIONS = ("webhooks_rejected", "webhook_rejected_at")
# What all organizations share is for administrators of the installation.
SHARED = ("/api/v1/gateways", "/settings/gateways")


async def rows_of(session: AsyncSession, cast: Cast, vault: Vault) -> dict[str, str]:
    """For each name of a path parameter the id of such a row inside the organization."""
    inside: dict[str, Any] = {"organization_id": cast.organization_id}
    number = await factories.make_number(session, **inside)
    gateway = await factories.make_gateway(
        session, credentials=write_credentials(vault, "a key", AuthScheme.API_KEY)
    )
    phone = await factories.make_session(
        session, **inside, number_id=number.id, gateway_id=gateway.id, label=MARK
    )
    group = await factories.make_group(session, **inside, group_name=MARK)
    sequence = await factories.make_sequence(session, **inside, name=MARK)
    template = await factories.make_template(session, **inside)
    event = await factories.make_event(session, **inside, title=MARK)
    campaign = await factories.make_campaign(session, **inside, number_id=number.id, name=MARK)
    message = await factories.make_message(
        session, **inside, number_id=number.id, group_id=group.id, content=MARK
    )
    endpoint = await factories.make_webhook_endpoint(session, **inside)
    rows = {
        "user_id": cast.viewer.user_id,
        "login_id": (await factories.make_login(session, user_id=cast.viewer.user_id)).id,
        "api_key_id": (await factories.make_api_key(session, **inside, name=MARK)).id,
        "gateway_id": gateway.id,
        "number_id": number.id,
        "standby_number_id": number.id,
        "community_number_id": number.id,
        "session_id": phone.id,
        "gateway_session_id": phone.gateway_session_id,
        "group_id": group.id,
        "template_id": template.id,
        "sequence_id": sequence.id,
        "step_id": (
            await factories.make_step(
                session, **inside, sequence_id=sequence.id, template_id=template.id
            )
        ).id,
        "event_id": event.id,
        "workshop_id": event.id,
        "webinar_id": event.id,
        "campaign_id": campaign.id,
        "message_id": message.id,
        "endpoint_id": endpoint.id,
        "delivery_id": (
            await factories.make_webhook_delivery(session, **inside, endpoint_id=endpoint.id)
        ).id,
        "channel_id": (
            await factories.make_alert_channel(
                session, **inside, name=MARK, url=vault.encrypt("json://alerts.example.test")
            )
        ).id,
        "alert_id": (await factories.make_alert(session, **inside, title=MARK, raised_at=NOW)).id,
    }
    return {name: str(row) for name, row in rows.items()} | {
        "slug": cast.slug,
        "token": "no-link-that-was-ever-made",
        "path": "anything",
        "decision": "it-arrived",
    }


@dataclass(frozen=True, slots=True)
class Route:
    """One call, with everything in it that another organization could be named by."""

    name: str
    method: str
    path: str
    body: Any
    is_form: bool
    names_a_row: bool
    is_stream: bool

    def arguments(self) -> dict[str, Any]:
        if self.body is None:
            return {}
        return {"data": self.body} if self.is_form else {"json": self.body}


def routes_of(document: dict[str, Any], ids: dict[str, str]) -> Iterator[Route]:
    for template, operations in document["paths"].items():
        for method, operation in operations.items():
            yield _route(document, template, method.upper(), operation, ids)


def _route(
    document: dict[str, Any],
    template: str,
    method: str,
    operation: dict[str, Any],
    ids: dict[str, str],
) -> Route:
    name = f"{method} {template}"
    parameters = [each for each in operation.get("parameters", ()) if each["in"] == "path"]
    unknown = [each["name"] for each in parameters if each["name"] not in ids]
    assert not unknown, f"{name}: tell `rows_of` which row {unknown} names"
    content = operation.get("requestBody", {}).get("content", {})
    is_form = bool(content) and "application/json" not in content
    schema = next(iter(content.values()))["schema"] if content else None
    body = example_of(document, schema, ids) if schema else None
    streams = any(
        "text/event-stream" in response.get("content", {})
        for response in operation["responses"].values()
    )
    path = template.format_map(ids)
    names_a_row = any(each["name"] != "token" for each in parameters)
    return Route(name, method, path, body, is_form, names_a_row, streams)


@pytest.fixture
async def ids(runtime: Runtime, cast: Cast) -> dict[str, str]:
    async with runtime.database.writing() as session:
        return await rows_of(session, cast, runtime.vault)


@pytest.fixture
def api(running: RunningApp, ids: dict[str, str]) -> list[Route]:
    return list(routes_of(running.app.openapi(), ids))


@pytest.fixture
def pages(ids: dict[str, str]) -> list[Route]:
    """Pages are not in the document of the API, so they get one of their own."""
    described = FastAPI()
    for router in (*WEB_ROUTERS, *ROOT_ROUTERS):
        described.include_router(router)
    return list(routes_of(described.openapi(), ids))


async def snapshot(database: Database, cast: Cast) -> dict[str, list[Any]]:
    """Every row of the inside, in every table."""
    people = [person.user_id for person in cast.members]
    found = {}
    async with database.reading() as session:
        for table in Base.metadata.sorted_tables:
            statement = _of_inside(table, cast, people)
            if statement is not None:
                found[table.name] = sorted(map(repr, await session.execute(statement)))
    return found


def _of_inside(table: Table, cast: Cast, people: list[Any]) -> Any:
    if table.name == "organizations":
        return select(table).where(table.c.id == cast.organization_id)
    if "organization_id" in table.c:
        return select(table).where(table.c.organization_id == cast.organization_id)
    if table.name == "users":
        return select(table).where(table.c.id.in_(people))
    if table.name == "logins":
        return select(table).where(table.c.user_id.in_(people))
    if table.name == "gateways":
        return select(*(column for column in table.c if column.name not in REJECTIONS))
    return None


@pytest.fixture
async def unchanged(database: Database, cast: Cast, ids: dict[str, str]) -> AsyncIterator[None]:
    before = await snapshot(database, cast)
    yield
    assert await snapshot(database, cast) == before


async def login_cookie(runtime: Runtime, cast: Cast) -> dict[str, str]:
    """A fresh one for each call: one of them logs out."""
    async with runtime.database.writing() as session:
        login = await open_login(
            session,
            cast.outsider.user_id,
            client=Client("192.0.2.1"),
            lifetime=NOW - NOW.replace(year=NOW.year - 1),
            now=runtime.clock.now(),
        )
    return {"Cookie": f"{LOGIN_COOKIE}={login.token}", "Sec-Fetch-Site": "same-origin"}


def leaks(answer: httpx.Response, route: Route, ids: dict[str, str], cast: Cast) -> bool:
    """What of the inside is in the answer, beyond what the call itself said."""
    said = f"{route.path} {route.body}"
    secrets = (MARK, str(cast.organization_id), cast.viewer.email, *ids.values())
    return any(secret in answer.text and secret not in said for secret in secrets)


def expect(route: Route, *, with_organization: bool) -> set[int]:
    """How the owner of another organization is to be answered."""
    if route.path.startswith(SHARED):
        return {403} if not with_organization else {403, 404}
    if with_organization or route.names_a_row:
        return {404}
    is_about_rows = any(name in str(route.body) for name in ("_id", "Id"))
    return {404, 422} if is_about_rows else {*range(200, 300), 303, 404, 409, 422}


async def test_nobody_is_asked_to_sign_in(
    running: RunningApp, api: list[Route], unchanged: None
) -> None:
    wrong = []
    async with running.client() as nobody:
        for route in api:
            answer = await nobody.request(route.method, route.path, **route.arguments())
            if route.name in PUBLIC:
                continue
            if answer.status_code != 401 or answer.json()["code"] != "unauthenticated":
                wrong.append((route.name, answer.status_code, answer.text[:200]))
    assert wrong == []


async def test_nobody_is_led_from_pages_to_the_login(
    running: RunningApp, pages: list[Route], unchanged: None
) -> None:
    wrong = []
    async with running.client(headers={"Accept": "text/html"}) as nobody:
        for route in pages:
            if route.name in PUBLIC:
                continue
            answer = await nobody.request(route.method, route.path, **route.arguments())
            location = answer.headers.get("location", "")
            if answer.status_code != 303 or not location.startswith("/login?next="):
                wrong.append((route.name, answer.status_code, answer.text[:200]))
    assert wrong == []


async def test_public_routes_tell_nothing_and_change_nothing(
    *,
    running: RunningApp,
    api: list[Route],
    pages: list[Route],
    ids: dict[str, str],
    cast: Cast,
    unchanged: None,
) -> None:
    public = [route for route in chain(api, pages) if route.name in PUBLIC]
    assert {route.name for route in public} == set(PUBLIC)
    async with running.client() as nobody:
        for route in public:
            answer = await nobody.request(route.method, route.path, **route.arguments())
            assert answer.status_code in {200, 401, 403, 404, 503}, (route.name, answer.text)
            assert not leaks(answer, route, ids, cast), route.name


async def test_the_key_of_another_organization_finds_nothing(
    running: RunningApp, api: list[Route], ids: dict[str, str], cast: Cast, unchanged: None
) -> None:
    wrong = []
    async with await running.client_of(cast.outsider) as outsider:
        for route in api:
            if route.name in PUBLIC or route.is_stream:
                continue
            answer = await outsider.request(route.method, route.path, **route.arguments())
            is_own = route.path.startswith(OWN)
            expected = {401} if is_own else expect(route, with_organization=False)
            if answer.status_code not in expected or leaks(answer, route, ids, cast):
                wrong.append((route.name, route.body, answer.status_code, answer.text[:200]))
    assert wrong == []


async def test_a_login_does_not_open_an_organization_by_its_name(
    running: RunningApp, api: list[Route], ids: dict[str, str], cast: Cast, unchanged: None
) -> None:
    wrong = []
    async with running.client() as outsider:
        for route in api:
            if route.name in PUBLIC or route.path.startswith(OWN):
                continue
            for named in (cast.slug, str(cast.organization_id)):
                headers = await login_cookie(running.runtime, cast) | {ORGANIZATION_HEADER: named}
                answer = await outsider.request(
                    route.method, route.path, headers=headers, **route.arguments()
                )
                if answer.status_code not in expect(route, with_organization=True):
                    wrong.append((route.name, named, answer.status_code, answer.text[:200]))
    assert wrong == []


async def test_pages_of_another_organization_do_not_exist(
    running: RunningApp, pages: list[Route], ids: dict[str, str], cast: Cast, unchanged: None
) -> None:
    wrong = []
    async with running.client() as outsider:
        for route in pages:
            if route.name in PUBLIC or route.name == "POST /logout":
                continue
            answer = await outsider.request(
                route.method,
                route.path,
                headers=await login_cookie(running.runtime, cast) | {"Accept": "text/html"},
                **route.arguments(),
            )
            if answer.status_code not in expect(route, with_organization=False) or leaks(
                answer, route, ids, cast
            ):
                wrong.append((route.name, route.body, answer.status_code, answer.text[:300]))
    assert wrong == []


async def test_the_cookie_of_an_organization_opens_no_other(
    running: RunningApp, cast: Cast
) -> None:
    headers = await login_cookie(running.runtime, cast)
    headers["Cookie"] += f"; groupline_organization={cast.organization_id}"
    async with running.client(headers=headers) as outsider:
        answer = await outsider.get("/api/v1/organization")
    assert answer.json()["id"] == str(cast.outside_organization_id)


def test_every_route_of_the_api_is_below_its_prefix(api: list[Route]) -> None:
    assert API_ROUTERS
    assert api
    assert all(route.path.startswith(API_PREFIX) for route in api)


async def test_the_walk_would_notice_a_leak(
    running: RunningApp, api: list[Route], ids: dict[str, str], cast: Cast
) -> None:
    """The owner of the inside, walking the same way, does see the inside."""
    async with running.client() as client:
        await client.post(
            f"{API_PREFIX}/account/login", json={"email": cast.owner.email, "password": PASSWORD}
        )
        seen = [
            route.name
            for route in api
            if route.method == "GET"
            and not route.is_stream
            and leaks(await client.get(route.path), route, ids, cast)
        ]
    assert {"GET /api/v1/organization", "GET /api/v1/members", "GET /api/v1/api-keys"} <= set(seen)
