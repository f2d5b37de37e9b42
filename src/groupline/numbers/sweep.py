"""The sweeper: pairings that nobody scanned, codes that are stale, logouts not yet confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, union, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.journal import SYSTEM
from groupline.models import Gateway, PendingLogout, WhatsappSession
from groupline.numbers import queries, rules
from groupline.numbers.account import record_end
from groupline.numbers.context import Context
from groupline.numbers.lanes import Lanes
from groupline.numbers.logout import log_out_deleted, log_out_target
from groupline.numbers.start import Target
from groupline.numbers.transitions import end_session, note_never_began, request_logout

_BATCH: Final = 20
LOGOUTS: Final = 10
"""Of each kind (in the history, deleted from it), at one gateway, in one batch."""
_AT_LEAST_SECONDS: Final = 1.0
LEASE: Final = timedelta(seconds=60)
"""Longer than the logouts of a batch may take, all at once (a test holds it)."""


class Sweeper:
    """Several may run, in several processes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lanes = Lanes("sweeper")

    @property
    def wake(self) -> asyncio.Event:
        """Set when the logouts at a gateway have ended: there may be more."""
        return self._lanes.wake

    async def run_once(self) -> bool:
        """Does what is due; True if there may be more. Gateways are not waited for."""
        expired = await self._expire_pairings()
        await self._drop_stale_codes()
        for gateway_id in await self._gateways_to_tell():
            self._lanes.start(gateway_id, self._log_out)
        return expired == _BATCH

    async def next_due(self) -> float | None:
        """Seconds until a pairing or a code ends, or a gateway may be told of a logout."""
        now = self._context.clock.now()
        async with self._context.database.reading() as session:
            started, *others = (await session.execute(_moments(now, self._lanes.busy))).one()
        ends = started + rules.PAIRING_LASTS if started is not None else None
        moments = [each for each in (ends, *others) if each is not None]
        if not moments:
            return None
        # Somebody else may hold the lock on what is due: no reason to spin.
        until: timedelta = min(moments) - now
        return max(_AT_LEAST_SECONDS, until.total_seconds())

    async def drain(self) -> None:
        """Lets what was begun end."""
        await self._lanes.drain()

    # --- pairings

    async def _expire_pairings(self) -> int:
        """Also while their gateway is away: it is logged out there as soon as it can be."""
        now = self._context.clock.now()
        due = (
            select(WhatsappSession)
            .where(
                queries.IS_BEING_PAIRED,
                WhatsappSession.pairing_started_at <= now - rules.PAIRING_LASTS,
            )
            .limit(_BATCH)
        )
        async with self._context.database.reading() as session:
            if (await session.scalars(due)).first() is None:
                return 0  # the usual case costs no write transaction
        async with self._context.database.writing() as session:
            rows = (await session.scalars(due.with_for_update(skip_locked=True))).all()
            for row in rows:
                await self._expire(session, row, now)
        return len(rows)

    async def _expire(self, session: AsyncSession, row: WhatsappSession, now: datetime) -> None:
        if row.status == "connecting":  # nobody could have scanned anything: that is not why
            note_never_began(row, now)
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

    # --- logouts

    async def _gateways_to_tell(self) -> list[UUID]:
        now = self._context.clock.now()
        due = union(
            select(WhatsappSession.gateway_id).where(*_logout_due(now)),
            select(PendingLogout.gateway_id).where(PendingLogout.next_try_at <= now),
        )
        async with self._context.database.reading() as session:
            return list((await session.scalars(due)).all())

    async def _log_out(self, gateway_id: UUID) -> bool:
        """One batch of the gateway's logouts; True if there may be more."""
        ended, deleted = await self._claim(gateway_id)
        await asyncio.gather(
            *(log_out_target(self._context, target) for target in ended),
            *(log_out_deleted(self._context, pending, gateway) for pending, gateway in deleted),
        )
        return LOGOUTS in (len(ended), len(deleted))

    async def _claim(
        self, gateway_id: UUID
    ) -> tuple[list[Target], list[tuple[PendingLogout, Gateway]]]:
        """Takes what is due and puts it off by a lease, so that nobody else does the same."""
        now = self._context.clock.now()
        ended = (
            select(WhatsappSession)
            .where(WhatsappSession.gateway_id == gateway_id, *_logout_due(now))
            .limit(LOGOUTS)
        )
        deleted = (
            select(PendingLogout)
            .where(PendingLogout.gateway_id == gateway_id, PendingLogout.next_try_at <= now)
            .order_by(PendingLogout.next_try_at)
            .limit(LOGOUTS)
        )
        async with self._context.database.writing() as session:
            rows = (await session.scalars(ended.with_for_update(skip_locked=True))).all()
            pendings = (await session.scalars(deleted.with_for_update(skip_locked=True))).all()
            for row in rows:
                row.next_verify_at = now + LEASE
            for pending in pendings:
                pending.next_try_at = now + LEASE
            gateway = (await queries.gateways_by_id(session, [gateway_id]))[gateway_id]
        return [Target(row, gateway) for row in rows], [(each, gateway) for each in pendings]


def _moments(now: datetime, busy: Sequence[UUID]) -> Select[*tuple[Any, ...]]:
    """The first of each kind, in one question; without gateways that are being told already."""
    being_paired, row = queries.IS_BEING_PAIRED, WhatsappSession
    asked = (
        select(func.min(row.pairing_started_at)).where(being_paired),
        select(func.min(row.qr_expires_at)).where(being_paired, row.status == "qr_pending"),
        select(func.min(func.coalesce(row.next_verify_at, now))).where(
            *_TO_LOG_OUT, row.gateway_id.not_in(busy)
        ),
        select(func.min(PendingLogout.next_try_at)).where(PendingLogout.gateway_id.not_in(busy)),
    )
    return select(*(each.scalar_subquery() for each in asked))


_TO_LOG_OUT: Final = (
    WhatsappSession.logout_requested_at.is_not(None),
    WhatsappSession.logout_confirmed_at.is_(None),
)


def _logout_due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        *_TO_LOG_OUT,
        WhatsappSession.next_verify_at.is_(None) | (WhatsappSession.next_verify_at <= now),
    )
