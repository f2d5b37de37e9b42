"""An organization with a channel that posts to a receiver, and the loops of alerts by hand."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.support.app import BASE_URL, principal_of
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.receiver import Receiver, running_receiver

from groupline import journal
from groupline.alerts import service
from groupline.alerts.rules import ALERT_KINDS
from groupline.alerts.send import AlertSender
from groupline.alerts.watch import Watch
from groupline.db import Database
from groupline.journal import SYSTEM
from groupline.models import Alert, AlertChannel, AlertDelivery, JournalEntry
from groupline.net import is_public_or_private
from groupline.orgs.rules import Principal
from groupline.runtime import Runtime

GRACE = timedelta(seconds=60)


def channel_url(receiver: Receiver, path: str = "") -> str:
    """The library is to wait as long as it is let: of itself it would for 4 s."""
    return f"{receiver.url.replace('http://', 'json://')}{path}?cto=60&rto=60"


@dataclass
class Desk:
    runtime: Runtime
    clock: ManualClock
    owner: Principal
    receiver: Receiver
    watch: Watch
    sender: AlertSender

    @property
    def database(self) -> Database:
        return self.runtime.database

    @property
    def organization_id(self) -> UUID:
        return self.owner.organization_id

    async def channel(
        self, name: str = "On call", *kinds: str, url: str | None = None
    ) -> AlertChannel:
        async with self.database.writing() as session:
            return await service.create_channel(
                session,
                self.runtime.vault,
                self.owner,
                service.ChannelInput(
                    name=name, url=url or channel_url(self.receiver), kinds=kinds or ALERT_KINDS
                ),
                allows=is_public_or_private,
                now=self.clock.now(),
            )

    async def happens(
        self,
        action: str,
        subject_id: UUID,
        data: dict[str, Any] | None = None,
        *,
        subject: str | None = None,
        at: datetime | None = None,
        shared: bool = False,
    ) -> UUID:
        async with self.database.writing() as session:
            return await journal.record(
                session,
                action=action,
                actor=SYSTEM,
                organization_id=None if shared else self.organization_id,
                subject=subject or action.partition(".")[0],
                subject_id=subject_id,
                data=data or {},
                at=at or self.clock.now(),
            )

    async def turn(self, seconds: float = 1) -> None:
        """Time passes, the loop turns until it has nothing to do, and channels are told."""
        self.clock.advance(seconds)
        while await self.watch.run_once():
            pass
        await self.send()

    async def send(self) -> None:
        while await self.sender.run_once():
            await self.sender.drain()

    @property
    def told(self) -> list[str]:
        """The titles that the receiver got, in order."""
        return [json.loads(each.body)["title"] for each in self.receiver.received]

    @property
    def last_text(self) -> str:
        return str(json.loads(self.receiver.received[-1].body)["message"])

    async def alerts(self) -> Sequence[Alert]:
        async with self.database.reading() as session:
            return (await session.scalars(select(Alert).order_by(Alert.id))).all()

    async def deliveries(self) -> Sequence[AlertDelivery]:
        async with self.database.reading() as session:
            return (await session.scalars(select(AlertDelivery).order_by(AlertDelivery.id))).all()

    async def channel_row(self, channel_id: UUID) -> AlertChannel:
        async with self.database.reading() as session:
            return await session.get_one(AlertChannel, channel_id)

    async def journaled(self) -> list[str]:
        async with self.database.reading() as session:
            rows = await session.scalars(
                select(JournalEntry.action)
                .where(JournalEntry.subject == "alert_channel")
                .order_by(JournalEntry.position)
            )
        return [action.removeprefix("alert_channel.") for action in rows]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver(status=200) as running:
        yield running


@pytest.fixture
async def desk(
    runtime: Runtime, clock: ManualClock, cast: Cast, receiver: Receiver
) -> AsyncIterator[Desk]:
    sender = AlertSender(
        runtime.database,
        runtime.vault,
        clock,
        allows=is_public_or_private,
        base_url=BASE_URL,
        seconds=60,
        randomness=random.Random(1),
    )
    watch = Watch(runtime.database, clock, grace=GRACE)
    desk = Desk(runtime, clock, principal_of(cast.owner), receiver, watch, sender)
    await desk.turn()  # it begins with what comes from now on
    yield desk
    receiver.answers.set()
    await desk.sender.drain()
