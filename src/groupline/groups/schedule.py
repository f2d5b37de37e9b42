"""Syncs whatever is due: after a phone was connected, and every day."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Database
from groupline.errors import GrouplineError
from groupline.groups.sync import GroupSync
from groupline.groups.turns import running
from groupline.journal import SYSTEM
from groupline.models import Gateway, WhatsappNumber, WhatsappSession
from groupline.numbers.lanes import Lanes

log = structlog.get_logger(__name__)

_LOOKED_AT: Final = 1_000

Due = tuple[UUID, UUID]
"""Organization and number."""


class GroupSyncLoop:
    """Each gateway is asked for one number at a time, and none waits for a slow one."""

    def __init__(self, database: Database, sync: GroupSync, clock: Clock) -> None:
        self._database = database
        self._sync = sync
        self._clock = clock
        self._lanes = Lanes("groups")

    @property
    def wake(self) -> asyncio.Event:
        """Set when a lane has ended: more may be due by now."""
        return self._lanes.wake

    async def run_once(self) -> bool:
        """Starts a lane for every gateway with a number that is due; waits for none of them."""
        for gateway_id in await self._due():
            self._lanes.start(gateway_id, self._turn)
        return False

    async def drain(self) -> None:
        """Lets the syncs that run end, but not for long: they can be made again."""
        await self._lanes.drain()

    async def next_due(self) -> float | None:
        """Seconds until the next planned sync, or until one that is due may be free to run.

        That a gateway is busy here is no reason to hurry: its lane wakes the loop when it ends.
        """
        now = self._clock.now()
        async with self._database.reading() as session:
            statement = (
                select(func.min(WhatsappNumber.groups_sync_due_at))
                .join(WhatsappSession, _is_connected())
                .where(WhatsappNumber.groups_sync_due_at > now)
            )
            planned = (await session.execute(statement)).scalar_one()
            held = await held_until(session, now, except_at=self._lanes.busy)
        at = min((each for each in (planned, held) if each is not None), default=None)
        return None if at is None else (at - now).total_seconds()

    async def _turn(self, gateway_id: UUID) -> bool:
        due = (await self._due()).get(gateway_id)
        if due is not None:
            await self._run(*due)
        return due is not None

    async def _due(self) -> dict[UUID, Due]:
        async with self._database.reading() as session:
            return await due_numbers(session, self._clock.now())

    async def _run(self, organization_id: UUID, number_id: UUID) -> None:
        try:
            await self._sync.run(organization_id, number_id, actor=SYSTEM)
        except GrouplineError as failure:
            # The sync has stored the failure and when to try again; here is nobody to tell.
            log.info("groups.sync_put_off", number_id=str(number_id), code=failure.code)


async def due_numbers(session: AsyncSession, now: datetime) -> dict[UUID, Due]:
    """By gateway: the connected number whose sync is due for longest and not under way."""
    rows = await _due_rows(session, now)
    under_way = await running(session, [row.id for row in rows], now)
    first_of_gateway: dict[UUID, Due] = {}
    for row in rows:
        if row.id not in under_way:
            first_of_gateway.setdefault(row.gateway_id, (row.organization_id, row.id))
    return first_of_gateway


async def held_until(
    session: AsyncSession, now: datetime, *, except_at: Collection[UUID] = ()
) -> datetime | None:
    """When the first of the due numbers is free again that somebody else syncs, or died over."""
    rows = [row for row in await _due_rows(session, now) if row.gateway_id not in except_at]
    under_way = await running(session, [row.id for row in rows], now)
    return min((turn.ends_at for turn in under_way.values()), default=None)


async def _due_rows(session: AsyncSession, now: datetime) -> Sequence[Any]:
    """All that are due, the longest waiting first."""
    statement = (
        select(WhatsappNumber.organization_id, WhatsappNumber.id, WhatsappSession.gateway_id)
        .join(WhatsappSession, _is_connected())
        .join(Gateway, Gateway.id == WhatsappSession.gateway_id)
        .where(WhatsappNumber.groups_sync_due_at <= now)
        .where(Gateway.enabled)
        .order_by(WhatsappNumber.groups_sync_due_at)
        .limit(_LOOKED_AT)
    )
    return (await session.execute(statement)).all()


def _is_connected() -> ColumnElement[bool]:
    return (
        (WhatsappSession.organization_id == WhatsappNumber.organization_id)
        & (WhatsappSession.number_id == WhatsappNumber.id)
        & (WhatsappSession.status == "connected")
    )
