"""What it means for a row to leave a state. Plain changes; the callers decide and record."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from groupline.models import EndedReason, StatusSource, WhatsappSession
from groupline.numbers.rules import PAIRING_LASTS


def leave_pairing(row: WhatsappSession) -> None:
    """A code is good for one scan and is kept no longer than it is shown."""
    row.qr_code = row.qr_expires_at = row.pairing_code = None


def end_session(
    row: WhatsappSession,
    reason: EndedReason,
    *,
    source: StatusSource,
    at: datetime,
    now: datetime,
) -> None:
    """The session becomes disconnected. Its number stays with it: it is history."""
    leave_pairing(row)
    row.status, row.status_source = "disconnected", source
    row.status_at = max(row.status_at, at)
    row.disconnected_at = now if source in ("user", "sweeper") else at
    row.ended_reason, row.replaced_by_id = reason, None
    row.doubted_at = row.status_detail = None


def request_logout(row: WhatsappSession, now: datetime, *, again: bool = False) -> None:
    """The gateway is told to let go of it, until it confirms. `again`: it did not, though it
    once said so.
    """
    if again:
        row.logout_confirmed_at = None
    row.logout_requested_at = row.logout_requested_at or now
    if row.logout_confirmed_at is None:
        row.next_verify_at = now


def need_no_logout(row: WhatsappSession) -> None:
    row.logout_requested_at = row.logout_confirmed_at = None


_TRIES_ON: Final = " The gateway keeps trying."


def note_never_began(row: WhatsappSession, now: datetime) -> None:
    """Its time is over, and there was nothing to scan: why, as far as the gateway said."""
    minutes = int(PAIRING_LASTS.total_seconds() // 60)
    why = row.status_detail or row.last_error
    if row.number_id is not None:  # the gateway may bring it back by itself
        late = why or f"The gateway did not bring the connection back within {minutes} minutes."
    else:
        late = f"There was no QR code to scan, so the pairing ended after {minutes} minutes."
        late = late if why is None else f"{why.removesuffix(_TRIES_ON)} {late}"
    row.last_error, row.last_error_at = late, now


_CANNOT_SAY: Final = "The gateway cannot say how this session is: "


def note_failed_check(row: WhatsappSession, detail: str, now: datetime) -> None:
    """The time is that of the first of them. An ended session keeps the reason of its end."""
    if row.status == "disconnected":
        return
    if not has_failed_check(row):
        row.last_error_at = now
    row.last_error = _CANNOT_SAY + detail


def has_failed_check(row: WhatsappSession) -> bool:
    return row.last_error is not None and row.last_error.startswith(_CANNOT_SAY)


def forget_failed_check(row: WhatsappSession) -> None:
    if has_failed_check(row):
        row.last_error = row.last_error_at = None


def is_pending(row: WhatsappSession) -> bool:
    """Its gateway has not confirmed yet that it let go of it."""
    return row.logout_requested_at is not None and row.logout_confirmed_at is None


def shown(row: WhatsappSession) -> tuple[object, ...]:
    """What a page shows of it, except for the age of the proof."""
    return (
        row.id,
        row.status,
        row.number_id,
        row.qr_code,
        row.qr_expires_at,
        row.pairing_code,
        row.ended_reason,
        row.last_error,
        row.status_detail,
        row.obstacle,
        row.doubted_at,
        is_pending(row),
    )
