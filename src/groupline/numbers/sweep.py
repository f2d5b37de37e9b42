"""The sweeper: pairings that nobody scanned, codes that are stale, logouts not yet confirmed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.journal import SYSTEM
from groupline.models import Gateway, PendingLogout, WhatsappSession
from groupline.numbers import queries, rules
from groupline.numbers.account import record_end
from groupline.numbers.context import Context
from groupline.numbers.logout import log_out_deleted, log_out_target
from groupline.numbers.start import Target
from groupline.numbers.transitions import end_session, request_logout

_BATCH: Final = 20
_LEASE: Final = timedelta(seconds=60)
"""Longer than a logout may take."""
_GATEWAY_MAY_BE_AWAY: Final = timedelta(hours=1)
"""While a gateway cannot be asked, a pairing may have been scanned: it is not ended for so long."""


class Sweeper:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run_once(self) -> bool:
        """Does what is due; True if there may be more."""
        expired = await self._expire_pairings()
        await self._drop_stale_codes()
        return await self._log_out() or expired == _BATCH

    async def _expire_pairings(self) -> int:
        now = self._context.clock.now()
        due = (
            select(WhatsappSession)
            .join(Gateway, Gateway.id == WhatsappSession.gateway_id)
            .where(
                queries.IS_BEING_PAIRED,
                WhatsappSession.pairing_started_at <= now - rules.PAIRING_LASTS,
                Gateway.unreachable_since.is_(None)
                | (WhatsappSession.pairing_started_at <= now - _GATEWAY_MAY_BE_AWAY),
            )
            .limit(_BATCH)
        )
        async with self._context.database.reading() as session:
            if (await session.scalars(due)).first() is None:
                return 0  # the usual case costs no write transaction
        async with self._context.database.writing() as session:
            claimed = due.with_for_update(skip_locked=True, of=WhatsappSession)
            rows = (await session.scalars(claimed)).all()
            for row in rows:
                await self._expire(session, row, now)
        return len(rows)

    async def _expire(self, session: AsyncSession, row: WhatsappSession, now: datetime) -> None:
        if row.number_id is None:
            end_session(row, "expired", source="sweeper", at=now, now=now)
            request_logout(row, now)
        else:  # it may come back by itself: its pairing is left alone
            end_session(row, "disconnected", source="sweeper", at=now, now=now)
            row.next_verify_at = now + self._context.verify_every
        await session.flush()
        await record_end(session, row, was_connected=False, actor=SYSTEM, now=now)
        await announce(session, "sessions", organization_id=row.organization_id, subject_id=row.id)

    async def _drop_stale_codes(self) -> None:
        """A code that can no longer be scanned is not kept."""
        now = self._context.clock.now()
        stale = (
            queries.IS_BEING_PAIRED,
            WhatsappSession.status == "qr_pending",
            WhatsappSession.qr_expires_at <= now,
        )
        async with self._context.database.reading() as session:
            if await session.scalar(select(WhatsappSession.id).where(*stale).limit(1)) is None:
                return
        async with self._context.database.writing() as session:
            await session.execute(
                update(WhatsappSession)
                .where(
                    WhatsappSession.id.in_(
                        select(WhatsappSession.id).where(*stale).with_for_update(skip_locked=True)
                    )
                )
                .values(qr_code=None, qr_expires_at=None)
            )

    async def _log_out(self) -> bool:
        targets = await self._claim_logouts()
        deleted = await self._claim_deleted()
        await asyncio.gather(
            *(log_out_target(self._context, target) for target in targets),
            *(log_out_deleted(self._context, pending, gateway) for pending, gateway in deleted),
        )
        return _BATCH in (len(targets), len(deleted))

    async def _claim_deleted(self) -> list[tuple[PendingLogout, Gateway]]:
        now = self._context.clock.now()
        is_due = PendingLogout.next_try_at <= now
        async with self._context.database.reading() as session:
            if await session.scalar(select(PendingLogout.id).where(is_due).limit(1)) is None:
                return []
        due = select(PendingLogout).where(is_due).order_by(PendingLogout.next_try_at).limit(_BATCH)
        async with self._context.database.writing() as session:
            rows = (await session.scalars(due.with_for_update(skip_locked=True))).all()
            for row in rows:
                row.next_try_at = now + _LEASE
            gateways = await queries.gateways_by_id(session, [row.gateway_id for row in rows])
        return [(row, gateways[row.gateway_id]) for row in rows]

    async def _claim_logouts(self) -> list[Target]:
        now = self._context.clock.now()
        due = _logout_due(self._context.clock.now())
        async with self._context.database.reading() as session:
            if await session.scalar(select(WhatsappSession.id).where(*due).limit(1)) is None:
                return []
        async with self._context.database.writing() as session:
            rows = (
                await session.scalars(
                    select(WhatsappSession)
                    .where(*due)
                    .limit(_BATCH)
                    .with_for_update(skip_locked=True)
                )
            ).all()
            for row in rows:
                row.next_verify_at = now + _LEASE
            gateways = await queries.gateways_by_id(session, [row.gateway_id for row in rows])
        return [Target(row, gateways[row.gateway_id]) for row in rows]


def _logout_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        WhatsappSession.logout_requested_at.is_not(None),
        WhatsappSession.logout_confirmed_at.is_(None),
        WhatsappSession.next_verify_at.is_(None) | (WhatsappSession.next_verify_at <= now),
    )
