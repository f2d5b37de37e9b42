"""Hands each kind of event to the domain that it concerns."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.groups.membership import apply_membership_event, read_report
from groupline.inbound.reports import text_of
from groupline.messages.feedback import (
    About,
    Source,
    apply_message_error,
    apply_receipt,
    apply_send_callback,
)
from groupline.models import InboundEvent, InboundKind, InboundOutcome, ReceiptKind
from groupline.numbers.status_events import apply_status_event

_Handler = Callable[[AsyncSession, InboundEvent, str, datetime], Awaitable[InboundOutcome]]


async def apply_event(
    session: AsyncSession, event: InboundEvent, now: datetime, *, pace_seconds: float
) -> InboundOutcome:
    """Applies the event to what is stored, in the caller's transaction. A number that is new by it
    gets this pace."""
    if event.gateway_session_id is None:
        return "invalid"
    if event.kind == "status":
        return await _status(session, event, event.gateway_session_id, now, pace_seconds)
    return await _HANDLERS[event.kind](session, event, event.gateway_session_id, now)


async def _status(
    session: AsyncSession,
    event: InboundEvent,
    session_name: str,
    now: datetime,
    pace_seconds: float,
) -> InboundOutcome:
    word = text_of(event.payload, "status")
    if word is None:
        return "invalid"
    return await apply_status_event(
        session,
        gateway_id=event.gateway_id,
        gateway_session_id=session_name,
        status_word=word,
        phone=text_of(event.payload, "phoneNumber", "phone"),
        reason=text_of(event.payload, "reason"),
        detail=text_of(event.payload, "detail"),
        restriction=event.payload.get("restriction"),
        knows_restrictions="restriction" in event.payload,
        at=event.occurred_at or event.received_at,
        is_dated=event.occurred_at is not None,
        now=now,
        pace_seconds=pace_seconds,
    )


async def _send_callback(
    session: AsyncSession, event: InboundEvent, session_name: str, now: datetime
) -> InboundOutcome:
    fate = _FATES.get(text_of(event.payload, "event") or "")
    if fate is None:
        return "invalid"
    return await apply_send_callback(
        session,
        Source(event.gateway_id, session_name),
        _about(event),
        event=fate,
        error=text_of(event.payload, "error", "errorMessage"),
        at=event.occurred_at,
        now=now,
    )


async def _message_error(
    session: AsyncSession, event: InboundEvent, session_name: str, now: datetime
) -> InboundOutcome:
    code = text_of(event.payload, "errorCode", "code") or ""
    return await apply_message_error(
        session,
        Source(event.gateway_id, session_name),
        _about(event),
        code=int(code) if len(code) < 10 and code.isascii() and code.isdigit() else None,
        error=text_of(event.payload, "errorMessage", "error"),
        at=event.occurred_at,
        now=now,
    )


async def _receipt(
    session: AsyncSession, event: InboundEvent, session_name: str, now: datetime
) -> InboundOutcome:
    kind = _RECEIPTS.get(text_of(event.payload, "event") or "")
    if kind is None:
        return "invalid"
    return await apply_receipt(
        session,
        Source(event.gateway_id, session_name),
        _about(event),
        kind=kind,
        reader=text_of(event.payload, "readerPhone") or "",
        at=event.occurred_at or event.received_at,
        now=now,
    )


async def _membership(
    session: AsyncSession, event: InboundEvent, session_name: str, now: datetime
) -> InboundOutcome:
    report = read_report(event.payload, event.occurred_at or event.received_at)
    if report is None:
        return "invalid"
    return await apply_membership_event(
        session,
        gateway_id=event.gateway_id,
        gateway_session_id=session_name,
        report=report,
        now=now,
    )


async def _only_kept(
    _session: AsyncSession, _event: InboundEvent, _session_name: str, _now: datetime
) -> InboundOutcome:
    """Nothing of ours depends on it; having it stored is all there is to do."""
    return "applied"


async def _not_understood(
    _session: AsyncSession, _event: InboundEvent, _session_name: str, _now: datetime
) -> InboundOutcome:
    return "invalid"


_FATES: dict[str, Literal["sent", "failed"]] = {"message_sent": "sent", "message_failed": "failed"}
_RECEIPTS: dict[str, ReceiptKind] = {"read": "read", "delivered": "delivered"}
_HANDLERS: dict[InboundKind, _Handler] = {
    "send_callback": _send_callback,
    "message_error": _message_error,
    "receipt": _receipt,
    "reaction": _only_kept,
    "membership": _membership,
    "unknown": _not_understood,
}


def _about(event: InboundEvent) -> About:
    return About(
        client_ref=text_of(event.payload, "clientRef"),
        message_id=text_of(event.payload, "messageId"),
        group_jid=text_of(event.payload, "groupJid"),
    )
