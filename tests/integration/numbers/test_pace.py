"""A number that is new has the pace of the installation, whoever is told of it first."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.support.app import RunningApp, open_test_runtime, running_app
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.factories import make_gateway, make_session
from tests.support.scripted_gateway import KEY, ContractGateway

from groupline.db import Database
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.gateways.webhook_secrets import write_webhook_secrets
from groupline.models import Gateway, WhatsappNumber
from groupline.worker.loops import loops_of

NAME, PHONE, SECRET = "wa_new", "919876543210", "the webhook secret of this test"


@dataclass(frozen=True, slots=True)
class Place:
    running: RunningApp
    clock: ManualClock
    cast: Cast
    gateway: Gateway

    async def session(self) -> UUID:
        async with self.running.runtime.database.writing() as session:
            row = await make_session(
                session,
                organization_id=self.cast.organization_id,
                status="connecting",
                gateway_id=self.gateway.id,
                gateway_session_id=NAME,
                next_verify_at=self.clock.now(),
            )
            return row.id

    async def hook(self) -> None:
        at = self.clock.now().isoformat()
        said = {"sessionId": NAME, "status": "connected", "phoneNumber": PHONE, "timestamp": at}
        path = f"/hooks/{self.gateway.id}/whatsapp-status-webhook"
        async with self.running.client(headers={"X-API-Key": SECRET}) as client:
            answer = await client.post(path, content=json.dumps(said))
            answer.raise_for_status()

    async def turn(self, name: str) -> None:
        """Of one loop of the worker, to its end."""
        async with loops_of(self.running.runtime) as loops:
            loop = next(each for each in loops if each.name == name)
            await loop.run_once()
            if loop.on_stop is not None:
                await loop.on_stop()


async def by_webhook(place: Place) -> None:
    await place.session()
    await place.hook()


async def by_a_webhook_that_came_early(place: Place) -> None:
    await place.hook()
    await place.session()
    place.clock.advance(timedelta(minutes=1).total_seconds())
    await place.turn("inbound")


async def by_the_verifier(place: Place) -> None:
    await place.session()
    await place.turn("verifier")


async def by_a_click(place: Place) -> None:
    session_id = await place.session()
    async with await place.running.client_of(place.cast.owner) as client:
        answer = await client.post(f"/api/v1/sessions/{session_id}/verify")
        answer.raise_for_status()


WAYS = (by_webhook, by_a_webhook_that_came_early, by_the_verifier, by_a_click)


@pytest.mark.parametrize("way", WAYS)
async def test_a_new_number_has_the_pace_of_the_installation(
    database: Database,
    cast: Cast,
    clock: ManualClock,
    scripted: ContractGateway,
    way: Callable[[Place], Awaitable[None]],
) -> None:
    async with (
        open_test_runtime(database, clock, pace_seconds=2.5) as runtime,
        running_app(runtime) as running,
    ):
        async with database.writing() as session:
            gateway = await make_gateway(
                session,
                base_url=scripted.url,
                credentials=write_credentials(runtime.vault, KEY, AuthScheme.API_KEY),
                webhook_secrets=write_webhook_secrets(runtime.vault, [SECRET]),
            )
        scripted.connects(NAME, PHONE)
        await way(Place(running, clock, cast, gateway))
    async with database.reading() as session:
        paces = (await session.scalars(select(WhatsappNumber.pace_seconds))).all()
    assert paces == [2.5]
