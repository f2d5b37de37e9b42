"""Webhooks over the API and on their pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from tests.integration.webhooks.conftest import Desk
from tests.support.app import RunningApp
from tests.support.cast import PASSWORD, Cast, Person

from groupline.orgs.rules import Scope

HOOKS = "/api/v1/webhook-endpoints"
WANTED = {"url": "https://example.com/hook?key=secret", "eventTypes": ["message.failed"]}


@asynccontextmanager
async def page_client(running: RunningApp, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    async with running.client(headers={"Sec-Fetch-Site": "same-origin"}) as client:
        await client.post("/login", data={"email": person.email, "password": PASSWORD})
        yield client


async def test_an_endpoint_is_made_changed_rotated_and_removed(
    running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.admin, Scope.READ) as reader:
        assert (await reader.get(HOOKS)).status_code == 403
    async with await running.client_of(cast.owner) as client:
        made = (await client.post(HOOKS, json=WANTED)).json()
        assert made["secret"].startswith("whsec_")
        here = f"{HOOKS}/{made['id']}"
        shown = (await client.get(here)).json()
        assert "secret" not in shown
        assert shown == {key: value for key, value in made.items() if key != "secret"}
        changed = await client.patch(here, json={"enabled": False, "description": "CRM"})
        assert (changed.json()["enabled"], changed.json()["description"]) == (False, "CRM")
        refused = await client.post(f"{here}/test")
        assert (refused.status_code, refused.json()["state"]) == (409, "endpoint_disabled")
        rotated = (await client.post(f"{here}/rotate-secret")).json()
        assert rotated["secret"] not in (None, made["secret"])
        assert (await client.delete(here)).status_code == 204
        assert (await client.get(here)).status_code == 404
        assert (await client.get(HOOKS)).json()["items"] == []


async def test_making_one_twice_with_the_same_key_makes_one(
    running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.owner) as client:
        headers = {"Idempotency-Key": "once"}
        one = await client.post(HOOKS, json=WANTED, headers=headers)
        two = await client.post(HOOKS, json=WANTED, headers=headers)
        assert one.json() == two.json()
        assert len((await client.get(HOOKS)).json()["items"]) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "http://[fd00::1]/"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "https://user:pass@example.com/"}, "url"),
        ({"url": ""}, "url"),
        ({"eventTypes": []}, "eventTypes"),
        ({"description": "x" * 300}, "description"),
    ],
)
async def test_what_is_wrong_is_named(
    running: RunningApp, cast: Cast, change: dict[str, object], field: str
) -> None:
    async with await running.client_of(cast.owner) as client:
        answer = await client.post(HOOKS, json=WANTED | change)
    assert answer.status_code == 422
    assert field in answer.json()["fields"]


async def test_the_log_tells_of_a_test_and_sends_it_again(
    desk: Desk, running: RunningApp, cast: Cast
) -> None:
    endpoint, _ = await desk.endpoint()
    here = f"{HOOKS}/{endpoint.id}"
    async with await running.client_of(cast.owner) as client:
        asked = await client.post(f"{here}/test")
        assert asked.status_code == 202
        await desk.send()
        (delivery,) = (await client.get(f"{here}/deliveries")).json()["items"]
        assert (delivery["status"], delivery["responseStatus"]) == ("delivered", 204)
        again = await client.post(f"{here}/deliveries/{delivery['id']}/retry")
        assert (again.status_code, again.json()["status"]) == (202, "pending")
        await desk.send()
        for _ in range(2):
            await client.post(f"{here}/test")
        first = (await client.get(f"{here}/deliveries?limit=2")).json()
        rest = await client.get(f"{here}/deliveries?limit=2&cursor={first['nextCursor']}")
        listed = [each["id"] for each in first["items"] + rest.json()["items"]]
        assert len(listed) == len(set(listed)) == 3
        failed = await client.get(f"{here}/deliveries?status=failed")
        assert failed.json()["items"] == []
    assert len(desk.receiver.received) == 2


async def test_the_pages_do_all_of_it_for_admins_only(
    desk: Desk, running: RunningApp, cast: Cast
) -> None:
    async with page_client(running, cast.operator) as client:
        assert (await client.get("/settings/webhooks")).status_code == 403
    async with page_client(running, cast.admin) as client:
        assert "No webhooks yet" in (await client.get("/settings/webhooks")).text
        bad = await client.post("/settings/webhooks", data={"url": "http://10.0.0.1/"})
        assert bad.status_code == 422
        assert "leads into a private network" in bad.text
        form = {"url": "https://example.com/x", "eventTypes": ["message.sent", "groups.synced"]}
        made = await client.post("/settings/webhooks", data=form)
        assert "whsec_" in made.text
        assert "whsec_" not in (await client.get("/settings/webhooks")).text
        endpoint, _ = await desk.endpoint()
        here = f"/settings/webhooks/{endpoint.id}"
        desk.receiver.status = 500
        await client.post(f"{here}/test")
        await desk.send()
        page = await client.get(here)
        assert "The receiver answered 500." in page.text
        assert "webhook.test" in page.text
        (row,) = await desk.deliveries()
        assert (await client.post(f"{here}/deliveries/{row.id}/retry")).status_code == 303
        assert "whsec_" in (await client.post(f"{here}/rotate")).text
        for step in ("disable", "test", "enable", "remove"):
            assert (await client.post(f"{here}/{step}")).status_code == 303
        assert (await client.get(here)).status_code == 404
