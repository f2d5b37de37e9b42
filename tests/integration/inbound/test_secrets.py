"""The webhook secret of a gateway is rotated; while it is, two of them are good."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.integration.inbound.test_hooks import SECRET, report
from tests.integration.numbers.test_pages import signed_in, words
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.factories import make_gateway

from groupline.db import Database
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.gateways.webhook_secrets import write_webhook_secrets
from groupline.models import Gateway, JournalEntry, User

HOOK = "/whatsapp-status-webhook"


@pytest.fixture
async def gateway(running: RunningApp, database: Database, cast: Cast) -> Gateway:
    vault = running.runtime.vault
    async with database.writing() as session:
        (await session.get_one(User, cast.owner.user_id)).is_instance_admin = True
        return await make_gateway(
            session,
            name="VPS",
            webhook_secrets=write_webhook_secrets(vault, [SECRET]),
            credentials=write_credentials(vault, "key", AuthScheme.API_KEY),
        )


@pytest.fixture
async def api(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    """With the login of an administrator of the installation: no API key may do this."""
    async with signed_in(running, cast.owner) as client:
        client.headers["Accept"] = "application/json"
        client.headers["Groupline-Organization"] = str(cast.organization_id)
        yield client


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(running, cast.owner) as client:
        yield client


async def accepts(running: RunningApp, gateway: Gateway, secret: str, number: int = 0) -> bool:
    body: dict[str, Any] = {"sessionId": "wa_1", "status": "connected", "number": number}
    answer = await report(running, gateway, HOOK, body, secret)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


async def journal(database: Database, action: str) -> list[JournalEntry]:
    async with database.reading() as session:
        told = select(JournalEntry).where(JournalEntry.action == action)
        return list(await session.scalars(told.order_by(JournalEntry.position)))


async def test_both_secrets_are_good_until_the_old_one_is_dropped(
    running: RunningApp, database: Database, gateway: Gateway, api: httpx.AsyncClient
) -> None:
    path = f"/api/v1/gateways/{gateway.id}"
    done = (await api.post(f"{path}/rotate-webhook-secret", json={})).json()
    fresh = done["secret"]
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", fresh)
    assert done["gateway"]["webhookSecrets"] == 2
    assert done["oldValidUntil"] == done["gateway"]["oldWebhookSecretUntil"] is not None
    assert await accepts(running, gateway, SECRET)
    assert await accepts(running, gateway, fresh)

    shown = await api.get(path)
    assert fresh not in shown.text
    dropped = (await api.post(f"{path}/drop-old-webhook-secret")).json()
    assert (dropped["webhookSecrets"], dropped["oldWebhookSecretUntil"]) == (1, None)
    assert not await accepts(running, gateway, SECRET)
    assert await accepts(running, gateway, fresh, 1)
    assert (await api.get(path)).json()["webhooksRejected"] == 1
    again = await api.post(f"{path}/drop-old-webhook-secret")
    assert (again.status_code, again.json()["state"]) == (409, "no_old_secret")
    for action in ("gateway.webhook_secret_rotated", "gateway.webhook_secret_dropped"):
        [entry] = await journal(database, action)
        assert fresh not in str(entry.data)


async def test_the_old_one_is_refused_once_its_days_are_over(
    running: RunningApp, gateway: Gateway, api: httpx.AsyncClient, clock: ManualClock
) -> None:
    path = f"/api/v1/gateways/{gateway.id}"
    fresh = (await api.post(f"{path}/rotate-webhook-secret", json={"keepOldDays": 2})).json()
    clock.advance(timedelta(days=2).total_seconds() - 1)
    assert await accepts(running, gateway, SECRET)
    clock.advance(1)
    assert not await accepts(running, gateway, SECRET)
    assert await accepts(running, gateway, fresh["secret"], 1)
    assert (await api.get(path)).json()["webhookSecrets"] == 1


async def test_of_two_rotations_in_a_row_only_the_last_two_secrets_are_good(
    running: RunningApp, gateway: Gateway, api: httpx.AsyncClient
) -> None:
    path = f"/api/v1/gateways/{gateway.id}/rotate-webhook-secret"
    second = (await api.post(path, json={})).json()["secret"]
    third = (await api.post(path, json={"keepOldDays": 1})).json()["secret"]
    assert [await accepts(running, gateway, each) for each in (SECRET, second, third)] == [
        False,
        True,
        True,
    ]
    fourth = (await api.post(path, json={"keepOldDays": 0})).json()
    assert fourth["oldValidUntil"] is None
    assert not await accepts(running, gateway, third)


async def test_a_secret_of_ones_own_leaves_the_one_before_it_good_too(
    running: RunningApp, gateway: Gateway, api: httpx.AsyncClient, clock: ManualClock
) -> None:
    own = "a secret that the gateway made up"
    await api.patch(f"/api/v1/gateways/{gateway.id}", json={"webhookSecret": own})
    assert await accepts(running, gateway, SECRET)
    assert await accepts(running, gateway, own)
    clock.advance(timedelta(days=7).total_seconds())
    assert not await accepts(running, gateway, SECRET)


async def test_the_secret_of_the_built_in_gateway_is_not_rotated(
    database: Database, gateway: Gateway, api: httpx.AsyncClient
) -> None:
    async with database.writing() as session:
        (await session.get_one(Gateway, gateway.id)).managed_engine = "simulator"
    path = f"/api/v1/gateways/{gateway.id}"
    refused = await api.post(f"{path}/rotate-webhook-secret", json={})
    assert (refused.status_code, refused.json()["state"]) == (409, "built_in")


@pytest.mark.parametrize("days", [-1, 91])
async def test_days_out_of_range_are_refused(
    gateway: Gateway, api: httpx.AsyncClient, days: int
) -> None:
    path = f"/api/v1/gateways/{gateway.id}/rotate-webhook-secret"
    refused = await api.post(path, json={"keepOldDays": days})
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["keepOldDays"])


async def test_on_the_page_the_new_one_is_shown_once(
    running: RunningApp, gateway: Gateway, browser: httpx.AsyncClient
) -> None:
    page = await browser.get("/settings/gateways")
    assert f'data-dialog-open="rotate-{gateway.id}"' in page.text
    made = await browser.post(
        f"/settings/gateways/{gateway.id}/rotate-secret", data={"keepDays": "3"}
    )
    found = re.search(r"whsec_[A-Za-z0-9+/]{43}=", made.text)
    assert found is not None
    assert "Put it into the gateway now." in words(made)
    page = await browser.get("/settings/gateways")
    assert found.group() not in page.text
    assert "two: the old one is good until" in words(page)
    assert await accepts(running, gateway, found.group())
    dropped = await browser.post(f"/settings/gateways/{gateway.id}/drop-secret")
    assert "Only the newest webhook secret of VPS is good now." in dropped.text
    assert not await accepts(running, gateway, SECRET)


async def test_refused_webhooks_are_shown_until_a_good_one_comes(
    running: RunningApp, gateway: Gateway, browser: httpx.AsyncClient, clock: ManualClock
) -> None:
    assert "Its webhooks are refused" not in words(await browser.get("/settings/gateways"))
    for _ in range(3):
        await accepts(running, gateway, "wrong")
    page = words(await browser.get("/settings/gateways"))
    assert "Its webhooks are refused" in page
    assert "3, last" in page
    clock.advance(1)
    await accepts(running, gateway, SECRET)
    assert "Its webhooks are refused" not in words(await browser.get("/settings/gateways"))


async def test_the_journal_hears_of_refused_webhooks_at_once_and_then_seldom(
    running: RunningApp, database: Database, gateway: Gateway, clock: ManualClock
) -> None:
    told = clock.now()
    for _ in range(30):
        await accepts(running, gateway, "wrong")
        clock.advance(60)
    first, second = await journal(database, "gateway.webhooks_refused")
    assert (first.organization_id, first.subject_id) == (None, gateway.id)
    assert first.data == {
        "name": "VPS",
        "refused": 1,
        "total": 1,
        "since": None,
        "hasSecret": True,
    }
    assert (second.data["refused"], second.data["total"]) == (15, 16)
    assert second.data["since"] == told.isoformat()
