"""What people do with sessions: connect, cancel, disconnect, reconnect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.errors import (
    Conflict,
    GatewaySessionUnknown,
    GrouplineError,
    InvalidInput,
    UpstreamError,
)
from groupline.gateways.phone import normalise_phone
from groupline.gateways.port import Capabilities, Capability, Proxy
from groupline.gateways.service import default_gateway, get_gateway
from groupline.journal import Actor
from groupline.models import EndedReason, Gateway, WhatsappNumber, WhatsappSession
from groupline.numbers import queries, rules
from groupline.numbers.account import record_end
from groupline.numbers.ask import verify_session
from groupline.numbers.context import Context
from groupline.numbers.logout import log_out
from groupline.numbers.readings import new_pairing_row
from groupline.numbers.start import (
    Target,
    call_connect,
    load_target,
    note_started,
    start_pairing,
    write_proxy,
)
from groupline.numbers.transitions import end_session, is_pending, need_no_logout, request_logout
from groupline.text import clean_line


@dataclass(frozen=True, slots=True)
class ConnectWish:
    """What a person says when they connect a phone."""

    gateway_id: UUID | None = None
    label: str | None = None
    proxy: Proxy | None = None
    pairing_phone: str | None = None
    """Also ask for a code that can be typed on this phone."""


# --- connect --------------------------------------------------------------------------------


async def connect(
    context: Context, organization_id: UUID, wish: ConnectWish, *, actor: Actor
) -> WhatsappSession:
    """Starts a pairing and answers what was committed. A gateway that refuses leaves no row."""
    phone, label = _pairing_phone(wish), _label(wish.label)
    async with context.database.writing() as session:
        gateway = await _gateway(session, wish.gateway_id)
        if phone is not None:
            _need_pairing_codes(gateway)
        row = new_pairing_row(
            organization_id=organization_id,
            gateway_id=gateway.id,
            expected_number_id=None,
            label=label,
            proxy=write_proxy(context, wish.proxy),
            created_by=actor.reference,
            now=context.clock.now(),
        )
        await _add(session, row, actor)
    return await start_pairing(context, Target(row, gateway), pairing_phone=phone, actor=actor)


def _pairing_phone(wish: ConnectWish) -> str | None:
    if wish.pairing_phone is None or not wish.pairing_phone.strip():
        return None
    try:
        return normalise_phone(wish.pairing_phone)
    except InvalidInput as error:
        fields = {"pairingPhone": error.fields.get("phone", "is not a phone number")}
        raise InvalidInput(error.detail, fields=fields, hint=error.hint) from error


def _need_pairing_codes(gateway: Gateway) -> None:
    """Asked for in vain, a code would never come. A gateway not yet heard of may offer them."""
    offers = Capabilities.parse(gateway.capabilities)
    if gateway.last_seen_at is not None and Capability.PAIRING_CODE not in offers:
        raise InvalidInput(
            f"The gateway “{gateway.name}” offers no pairing codes.",
            fields={"pairingPhone": "this gateway offers no pairing codes"},
            hint="Leave the phone number out and scan the QR code instead.",
        )


def _label(label: str | None) -> str | None:
    return clean_line(label or "", field="label", what="label", least=0, most=80) or None


async def _gateway(session: AsyncSession, gateway_id: UUID | None) -> Gateway:
    if gateway_id is None:
        return await default_gateway(session)
    gateway = await get_gateway(session, gateway_id)
    if not gateway.enabled:
        raise Conflict(
            f"The gateway “{gateway.name}” is switched off.",
            hint="Choose another gateway.",
            state="gateway_disabled",
        )
    return gateway


async def _add(session: AsyncSession, row: WhatsappSession, actor: Actor) -> None:
    session.add(row)
    await session.flush()
    await journal.record(
        session,
        action="session.started",
        actor=actor,
        organization_id=row.organization_id,
        subject="session",
        subject_id=row.id,
        data={
            "label": row.label,
            "expectedNumberId": str(row.expected_number_id) if row.expected_number_id else None,
        },
        at=row.created_at,
    )
    await announce(session, "sessions", organization_id=row.organization_id, subject_id=row.id)


# --- cancel, disconnect ---------------------------------------------------------------------


async def cancel(
    context: Context, organization_id: UUID, session_id: UUID, *, actor: Actor
) -> WhatsappSession:
    """Ends a pairing that is under way, and tells the gateway."""
    async with context.database.writing() as session:
        row = await queries.lock_session(session, organization_id, session_id)
        if row.status == "connected":
            raise Conflict(
                "This phone is already connected.",
                hint="Disconnect it instead.",
                state=row.status,
            )
        if row.status != "disconnected":
            await _end_by_user(session, row, "cancelled", actor, context.clock.now())
    await log_out(context, organization_id, session_id)
    return await _stored(context, row)


async def disconnect(
    context: Context, organization_id: UUID, session_id: UUID, *, actor: Actor
) -> WhatsappSession:
    """The user's word is enough. The gateway is told now, or as soon as it can be reached."""
    async with context.database.writing() as session:
        row = await queries.lock_session(session, organization_id, session_id)
        if row.status != "disconnected":
            reason: EndedReason = "user" if row.status == "connected" else "cancelled"
            await _end_by_user(session, row, reason, actor, context.clock.now())
        elif row.ended_reason not in ("user", "cancelled"):
            raise Conflict(
                "This session is already disconnected.",
                hint="Reconnect the number, or delete the session from the history.",
                state=row.status,
            )
    await log_out(context, organization_id, session_id)
    return await _stored(context, row)


