"""A connected number on a scripted gateway, and the sync on the test's database."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.contract.scripted import ScriptedGateway, answer
from tests.support.cast import Cast
from tests.support.factories import make_gateway, make_number, make_session

from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.groups.sync import GroupSync, SyncResult
from groupline.ids import new_id
from groupline.journal import SYSTEM
from groupline.models import WhatsappGroup, WhatsappMembership
from groupline.runtime import Runtime


def listed(number: int, **said: Any) -> dict[str, Any]:
    """An entry of the gateway's list."""
    return {"id": f"{120363000000000000 + number}@g.us", "name": f"Workshop {number:04d}"} | said


def many(count: int) -> list[dict[str, Any]]:
    return [listed(number, participants=10 + number) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Saved:
    """A group as it stands in the database, with the membership of the number."""

    group: WhatsappGroup
    membership: WhatsappMembership


@dataclass(frozen=True, slots=True)
class Phone:
    """A connected number, and a gateway that lists what a test tells it to."""

    organization_id: UUID
    number_id: UUID
    session_id: UUID
    gateway: ScriptedGateway
    runtime: Runtime
    sync: GroupSync

    def lists(self, groups: Sequence[Any], **document: Any) -> None:
        self.gateway.says(answer(200, {"groups": list(groups)} | document))

    async def synced(self, groups: Sequence[Any] | None = None, **document: Any) -> SyncResult:
        if groups is not None:
            self.lists(groups, **document)
        return await self.sync.run(self.organization_id, self.number_id, actor=SYSTEM)

    async def saved(self) -> dict[str, Saved]:
        """By jid."""
        async with self.runtime.database.reading() as session:
            rows = await session.execute(
                select(WhatsappGroup, WhatsappMembership)
                .join(WhatsappMembership, WhatsappMembership.group_id == WhatsappGroup.id)
                .where(WhatsappMembership.number_id == self.number_id)
                .order_by(WhatsappGroup.group_jid)
            )
            return {group.group_jid: Saved(group, member) for group, member in rows}


@pytest.fixture
async def gateway() -> AsyncIterator[ScriptedGateway]:
    async with ScriptedGateway() as gateway:
        yield gateway


@pytest.fixture
def sync(runtime: Runtime) -> GroupSync:
    return GroupSync(runtime.database, runtime.gateways, runtime.clock, chance=random.Random(7))


async def connect_phone(
    runtime: Runtime, sync: GroupSync, gateway: ScriptedGateway, organization_id: UUID
) -> Phone:
    async with runtime.database.writing() as session:
        row = await make_gateway(
            session,
            base_url=gateway.url,
            credentials=write_credentials(runtime.vault, "key", AuthScheme.API_KEY),
        )
        number = await make_number(session, organization_id=organization_id)
        paired = await make_session(
            session,
            id=new_id(),
            organization_id=organization_id,
            number_id=number.id,
            gateway_id=row.id,
        )
    return Phone(organization_id, number.id, paired.id, gateway, runtime, sync)


@pytest.fixture
async def phone(runtime: Runtime, sync: GroupSync, gateway: ScriptedGateway, cast: Cast) -> Phone:
    return await connect_phone(runtime, sync, gateway, cast.organization_id)
