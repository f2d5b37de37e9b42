"""Telling a gateway of a pairing whose row is already committed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.errors import (
    GatewayAuthFailed,
    GatewayRefused,
    GatewayRouteMissing,
    GatewaySessionUnknown,
    GrouplineError,
    NotFound,
    UpstreamError,
)
from groupline.gateways.port import Pairing, Proxy
from groupline.gateways.service import note_success
from groupline.ids import new_id
from groupline.journal import SYSTEM, Actor
from groupline.models import Gateway, PendingLogout, WhatsappSession
from groupline.numbers import queries, rules
from groupline.numbers.context import Context
from groupline.numbers.readings import show_code


@dataclass(frozen=True, slots=True)
class Target:
    """A session, and the gateway to ask about it. Both detached from any transaction."""

    session: WhatsappSession
    gateway: Gateway


async def load_target(session: AsyncSession, organization_id: UUID, session_id: UUID) -> Target:
    row = await queries.get_session(session, organization_id, session_id)
    gateway = (await queries.gateways_by_id(session, [row.gateway_id]))[row.gateway_id]
    return Target(row, gateway)


async def start_pairing(
    context: Context, target: Target, *, pairing_phone: str | None = None, actor: Actor = SYSTEM
) -> WhatsappSession:
    """Asks the gateway to begin. If it refuses, the row goes and its reason is raised."""
    try:
        pairing = await call_connect(context, target, pairing_phone=pairing_phone)
    except GrouplineError as error:
        await _take_back(context, target, error, actor)
        raise
    return await note_started(context, target, pairing)


async def call_connect(
    context: Context, target: Target, *, pairing_phone: str | None = None
) -> Pairing:
    row = target.session
    expected = pairing_phone or await _expected_phone(context, row)
    driver = context.gateways.driver(target.gateway)
    return await driver.connect(
        row.gateway_session_id,
        proxy=read_proxy(context, row),
        expected_phone=expected,
        pairing_code=pairing_phone is not None,
    )


async def _expected_phone(context: Context, row: WhatsappSession) -> str | None:
    number_id = row.number_id or row.expected_number_id
    if number_id is None:
        return None
    async with context.database.reading() as session:
        number = await queries.get_number(session, row.organization_id, number_id)
    return number.phone_number


async def note_started(context: Context, target: Target, pairing: Pairing) -> WhatsappSession:
    """The gateway has begun. It may have sent a code already; a report may have been faster."""
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await queries.lock_session(session, target.session.organization_id, target.session.id)
        code = (pairing.qr.text or pairing.qr.image_data_url) if pairing.qr is not None else None
        if row.status == "connecting" and row.number_id is None and code is not None:
            show_code(row, code, pairing.pairing_code, None, now)
        if row.status in queries.PAIRING:
            row.next_verify_at = now
        await note_success(session, target.gateway.id, now)
        await announce(session, "sessions", organization_id=row.organization_id, subject_id=row.id)
    return row


async def _take_back(context: Context, target: Target, error: GrouplineError, actor: Actor) -> None:
    """What never began leaves no session behind, only the journal's word.

    Where the gateway may have begun all the same, it is told to let go.
    """
    row, now = target.session, context.clock.now()
    async with context.database.writing() as session:
        try:
            stored = await queries.lock_session(session, row.organization_id, row.id)
        except NotFound:
            return  # somebody was faster
        if stored.status not in queries.PAIRING:
            return  # ended, or connected, while the gateway was refusing: then it is history
        await session.delete(stored)
        if _may_have_begun(error):
            session.add(_logout_of(stored, now))
        await session.flush()
        await journal.record(
            session,
            action="session.refused",
            actor=actor,
            organization_id=row.organization_id,
            subject="session",
            subject_id=row.id,
            data={"code": error.code, "detail": error.detail, "gateway": target.gateway.name},
            at=now,
        )
        await announce(session, "sessions", organization_id=row.organization_id, subject_id=row.id)


def _may_have_begun(error: GrouplineError) -> bool:
    """Unless it said no, or was never asked. A server error may come from a proxy before it."""
    match error:
        case GatewayAuthFailed() | GatewayRouteMissing() | GatewaySessionUnknown():
            return False
        case GatewayRefused(upstream_status=status):
            return status is not None and (status >= 500 or status == 408)
        case UpstreamError():
            return error.was_written
        case _:
            return False


def _logout_of(row: WhatsappSession, now: datetime) -> PendingLogout:
    """After the grace: our request may still be under way, and must not come after this one."""
    return PendingLogout(
        id=new_id(),
        gateway_id=row.gateway_id,
        gateway_session_id=row.gateway_session_id,
        requested_at=now,
        next_try_at=now + rules.START_GRACE,
    )


# --- proxies --------------------------------------------------------------------------------


def write_proxy(context: Context, proxy: Proxy | None) -> str | None:
    """Encrypted: it holds a password."""
    if proxy is None:
        return None
    facts = {
        "host": proxy.host,
        "port": proxy.port,
        "username": proxy.username,
        "password": proxy.password,
    }
    return context.vault.encrypt(json.dumps(facts))


def read_proxy(context: Context, row: WhatsappSession) -> Proxy | None:
    if row.proxy is None:
        return None
    return Proxy(**json.loads(context.vault.decrypt(row.proxy)))
