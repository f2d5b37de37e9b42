"""Asking a gateway about one session. No transaction is open meanwhile.

What the gateway says goes through `apply_reading`. That it says nothing is noted on the gateway;
that it says nothing about this one session, on the session, which keeps its state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.errors import (
    GatewayAuthFailed,
    GatewayMalformed,
    GatewayRefused,
    GatewayRouteMissing,
    GatewayUnreachable,
    GrouplineError,
    UpstreamError,
)
from groupline.gateways.outcomes import FailureKind, Reading, ReadingFailed
from groupline.gateways.port import Capabilities, Capability
from groupline.gateways.service import note_failure, note_success
from groupline.journal import Actor
from groupline.models import Gateway, WhatsappSession
from groupline.numbers import cadence, queries
from groupline.numbers.account import GATEWAY
from groupline.numbers.context import Context
from groupline.numbers.readings import Applied, Word, apply_reading
from groupline.numbers.start import Target, load_target, start_pairing
from groupline.numbers.transitions import note_failed_check

_SEEN_LATELY: Final = timedelta(seconds=10)


async def verify_session(
    context: Context, organization_id: UUID, session_id: UUID, *, actor: Actor = GATEWAY
) -> Applied:
    """Asks the gateway now. Raises what is wrong with it; the session is then as before."""
    async with context.database.reading() as session:
        target = await load_target(session, organization_id, session_id)
    at = context.clock.now()
    reading = await ask(context, target)
    if isinstance(reading, ReadingFailed):
        if await fails_itself(context, target.gateway):
            await note_failed_turn(context, target.gateway, reading, [target.session.id])
        else:
            await note_failed_session(context, target, reading)
        raise error_of(reading)
    now, pace = context.clock.now(), context.pace_seconds
    word = Word(reading, at, now, actor=actor, pace_seconds=pace)
    applied = await apply_and_schedule(context, target, word)
    if applied.fresh_pairing is not None:
        await start_pairing(context, Target(applied.fresh_pairing, target.gateway))
    return applied


async def ask(context: Context, target: Target) -> Reading:
    try:
        driver = context.gateways.driver(target.gateway)
    except GrouplineError as error:  # e.g. its key was encrypted under another SECRET_KEY
        return ReadingFailed(FailureKind.REFUSED, error.detail)
    return await driver.status(target.session.gateway_session_id)


async def apply_and_schedule(context: Context, target: Target, word: Word) -> Applied:
    """One transaction: what the reading changes, and when the gateway is asked next."""
    gateway = target.gateway
    told = Capability.RESTRICTION_INFO in Capabilities.parse(gateway.capabilities)
    async with context.database.writing() as session:
        applied = await apply_reading(
            session,
            target.session.organization_id,
            target.session.id,
            replace(word, knows_restrictions=told),
        )
        _schedule(context, applied.session, word.now)
        if gateway.unreachable_since is not None or not _seen_lately(gateway, word.now):
            await note_success(session, gateway.id, word.now)
    return applied


def _seen_lately(gateway: Gateway, now: datetime) -> bool:
    return gateway.last_seen_at is not None and now - gateway.last_seen_at < _SEEN_LATELY


def _schedule(context: Context, row: WhatsappSession, now: datetime) -> None:
    if row.logout_requested_at is not None and row.logout_confirmed_at is None:
        return  # what is asked of the gateway next is to let go of it
    pause = cadence.next_look(queries.facts_of(row), row.disconnected_at, now, context.verify_every)
    row.next_verify_at = None if pause is None else now + cadence.with_jitter(pause, context.roll())


def error_of(failed: ReadingFailed) -> UpstreamError:
    """The error that tells a person what is wrong with the gateway."""
    status = failed.http_status
    match failed.kind:
        case FailureKind.UNREACHABLE:
            return GatewayUnreachable(failed.detail, upstream_status=status)
        case FailureKind.AUTH:
            return GatewayAuthFailed(
                failed.detail, upstream_status=status, hint="Check the key of the gateway."
            )
        case FailureKind.ROUTE_MISSING:
            return GatewayRouteMissing(
                failed.detail, upstream_status=status, hint="Check the address of the gateway."
            )
        case FailureKind.SERVER_ERROR:
            return UpstreamError(failed.detail, upstream_status=status)
        case FailureKind.REFUSED:
            return GatewayRefused(failed.detail, upstream_status=status)
        case FailureKind.MALFORMED:
            return GatewayMalformed(failed.detail, upstream_status=status)
        case _:
            assert_never(failed.kind)


async def fails_itself(context: Context, gateway: Gateway) -> bool:
    """Whether the gateway fails, or only what it says, or does not say, of one session.

    It is asked for its health, and for a session that nobody has: if it answers these as it
    should, the trouble is not the gateway's.
    """
    return (await context.gateways.probe(gateway)).failure is not None


async def note_failed_session(context: Context, target: Target, failed: ReadingFailed) -> None:
    """The gateway answers, but not about this session, which keeps its state."""
    now, gateway = context.clock.now(), target.gateway
    async with context.database.writing() as session:
        row = await session.scalar(
            select(WhatsappSession)
            .where(WhatsappSession.id == target.session.id)
            .with_for_update(skip_locked=True)
        )
        if row is not None:
            note_failed_check(row, failed.detail, now)
            _schedule(context, row, now)
            await _announce(session, row)
        if gateway.unreachable_since is not None:
            await note_success(session, gateway.id, now)


async def _announce(session: AsyncSession, row: WhatsappSession) -> None:
    """Each time, because pages show how old the last proof is."""
    owner = row.organization_id
    await announce(session, "sessions", organization_id=owner, subject_id=row.id)
    if row.number_id is not None:
        await announce(session, "numbers", organization_id=owner, subject_id=row.number_id)


async def note_failed_turn(
    context: Context, gateway: Gateway, failed: ReadingFailed, session_ids: Sequence[UUID]
) -> None:
    """The gateway failed, the sessions did not: they are asked about again within one period."""
    now = context.clock.now()
    async with context.database.writing() as session:
        await note_failure(session, gateway.id, code=failed.kind, detail=failed.detail, now=now)
        rows = await session.scalars(
            select(WhatsappSession)
            .where(WhatsappSession.id.in_(session_ids))
            # Never waits for a row: a takeover that holds one may be waiting for another.
            .with_for_update(skip_locked=True)
        )
        for row in rows:
            _schedule(context, row, now)
