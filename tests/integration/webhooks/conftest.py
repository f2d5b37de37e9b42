"""An organization with a receiver, and the loops of webhooks turned by hand."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.support.app import principal_of
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.receiver import Receiver, running_receiver

from groupline import journal
from groupline.db import Database
from groupline.ids import new_id
from groupline.journal import SYSTEM
from groupline.models import JournalEntry, WebhookDelivery, WebhookEndpoint
from groupline.net import is_public_or_private
from groupline.orgs.rules import Principal
from groupline.runtime import Runtime
from groupline.webhooks import service
from groupline.webhooks.call import Caller
from groupline.webhooks.fanout import Fanout
from groupline.webhooks.send import Sender


@dataclass
class Desk:
    runtime: Runtime
    clock: ManualClock
    owner: Principal
    receiver: Receiver
    fanout: Fanout
    sender: Sender

    @property
    def database(self) -> Database:
        return self.runtime.database

    @property
    def organization_id(self) -> UUID:
        return self.owner.organization_id

    async def endpoint(
        self, *event_types: str, url: str | None = None
    ) -> tuple[WebhookEndpoint, str]:
        async with self.database.writing() as session:
            made = await service.create_endpoint(
                session,
                self.runtime.vault,
                self.owner,
                service.EndpointInput(
                    url=url or self.receiver.url, event_types=event_types or ("message.sent",)
                ),
                allows=is_public_or_private,
                now=self.clock.now(),
            )
        return made.endpoint, made.secret

    async def happens(
        self,
        action: str = "message.sent",
        data: dict[str, Any] | None = None,
        *,
        subject: str = "message",
        subject_id: UUID | None = None,
        organization_id: UUID | None = None,
    ) -> UUID:
        async with self.database.writing() as session:
            return await journal.record(
                session,
                action=action,
                actor=SYSTEM,
                organization_id=organization_id or self.organization_id,
                subject=subject,
                subject_id=subject_id or new_id(),
                data={"status": action.partition(".")[2]} if data is None else data,
                at=self.clock.now(),
            )

    async def read(self) -> None:
        """The fan-out turns until it has nothing left to read."""
        self.clock.advance(1)
        while await self.fanout.run_once():
            pass

    async def send(self) -> None:
        """Everything that is due is attempted, and recorded."""
        while await self.sender.run_once():
            await self.sender.drain()

    async def deliveries(self) -> Sequence[WebhookDelivery]:
        async with self.database.reading() as session:
            return (
                await session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id))
            ).all()

    async def endpoint_row(self, endpoint_id: UUID) -> WebhookEndpoint:
        async with self.database.reading() as session:
            return await session.get_one(WebhookEndpoint, endpoint_id)

    async def actions(self) -> list[str]:
        """What the journal tells of endpoints."""
        async with self.database.reading() as session:
            rows = await session.scalars(
                select(JournalEntry.action)
                .where(JournalEntry.subject == "webhook_endpoint")
                .order_by(JournalEntry.position)
            )
        return [action.removeprefix("webhook_endpoint.") for action in rows]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with Caller(is_public_or_private) as caller:
        yield caller


@pytest.fixture
async def desk(
    runtime: Runtime, clock: ManualClock, cast: Cast, receiver: Receiver, caller: Caller
) -> AsyncIterator[Desk]:
    desk = Desk(
        runtime,
        clock,
        principal_of(cast.owner),
        receiver,
        Fanout(runtime.database, clock),
        Sender(runtime.database, runtime.vault, caller, clock, randomness=random.Random(1)),
    )
    await desk.read()  # it begins with what comes from now on
    yield desk
    receiver.answers.set()
    await desk.sender.drain()
