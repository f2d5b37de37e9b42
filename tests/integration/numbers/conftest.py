"""A context of the numbers domain on a real database and a scripted gateway of the contract."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.factories import make_gateway
from tests.support.keys import SECRET_KEY
from tests.support.scripted_gateway import KEY, ContractGateway, contract_gateway

from groupline.db import Database
from groupline.gateways.drivers.base import AuthScheme, HttpPool, Limit, Limits
from groupline.gateways.port import GatewayDriver
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways, write_credentials
from groupline.journal import Actor
from groupline.models import Gateway, JournalEntry, WhatsappNumber, WhatsappSession
from groupline.numbers import queries, service
from groupline.numbers.context import Context
from groupline.numbers.sweep import Sweeper
from groupline.numbers.verify import Verifier
from groupline.vault import Vault

OWNER = Actor("user", "Owner")
PHONE = "919876543210"


class Patience(Gateways):
    """Waits long for an answer that comes, whatever else the machine does, and briefly for none."""

    def __init__(self, pool: HttpPool, vault: Vault, scripted: ContractGateway) -> None:
        super().__init__(DriverRegistry(pool, _limits(60)), vault)
        self._hasty = Gateways(DriverRegistry(pool, _limits(2)), vault)
        self._scripted = scripted

    def driver(self, gateway: Gateway) -> GatewayDriver:
        if self._scripted.failing == "silence":
            return self._hasty.driver(gateway)
        return super().driver(gateway)


def _limits(seconds: float) -> Limits:
    same = Limit(seconds)
    return Limits(seconds, probe=same, connect=same, status=same, disconnect=same)


@dataclass
class Desk:
    """One organization, one scripted gateway, and the hands to work with them."""

    context: Context
    clock: ManualClock
    gateway: ContractGateway
    gateway_id: UUID
    organization_id: UUID

    @property
    def database(self) -> Database:
        return self.context.database

    async def connect(self, **wish: object) -> WhatsappSession:
        wanted = service.ConnectWish(gateway_id=self.gateway_id, **wish)  # type: ignore[arg-type]
        return await service.connect(self.context, self.organization_id, wanted, actor=OWNER)

    async def paired(self, phone: str = PHONE) -> WhatsappSession:
        """A new session that this phone has scanned."""
        row = await self.connect()
        self.gateway.connects(row.gateway_session_id, phone)
        await self.verify()
        return await self.session(row.id)

    async def verify(self, turns: int = 1) -> None:
        for _ in range(turns):
            self.clock.advance(0.01)
            await self._look()

    async def period(self, count: int = 1) -> None:
        """One verifier period passes, and the verifier looks."""
        for _ in range(count):
            self.clock.advance(self.context.verify_every.total_seconds())
            await self._look()

    async def _look(self) -> None:
        """One turn of a verifier that was just started, with all that it begins."""
        verifier = Verifier(self.context)
        await verifier.run_once()
        await verifier.drain()

    async def sweep(self) -> None:
        sweeper = Sweeper(self.context)
        await sweeper.run_once()
        await sweeper.drain()

    async def session(self, session_id: UUID) -> WhatsappSession:
        async with self.database.reading() as session:
            return await queries.get_session(session, self.organization_id, session_id)

    async def sessions(self) -> list[WhatsappSession]:
        async with self.database.reading() as session:
            return list(
                await session.scalars(
                    select(WhatsappSession).order_by(WhatsappSession.created_at, WhatsappSession.id)
                )
            )

    async def number(self, phone: str = PHONE) -> WhatsappNumber:
        async with self.database.reading() as session:
            number = await queries.find_number(session, self.organization_id, phone)
        assert number is not None
        return number

    async def numbers(self) -> list[WhatsappNumber]:
        async with self.database.reading() as session:
            return list(await session.scalars(select(WhatsappNumber)))

    async def gateway_row(self) -> Gateway:
        async with self.database.reading() as session:
            row = await session.get(Gateway, self.gateway_id)
        assert row is not None
        return row

    async def journal(self, action: str) -> list[JournalEntry]:
        async with self.database.reading() as session:
            return list(
                await session.scalars(
                    select(JournalEntry)
                    .where(JournalEntry.action == action)
                    .order_by(JournalEntry.position)
                )
            )


@pytest.fixture
async def scripted() -> AsyncIterator[ContractGateway]:
    async with contract_gateway() as gateway:
        yield gateway


@pytest.fixture
async def pool() -> AsyncIterator[HttpPool]:
    async with HttpPool() as pool:
        yield pool


async def open_desk(
    database: Database,
    cast: Cast,
    clock: ManualClock,
    scripted: ContractGateway,
    pool: HttpPool,
    *,
    name: str = "Scripted",
) -> Desk:
    vault = Vault(SECRET_KEY)
    context = Context(
        database=database,
        gateways=Patience(pool, vault, scripted),
        vault=vault,
        clock=clock,
        verify_every=timedelta(seconds=60),
        roll=lambda: 0.5,
    )
    async with database.writing() as session:
        row = await make_gateway(
            session,
            name=name,
            base_url=scripted.url,
            credentials=write_credentials(vault, KEY, AuthScheme.API_KEY),
        )
    return Desk(context, clock, scripted, row.id, cast.organization_id)


@pytest.fixture
async def desk(
    database: Database, cast: Cast, clock: ManualClock, scripted: ContractGateway, pool: HttpPool
) -> Desk:
    return await open_desk(database, cast, clock, scripted, pool)
