"""Telling a gateway to let go of an ended session, until it confirms."""

from __future__ import annotations

from uuid import UUID

import structlog
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import GrouplineError, NotFound
from groupline.gateways.service import note_success
from groupline.models import Gateway, PendingLogout, WhatsappSession
from groupline.numbers import cadence, queries
from groupline.numbers.context import Context
from groupline.numbers.start import Target, load_target
from groupline.numbers.transitions import is_pending

log = structlog.get_logger(__name__)


async def log_out(context: Context, organization_id: UUID, session_id: UUID) -> bool:
    """One attempt for a session whose logout was requested. True once the gateway has confirmed.

    A failure is noted and tried again by the sweeper; what a person has ended stays ended.
    """
    async with context.database.reading() as session:
        target = await load_target(session, organization_id, session_id)
    if not is_pending(target.session):
        return True
    return await log_out_target(context, target)


async def log_out_target(context: Context, target: Target) -> bool:
    try:
        driver = context.gateways.driver(target.gateway)
        await driver.disconnect(target.session.gateway_session_id)
    except GrouplineError as error:
        log.info("session.logout_failed", session_id=str(target.session.id), code=error.code)
        await _put_off(context, target)
        return False
    await _confirm(context, target)
    return True


async def log_out_deleted(context: Context, pending: PendingLogout, gateway: Gateway) -> bool:
    """The same for a session that the history no longer has."""
    try:
        await context.gateways.driver(gateway).disconnect(pending.gateway_session_id)
    except GrouplineError as error:
        log.info("session.logout_failed", session=pending.gateway_session_id, code=error.code)
        now = context.clock.now()
        next_try_at = now + cadence.next_logout(pending.requested_at, now)
        async with context.database.writing() as session:
            await session.execute(
                update(PendingLogout)
                .where(PendingLogout.id == pending.id)
                .values(next_try_at=next_try_at)
            )
        return False
    async with context.database.writing() as session:
        await session.execute(delete(PendingLogout).where(PendingLogout.id == pending.id))
        await note_success(session, gateway.id, context.clock.now())
    return True


async def _put_off(context: Context, target: Target) -> None:
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await _locked(session, target)
        if row is not None and is_pending(row) and row.logout_requested_at is not None:
            row.next_verify_at = now + cadence.next_logout(row.logout_requested_at, now)


async def _confirm(context: Context, target: Target) -> None:
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await _locked(session, target)
        if row is not None and is_pending(row):
            row.logout_confirmed_at, row.next_verify_at = now, None
        await note_success(session, target.gateway.id, now)


async def _locked(session: AsyncSession, target: Target) -> WhatsappSession | None:
    """None: the session was deleted from the history meanwhile."""
    try:
        return await queries.lock_session(
            session, target.session.organization_id, target.session.id
        )
    except NotFound:
        return None
