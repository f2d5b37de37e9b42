"""Deleting sessions from the history. A session owns nothing, so nothing else is lost with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.errors import Conflict
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import PendingLogout, WhatsappSession
from groupline.numbers import queries
from groupline.numbers.context import Context
from groupline.numbers.deletion import NotDeletable, may_clean_up, may_delete
from groupline.numbers.logout import log_out_deleted
from groupline.numbers.transitions import is_pending

_ATTEMPT_LASTS: Final = timedelta(minutes=1)
"""Longer than one attempt to log out: the sweeper keeps out of it."""


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What was, or would be, removed."""

    sessions: Sequence[WhatsappSession]
    deleted: int


async def delete_session(
    context: Context, organization_id: UUID, session_id: UUID, *, actor: Actor
) -> None:
    """Removes one row of history. Raises `Conflict` for one that is connected or being paired.

    If its gateway may still hold the pairing, it is told to let go of it, until it confirms.
    """
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await queries.lock_session(session, organization_id, session_id)
        _refuse(row, now)
        kept = await _keep_logouts(session, [row], now, next_try_at=now + _ATTEMPT_LASTS)
        gateways = await queries.gateways_by_id(session, [row.gateway_id])
        await _delete(session, [row], actor, now)
    for pending in kept:
        await log_out_deleted(context, pending, gateways[pending.gateway_id])


def _refuse(row: WhatsappSession, now: datetime) -> None:
    verdict = may_delete(queries.facts_of(row), now)
    if isinstance(verdict, NotDeletable):
        raise Conflict(verdict.why, hint=verdict.hint, state=verdict.state)


async def clean_up(
    context: Context,
    organization_id: UUID,
    *,
    older_than: timedelta,
    dry_run: bool,
    actor: Actor,
) -> CleanUp:
    """Removes what never had a number, and what is older than that. The preview changes nothing."""
    now = context.clock.now()
    async with context.database.reading() as session:
        found = _old(await _ended(session, organization_id), now, older_than)
    if dry_run or not found:
        return CleanUp(found, 0)
    async with context.database.writing() as session:
        rows = _old(await _ended(session, organization_id, lock=True), now, older_than)
        await _keep_logouts(session, rows, now, next_try_at=now)
        await _delete(session, rows, actor, now)
    return CleanUp(rows, len(rows))


async def _ended(
    session: AsyncSession, organization_id: UUID, *, lock: bool = False
) -> Sequence[WhatsappSession]:
    statement = (
        select(WhatsappSession)
        .where(
            WhatsappSession.organization_id == organization_id,
            WhatsappSession.status != "connected",
        )
        .order_by(WhatsappSession.created_at, WhatsappSession.id)
        .execution_options(populate_existing=True)
    )
    if lock:  # a row that somebody works on is not old
        statement = statement.with_for_update(skip_locked=True)
    return (await session.scalars(statement)).all()


def _old(
    rows: Sequence[WhatsappSession], now: datetime, older_than: timedelta
) -> list[WhatsappSession]:
    return [
        row
        for row in rows
        if may_clean_up(
            queries.facts_of(row), row.disconnected_at or row.status_at, now, older_than
        )
    ]


async def _keep_logouts(
    session: AsyncSession,
    rows: Sequence[WhatsappSession],
    now: datetime,
    *,
    next_try_at: datetime,
) -> list[PendingLogout]:
    """What is still to be logged out is remembered without its row, for the sweeper."""
    kept = [
        PendingLogout(
            id=new_id(),
            gateway_id=row.gateway_id,
            gateway_session_id=row.gateway_session_id,
            requested_at=row.logout_requested_at or now,
            next_try_at=next_try_at,
        )
        for row in rows
        if _is_held(row)
    ]
    session.add_all(kept)
    await session.flush()
    return kept


def _is_held(row: WhatsappSession) -> bool:
    """As far as is known, the gateway still has the pairing, though it may have lost the phone."""
    may_come_back = row.ended_reason == "disconnected" and row.logout_confirmed_at is None
    return is_pending(row) or row.status in queries.PAIRING or may_come_back


async def _delete(
    session: AsyncSession, rows: Sequence[WhatsappSession], actor: Actor, now: datetime
) -> None:
    ids = [row.id for row in rows]
    await session.execute(delete(WhatsappSession).where(WhatsappSession.id.in_(ids)))
    entries = [
        journal.Entry(
            action="session.deleted",
            actor=actor,
            organization_id=row.organization_id,
            subject="session",
            subject_id=row.id,
            at=now,
            data={
                "status": row.status,
                "reason": row.ended_reason,
                "numberId": str(row.number_id) if row.number_id else None,
            },
        )
        for row in rows
    ]
    await journal.record_all(session, entries)
    for organization_id in {row.organization_id for row in rows}:
        await announce(session, "sessions", organization_id=organization_id, subject_id=None)