_TOLD_BY_OURSELVES: Final = timedelta(seconds=60)
"""Longer than the call that follows the commit: only after that it is the sweeper's."""


async def _end_by_user(
    session: AsyncSession, row: WhatsappSession, reason: EndedReason, actor: Actor, now: datetime
) -> None:
    was_connected = row.status == "connected"
    end_session(row, reason, source="user", at=now, now=now)
    row.last_error = row.last_error_at = None
    request_logout(row, now)
    row.next_verify_at = now + _TOLD_BY_OURSELVES
    await session.flush()
    await record_end(session, row, was_connected=was_connected, actor=actor, now=now)
    await announce(session, "sessions", organization_id=row.organization_id, subject_id=row.id)
    await announce(session, "numbers", organization_id=row.organization_id, subject_id=None)
    if was_connected:
        await announce(session, "messages", organization_id=row.organization_id, subject_id=None)


async def _stored(context: Context, row: WhatsappSession) -> WhatsappSession:
    async with context.database.reading() as session:
        return await queries.get_session(session, row.organization_id, row.id)


async def disconnect_number(
    context: Context, organization_id: UUID, number_id: UUID, *, actor: Actor
) -> WhatsappSession:
    """Disconnects the session that serves the number."""
    now = context.clock.now()
    async with context.database.reading() as session:
        await queries.get_number(session, organization_id, number_id)
        row = await queries.connected_session(session, organization_id, number_id)
        row = row or await queries.pairing_for(session, organization_id, number_id, now)
    if row is None:
        raise Conflict(
            "This number is not connected.", hint="Reconnect it first.", state="disconnected"
        )
    return await disconnect(context, organization_id, row.id, actor=actor)


async def verify_number(
    context: Context, organization_id: UUID, number_id: UUID, *, actor: Actor
) -> WhatsappSession:
    """Asks the gateway about the session that serves the number, or did last."""
    async with context.database.reading() as session:
        number = await queries.get_number(session, organization_id, number_id)
        row = await queries.connected_session(session, organization_id, number_id)
        row = row or await queries.last_pairing(session, organization_id, number_id)
    if row is None:
        raise _nothing_to_verify(number)
    return (await verify_session(context, organization_id, row.id, actor=actor)).session


def _nothing_to_verify(number: WhatsappNumber) -> Conflict:
    if number.last_connected_at is None:
        return Conflict(
            "This number has never been connected.", hint="Connect it.", state="never_connected"
        )
    return Conflict("This number is not connected.", hint="Reconnect it.", state="disconnected")


# --- reconnect ------------------------------------------------------------------------------


async def reconnect(
    context: Context, organization_id: UUID, number_id: UUID, *, actor: Actor
) -> WhatsappSession:
    """Revives the last pairing at the gateway, or pairs anew under the same number.

    Asked twice, also at the same moment, it answers the one pairing that is under way.
    """
    now = context.clock.now()
    async with context.database.reading() as session:
        await queries.get_number(session, organization_id, number_id)
        connected = await queries.connected_session(session, organization_id, number_id)
        under_way = await queries.pairing_for(session, organization_id, number_id, now)
        last = await queries.last_pairing(session, organization_id, number_id)
    if connected is not None:
        raise Conflict("This number is connected.", hint="Verify it instead.", state="connected")
    if under_way is not None:
        return under_way
    if last is not None and _may_be_revived(last):
        revived = await _revive(context, last, actor)
        if revived is not None:
            return revived
    return await _pair_anew(context, organization_id, number_id, last, actor)


