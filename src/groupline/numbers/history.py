"""Deleting sessions from the history. A session owns nothing, so nothing else is lost with it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.errors import Conflict
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import PendingLogout, WhatsappSession
from groupline.numbers import queries, rules
from groupline.numbers.context import Context
from groupline.numbers.logout import is_pending, log_out_target
from groupline.numbers.rules import NotDeletable
from groupline.numbers.start import Target


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What was, or would be, removed."""

    sessions: Sequence[WhatsappSession]
    deleted: int


async def delete_session(
    context: Context, organization_id: UUID, session_id: UUID, *, actor: Actor
) -> None:
    """Removes one row of history. Raises `Conflict` for one that is connected or being paired.

    What its gateway has not let go of yet, the sweeper goes on to log out.
    """
    now = context.clock.now()
    async with context.database.reading() as session:
        row = await queries.get_session(session, organization_id, session_id)
        _refuse(row, now)
    told = await _tell_gateways(context, [row])
    async with context.database.writing() as session:
        row = await queries.lock_session(session, organization_id, session_id)
        _refuse(row, now)
        await _keep_logouts(session, [row], told, now)
        await _delete(session, [row], actor, now)


def _refuse(row: WhatsappSession, now: datetime) -> None:
    verdict = rules.may_delete(queries.facts_of(row), now)
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
    told = await _tell_gateways(context, found)
    async with context.database.writing() as session:
        rows = _old(await _ended(session, organization_id, lock=True), now, older_than)
        await _keep_logouts(session, rows, told, now)
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
        if rules.may_clean_up(
            queries.facts_of(row), row.disconnected_at or row.status_at, now, older_than
        )
    ]


async def _tell_gateways(context: Context, rows: Sequence[WhatsappSession]) -> set[UUID]:
    """One attempt to log them out: those that were. A gateway that is away is not waited for."""
    pending = [row for row in rows if _is_held(row)]
    async with context.database.reading() as session:
        gateways = await queries.gateways_by_id(session, [row.gateway_id for row in pending])
    reachable = [
        Target(row, gateways[row.gateway_id])
        for row in pending
        if gateways[row.gateway_id].unreachable_since is None
    ]
    done = await asyncio.gather(*(log_out_target(context, target) for target in reachable))
    return {target.session.id for target, told in zip(reachable, done, strict=True) if told}


def _is_held(row: WhatsappSession) -> bool:
    """As far as is known, the gateway still has it."""
    return is_pending(row) or row.status in queries.PAIRING


async def _keep_logouts(
    session: AsyncSession, rows: Sequence[WhatsappSession], told: Collection[UUID], now: datetime
) -> None:
    """What is still to be logged out is remembered without its row."""
    session.add_all(
        PendingLogout(
            id=new_id(),
            gateway_id=row.gateway_id,
            gateway_session_id=row.gateway_session_id,
            requested_at=row.logout_requested_at or now,
            next_try_at=now,
        )
        for row in rows
        if _is_held(row) and row.id not in told
    )
    await session.flush()


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
