"""An outbox on a real database and a real gateway: what the tests of this package drive."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from tests.integration.messages.holding import HoldingClock
from tests.support.clock import ManualClock
from tests.support.factories import (
    make_gateway,
    make_group,
    make_membership,
    make_message,
    make_number,
    make_organization,
    make_session,
)
from tests.support.gateway import API_KEY, GatewayClient, running_gateway
from tests.support.keys import SECRET_KEY

from groupline.db import Announcements, Database
from groupline.gateways.drivers.base import AuthScheme, HttpPool, Limits
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways, write_credentials
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.messages import service
from groupline.messages.dispatch import Dispatcher
from groupline.messages.reconcile import Reconciler
from groupline.messages.recover import Recoverer
from groupline.messages.rules import Policy
from groupline.models import (
    JournalEntry,
    ScheduledWhatsappMessage,
    WhatsappNumber,
    WhatsappSession,
)
from groupline.vault import Vault

OWN_CAPABILITIES = ["client_ref", "signed_webhooks", "status_events", "receipts", "simulator"]

PERSON = Actor("user", "Somebody", new_id())

_phones = itertools.count(919_800_000_001)


@dataclass(frozen=True, slots=True)
class Sender:
    """A connected number and the groups that it may write to."""

    number_id: UUID
    phone: str
    session_id: UUID
    gateway_session_id: str
    group_ids: tuple[UUID, ...]
    jids: tuple[str, ...]


class Outbox:
    """One organization, one gateway, and one worker that is turned by hand."""

    def __init__(
        self,
        database: Database,
        clock: ManualClock,
        gateway: GatewayClient,
        gateways: Gateways,
        vault: Vault,
        *,
        gateway_clock: HoldingClock,
    ) -> None:
        self.database = database
        self.clock = clock
        self.gateway = gateway
        self.gateway_clock = gateway_clock
        self.gateways = gateways
        self.vault = vault
        self.policy = Policy()
        self.organization_id = UUID(int=0)
        self.gateway_id = UUID(int=0)
        self.dispatcher = self.new_worker()
        self.recoverer = Recoverer(database, clock, self.policy)
        self.reconciler = Reconciler(database, gateways, clock, policy=self.policy)

    def new_worker(self, database: Database | None = None, **options: Any) -> Dispatcher:
        """One that shares the connections of the others, unless it is given its own."""
        own = database or self.database
        return Dispatcher(own, self.gateways, self.clock, policy=self.policy, **options)

    async def prepare(self, **gateway: Any) -> None:
        async with self.database.writing() as session:
            organization = await make_organization(session)
            self.organization_id = organization.id
            facts: dict[str, Any] = {
                "base_url": self.gateway.url,
                "credentials": write_credentials(self.vault, API_KEY, AuthScheme.API_KEY),
                "capabilities": OWN_CAPABILITIES,
            }
            self.gateway_id = (await make_gateway(session, **facts | gateway)).id

    async def add_sender(self, groups: int = 3, **fields: Any) -> Sender:
        """A number that is connected here and there. Its pace is 0 unless given."""
        phone, session_id = str(next(_phones)), new_id()
        sid = f"wa_{session_id}"
        jids = await self.gateway.connect(sid, phone, [{"name": f"G{n}"} for n in range(groups)])
        async with self.database.writing() as session:
            organization_id = self.organization_id
            number = await make_number(
                session,
                organization_id=organization_id,
                phone_number=phone,
                **{"pace_seconds": 0.0, **fields},
            )
            await make_session(
                session,
                organization_id=organization_id,
                id=session_id,
                number_id=number.id,
                gateway_id=self.gateway_id,
                connected_at=self.clock.now(),
                verified_at=self.clock.now(),
            )
            group_ids = []
            for jid in jids:
                group = await make_group(session, organization_id=organization_id, group_jid=jid)
                await make_membership(
                    session,
                    organization_id=organization_id,
                    number_id=number.id,
                    group_id=group.id,
                )
                group_ids.append(group.id)
        return Sender(number.id, phone, session_id, sid, tuple(group_ids), tuple(jids))

    async def add_foreign_sender(self) -> Sender:
        """A connected number of another organization on the same gateway."""
        own = self.organization_id
        async with self.database.writing() as session:
            self.organization_id = (await make_organization(session)).id
        sender = await self.add_sender()
        self.organization_id = own
        return sender

    async def send_again(self, message_id: UUID) -> None:
        async with self.database.writing() as session:
            await service.send_again(
                session, self.organization_id, message_id, actor=PERSON, now=self.clock.now()
            )

    async def write(self, sender: Sender, group: int = 0, **fields: Any) -> UUID:
        """A message that is due now, unless the fields say otherwise."""
        now = self.clock.now()
        facts: dict[str, Any] = {
            "number_id": sender.number_id,
            "group_id": sender.group_ids[group],
            "scheduled_for": now,
            "expires_at": now + timedelta(hours=24),
            "created_at": now,
            "updated_at": now,
        }
        async with self.database.writing() as session:
            message = await make_message(
                session, organization_id=self.organization_id, **facts | fields
            )
        return message.id

    async def message(self, message_id: UUID) -> ScheduledWhatsappMessage:
        async with self.database.reading() as session:
            return (
                await session.scalars(
                    select(ScheduledWhatsappMessage).where(
                        ScheduledWhatsappMessage.id == message_id
                    )
                )
            ).one()

    async def statuses(self, ids: Sequence[UUID]) -> list[str]:
        return [(await self.message(each)).status for each in ids]

    async def has_work(self) -> bool:
        message = ScheduledWhatsappMessage
        async with self.database.reading() as session:
            statement = select(message.id).where(message.status.in_(("pending", "sending")))
            return await session.scalar(statement.limit(1)) is not None

    async def number(self, sender: Sender) -> WhatsappNumber:
        async with self.database.reading() as session:
            row = await session.get(WhatsappNumber, sender.number_id)
            assert row is not None
            return row

    async def change(self, row: type[Any], row_id: UUID, **values: Any) -> None:
        async with self.database.writing() as session:
            await session.execute(update(row).where(row.id == row_id).values(**values))

    async def disconnect(self, sender: Sender) -> None:
        await self.change(
            WhatsappSession,
            sender.session_id,
            status="disconnected",
            disconnected_at=self.clock.now(),
            ended_reason="disconnected",
        )

    async def work(self, worker: Dispatcher | None = None) -> None:
        """Turns until nothing is left to do at this moment."""
        worker = worker or self.dispatcher
        async with asyncio.timeout(60):
            while True:
                worker.wake.clear()
                if await worker.run_once():
                    continue
                if worker.in_flight == 0 and not worker.wake.is_set():
                    return
                await worker.wake.wait()

    async def during(self, under_way: Awaitable[object], meanwhile: Awaitable[object]) -> None:
        """Lets the second happen while the gateway holds the request of the first."""
        first = asyncio.ensure_future(under_way)
        await self.gateway_clock.holds()
        await meanwhile
        assert not first.done()
        self.gateway_clock.let_go()
        await first

    async def actions(self, message_id: UUID) -> list[str]:
        """What the journal says happened to a message, in order."""
        async with self.database.reading() as session:
            statement = (
                select(JournalEntry.action)
                .where(JournalEntry.subject_id == message_id)
                .order_by(JournalEntry.position)
            )
            return list(await session.scalars(statement))

    async def copies(self, jid: str) -> int:
        """How many messages reached the group."""
        return len(await self.gateway.deliveries(group=jid))


@asynccontextmanager
async def connected_again(database: Database) -> AsyncIterator[Database]:
    """The same database over connections of its own, as another process has it."""
    url = database.url.render_as_string(hide_password=False)
    again = Database(url, announcements=Announcements())
    try:
        yield again
    finally:
        await again.dispose()


@asynccontextmanager
async def open_outbox(
    database: Database, clock: ManualClock, data_dir: Path, **gateway: Any
) -> AsyncIterator[Outbox]:
    vault, held = Vault(SECRET_KEY), HoldingClock()
    async with running_gateway(data_dir, clock=held) as running, HttpPool() as pool:
        registry = DriverRegistry(pool, Limits())
        gateways = Gateways(registry, vault)
        outbox = Outbox(database, clock, running, gateways, vault, gateway_clock=held)
        await outbox.prepare(**gateway)
        try:
            yield outbox
        finally:
            held.let_go()
            await outbox.dispatcher.drain()