def _may_be_revived(row: WhatsappSession) -> bool:
    """A pairing that the gateway may still hold."""
    if row.ended_reason in ("user", "expired", "cancelled"):
        return is_pending(row)
    return row.ended_reason == "disconnected"


async def _revive(context: Context, last: WhatsappSession, actor: Actor) -> WhatsappSession | None:
    """None: the gateway no longer has the pairing, or somebody else was faster."""
    before = await _mark_reviving(context, last, actor)
    if before is None:
        return None
    async with context.database.reading() as session:
        target = await load_target(session, last.organization_id, last.id)
    try:
        pairing = await call_connect(context, target)
    except Exception as error:  # whatever it was, nothing has begun
        await _give_up_reviving(context, last, before, error)
        if isinstance(error, GatewaySessionUnknown):
            return None
        raise
    await note_started(context, target, pairing)
    try:
        applied = await verify_session(context, last.organization_id, last.id, actor=actor)
    except UpstreamError:
        return await _stored(context, last)  # it has begun; the verifier goes on from here
    if applied.fresh_pairing is not None:
        return applied.fresh_pairing
    return None if applied.session.status == "disconnected" else applied.session


@dataclass(frozen=True, slots=True)
class _Before:
    """How the session had ended, should reviving it fail."""

    ended_reason: EndedReason | None
    disconnected_at: datetime | None
    pairing_started_at: datetime
    logout_requested_at: datetime | None


async def _mark_reviving(context: Context, last: WhatsappSession, actor: Actor) -> _Before | None:
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await queries.lock_session(session, last.organization_id, last.id)
        if row.status != "disconnected":
            return None  # somebody else was faster
        before = _Before(
            row.ended_reason, row.disconnected_at, row.pairing_started_at, row.logout_requested_at
        )
        need_no_logout(row)
        row.status, row.status_source, row.status_at = "connecting", "user", now
        row.ended_reason = row.disconnected_at = row.doubted_at = row.status_detail = None
        row.obstacle = None
        row.pairing_started_at = now
        row.next_verify_at = now + rules.START_GRACE
        await session.flush()
        await journal.record(
            session,
            action="session.revived",
            actor=actor,
            organization_id=row.organization_id,
            subject="session",
            subject_id=row.id,
            data={"numberId": str(row.number_id)},
            at=now,
        )
        await announce(session, "sessions", organization_id=row.organization_id, subject_id=row.id)
        await announce(session, "numbers", organization_id=row.organization_id, subject_id=None)
    return before


async def _give_up_reviving(
    context: Context, last: WhatsappSession, before: _Before, error: Exception
) -> None:
    """The session is what it was before, with the gateway's reason."""
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await queries.lock_session(session, last.organization_id, last.id)
        if row.status != "connecting":
            return  # a report was faster than the refusal
        row.status, row.ended_reason = "disconnected", before.ended_reason
        row.disconnected_at = before.disconnected_at
        row.pairing_started_at = before.pairing_started_at
        row.last_error, row.last_error_at = _words_of(error), now
        row.logout_requested_at = before.logout_requested_at
        row.next_verify_at = now + context.verify_every
        await announce(session, "sessions", organization_id=row.organization_id, subject_id=row.id)
        await announce(session, "numbers", organization_id=row.organization_id, subject_id=None)


def _words_of(error: Exception) -> str:
    return error.detail if isinstance(error, GrouplineError) else "Groupline failed to ask for it."


async def _pair_anew(
    context: Context,
    organization_id: UUID,
    number_id: UUID,
    last: WhatsappSession | None,
    actor: Actor,
) -> WhatsappSession:
    now = context.clock.now()
    async with context.database.writing() as session:
        await queries.lock_number(session, organization_id, number_id)
        faster = await queries.connected_session(session, organization_id, number_id)
        faster = faster or await queries.pairing_for(session, organization_id, number_id, now)
        if faster is not None:
            return faster
        gateway = await _gateway_again(session, last)
        row = new_pairing_row(
            organization_id=organization_id,
            gateway_id=gateway.id,
            expected_number_id=number_id,
            label=last.label if last else None,
            proxy=last.proxy if last and last.gateway_id == gateway.id else None,
            created_by=actor.reference,
            now=now,
        )
        await _add(session, row, actor)
    return await start_pairing(context, Target(row, gateway), actor=actor)


async def _gateway_again(session: AsyncSession, last: WhatsappSession | None) -> Gateway:
    """The gateway of the last pairing, unless it was switched off meanwhile."""
    if last is not None:
        gateway = await get_gateway(session, last.gateway_id)
        if gateway.enabled:
            return gateway
    return await default_gateway(session)
