"""What a worker's word means for its session. Facts and ``now`` in, the session changed."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from groupline_gateway.clock import iso
from groupline_gateway.contract import DisconnectReason, Restriction, SessionStatus
from groupline_gateway.engines.whatsmeow.protocol import Frame, Happening
from groupline_gateway.engines.whatsmeow.redaction import redact
from groupline_gateway.engines.whatsmeow.sessions import Session

CODES: Final = 6
"""So many QR codes the library shows, over 160 seconds."""
_FIRST_CODE_LASTS: Final = timedelta(seconds=60)
_NEXT_CODES_LAST: Final = timedelta(seconds=20)
_OUTDATED_PAUSE: Final = timedelta(hours=1)
_UNUSABLE_PAUSE: Final = timedelta(minutes=5)
_BAN_OF_UNKNOWN_LENGTH: Final = timedelta(hours=1)

UNREACHABLE: Final = "WhatsApp cannot be reached from this machine. The gateway keeps trying."
UNTRUSTED: Final = (
    "WhatsApp cannot be reached from this machine: what answers in its place has a certificate "
    "that this machine does not trust. The gateway keeps trying."
)
PROXY_FAILS: Final = (
    "The proxy of this session does not lead to WhatsApp. Look at its address, its user name and "
    "its password. The gateway keeps trying."
)
PROXY_SILENT: Final = (
    "Nothing comes back through the proxy of this session. Look at its address, and whether it "
    "lets connections to WhatsApp through. The gateway keeps trying."
)
NO_FILE: Final = (
    "The pairing of this session cannot be read or written on the gateway's disk: it may be full, "
    "or not the gateway's own. The gateway keeps trying."
)
NOT_OPENED: Final = (
    "The connection to WhatsApp could not be opened; the gateway's log names the error. "
    "The gateway keeps trying."
)
REMOVED: Final = "The linked device was removed on the phone. Pair this number again."
LOGGED_OUT: Final = (
    "WhatsApp logged this number out, as it does with banned numbers too. "
    "Look at WhatsApp on the phone, then pair it again."
)
OUTDATED: Final = (
    "This version of the gateway is too old for WhatsApp. Update Groupline; the pairings stay."
)
REPLACED: Final = (
    "Another program uses this pairing. Make sure that it runs in one place only, then reconnect."
)
EXPIRED: Final = "Nobody scanned the QR code in time."
NO_CODE: Final = "WhatsApp gave no pairing code for this number. Scan the QR code instead."
NO_CODE_FOR_NOW: Final = (
    "WhatsApp gives no more pairing codes for this number at the moment. "
    "Scan the QR code, or try again later."
)
NO_SUCH_PHONE: Final = (
    "WhatsApp gave no pairing code: it knows no phone with this number. "
    "Check the number, or scan the QR code instead."
)
_NO_CODES: Final = frozenset({NO_CODE, NO_CODE_FOR_NOW, NO_SUCH_PHONE})
_LOGIN_FAILED: Final = {
    "err-scanned-without-multidevice": "WhatsApp on this phone is too old to link a device.",
    "passkey-request": "This account asks for a passkey, which only a browser can show.",
    "passkey-confirmation": "This account asks for a passkey, which only a browser can show.",
}
_PROXY_WORDS: Final = re.compile(r"proxy|socks|failed to send handshake request", re.IGNORECASE)
"""With a proxy of its own, all that goes wrong before WhatsApp has answered went wrong there."""
_DISK_WORDS: Final = re.compile(r"database|disk|permission denied|no space", re.IGNORECASE)
_PAIRING_FAILED: Final = "WhatsApp did not accept the pairing. Try it again."


class Next(StrEnum):
    """What becomes of the worker."""

    STAY = "stay"
    END = "end"
    RESPAWN = "respawn"


def banned_sentence(until: datetime | None) -> str:
    if until is None:
        return "WhatsApp has banned this number and does not say for how long."
    return f"WhatsApp has banned this number until {until:%d %B %Y, %H:%M} UTC."


def connect_sentence(text: str, *, own_proxy: bool = False) -> str:
    """Why a connection could not be opened."""
    if "certificate" in text:
        return UNTRUSTED
    if own_proxy and _PROXY_WORDS.search(text):
        return PROXY_FAILS
    if "dial" in text or "handshake" in text or "proxy" in text.lower():
        return UNREACHABLE
    return NO_FILE if _DISK_WORDS.search(text) else NOT_OPENED


def silence_sentence(session: Session) -> str:
    return UNREACHABLE if session.proxy is None else PROXY_SILENT


def no_code_sentence(text: str) -> str:
    """Why there is no pairing code; the QR code is there all the same."""
    if "status 429" in text or "rate-overlimit" in text:
        return NO_CODE_FOR_NOW
    unknown = ("status 404", "item-not-found", "too short", "international phone number")
    return NO_SUCH_PHONE if any(words in text for words in unknown) else NO_CODE


def not_started_sentence(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error)
    return f"The process of this session could not be started: {redact(words)}"


def hear(session: Session, frame: Frame, now: datetime) -> Next:
    """Changes the session by what its worker says."""
    match Happening(frame["event"]):
        case Happening.QR:
            _show_code(session, str(frame["code"]), now)
        case Happening.PAIRING_CODE:
            session.pairing_code = str(frame["code"])
        case Happening.PAIRING_CODE_FAILED:
            session.detail = no_code_sentence(str(frame["text"]))
        case Happening.CONNECTED:
            _connected(session, frame, now)
        case Happening.CONNECT_FAILED:
            own_proxy = session.proxy is not None
            detail = connect_sentence(str(frame["text"]), own_proxy=own_proxy)
            session.become(SessionStatus.CONNECTING, now, detail=detail)
        case Happening.DISCONNECTED | Happening.KEEP_ALIVE_TIMEOUT:
            if session.status is SessionStatus.CONNECTED:
                session.become(SessionStatus.CONNECTING, now)
        case _:
            return _hear_end(session, frame, now)
    return Next.STAY


def _hear_end(session: Session, frame: Frame, now: datetime) -> Next:
    """The words after which this worker is of no more use."""
    match Happening(frame["event"]):
        case Happening.LOGIN:
            return _login(session, str(frame["status"]), now)
        case Happening.LOGGED_OUT:
            known = frame.get("reason") in (None, "LOGGED_OUT")
            session.paired = False
            _end(session, now, DisconnectReason.LOGGED_OUT, REMOVED if known else LOGGED_OUT)
        case Happening.REPLACED:
            _end(session, now, DisconnectReason.REPLACED, REPLACED)
        case Happening.BANNED:
            _banned(session, int(frame["seconds"]), now)
        case Happening.OUTDATED:
            _outdated(session, now)
        case Happening.UNUSABLE:
            _end(session, now, DisconnectReason.CONNECTION_LOST, str(frame["text"]))
            session.retry_at = now + _UNUSABLE_PAUSE
        case Happening.REFUSED:
            return _refused(session, frame.get("reason"), now)
        case _:
            return Next.STAY
    return Next.END


def lost(session: Session, now: datetime) -> None:
    """Its worker is gone and nobody had said that it should be."""
    if session.status is not SessionStatus.DISCONNECTED:
        session.become(SessionStatus.CONNECTING, now, detail=session.detail)
        session.codes = 0


def _show_code(session: Session, code: str, now: datetime) -> None:
    session.become(SessionStatus.QR_PENDING, now, detail=session.detail)
    session.detail = session.detail if session.detail in _NO_CODES else None
    session.qr = code
    session.qr_expires_at = now + (_NEXT_CODES_LAST if session.codes else _FIRST_CODE_LASTS)
    session.codes += 1


def _connected(session: Session, frame: Frame, now: datetime) -> None:
    session.paired, session.codes = True, 0
    session.phone = frame.get("phone") or session.phone
    session.pairing_phone = None
    if session.restriction is not None and session.restriction.kind == "banned":
        session.restriction = None
    session.become(SessionStatus.CONNECTED, now)


def _login(session: Session, status: str, now: datetime) -> Next:
    if status == "success":
        session.paired = True
        session.become(SessionStatus.CONNECTING, now)
        return Next.STAY
    if status == "timeout" and session.codes < CODES:
        # Not the phone's time was up: the connection broke.
        lost(session, now)
        return Next.RESPAWN
    if status == "err-client-outdated":
        _outdated(session, now)
    elif status == "timeout":
        _end(session, now, DisconnectReason.PAIRING_EXPIRED, EXPIRED)
    else:
        detail = _LOGIN_FAILED.get(status, _PAIRING_FAILED)
        _end(session, now, DisconnectReason.CONNECTION_LOST, detail)
    return Next.END


def _refused(session: Session, reason: object, now: datetime) -> Next:
    if reason == "BAD_USER_AGENT":
        _outdated(session, now)
        return Next.END
    detail = f"WhatsApp refuses the connection ({reason or 'no reason'}). The gateway keeps trying."
    session.become(SessionStatus.CONNECTING, now, detail=detail)
    return Next.RESPAWN


def _banned(session: Session, seconds: int, now: datetime) -> None:
    until = now + timedelta(seconds=seconds) if seconds > 0 else None
    session.restriction = Restriction(
        kind="banned", until=None if until is None else iso(until), detail=None
    )
    _end(session, now, DisconnectReason.BANNED, banned_sentence(until))
    session.retry_at = until or now + _BAN_OF_UNKNOWN_LENGTH


def _outdated(session: Session, now: datetime) -> None:
    _end(session, now, DisconnectReason.OUTDATED, OUTDATED)
    session.retry_at = now + _OUTDATED_PAUSE


def _end(session: Session, now: datetime, reason: DisconnectReason, detail: str) -> None:
    session.codes = 0
    session.become(SessionStatus.DISCONNECTED, now, reason=reason, detail=detail)
