"""Syncs whatever is due: after a phone was connected, and every day."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final
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

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 4
_LOOKED_AT: Final = 100

Due = tuple[UUID, UUID]
"""Organization and number."""


class GroupSyncLoop:
    """One turn syncs at most one number per gateway, so that none is asked more than it bears."""

    def __init__(self, database: Database, sync: GroupSync, clock: Clock) -> None:
        self._database = database
        self._sync = sync
        self._clock = clock

    async def run_once(self) -> bool:
        now = self._clock.now()
        async with self._database.reading() as session:
            due = await due_numbers(session, now)
        async with asyncio.TaskGroup() as turn:
            for each in due:
                turn.create_task(self._run(*each))
        return bool(due)

    async def next_due(self) -> float | None:
        """Seconds until the next planned sync; what is due and cannot run is no reason to hurry."""
        now = self._clock.now()
        async with self._database.reading() as session:
            statement = (
                select(func.min(WhatsappNumber.groups_sync_due_at))
                .join(WhatsappSession, _is_connected())
                .where(WhatsappNumber.groups_sync_due_at > now)
            )
            at = (await session.execute(statement)).scalar_one()
        return None if at is None else (at - now).total_seconds()

    async def _run(self, organization_id: UUID, number_id: UUID) -> None:
        try:
            await self._sync.run(organization_id, number_id, actor=SYSTEM)
        except GrouplineError as failure:
            # The sync has stored the failure and when to try again; here is nobody to tell.
            log.info("groups.sync_put_off", number_id=str(number_id), code=failure.code)


async def due_numbers(session: AsyncSession, now: datetime) -> Sequence[Due]:
    """Connected numbers whose sync is due and not under way, at most one per gateway."""
    rows = (
        await session.execute(
            select(WhatsappNumber.organization_id, WhatsappNumber.id, WhatsappSession.gateway_id)
            .join(WhatsappSession, _is_connected())
            .join(Gateway, Gateway.id == WhatsappSession.gateway_id)
            .where(WhatsappNumber.groups_sync_due_at <= now)
            .where(Gateway.enabled)
            .order_by(WhatsappNumber.groups_sync_due_at)
            .limit(_LOOKED_AT)
        )
    ).all()
    under_way = await running(session, [row.id for row in rows], now)
    first_of_gateway: dict[UUID, Due] = {}
    for row in rows:
        if row.id not in under_way:
            first_of_gateway.setdefault(row.gateway_id, (row.organization_id, row.id))
    return list(first_of_gateway.values())[:_AT_ONCE]


def _is_connected() -> ColumnElement[bool]:
    return (
        (WhatsappSession.organization_id == WhatsappNumber.organization_id)
        & (WhatsappSession.number_id == WhatsappNumber.id)
        & (WhatsappSession.status == "connected")
    )
