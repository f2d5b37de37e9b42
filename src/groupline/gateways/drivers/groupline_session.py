"""Sessions on the wire of the Groupline contract: documents in, readings out. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from groupline.gateways.drivers.parsing import (
    MAX_QR,
    MAX_QR_IMAGE,
    JsonObject,
    as_object,
    first_text,
    moment,
    text,
)
from groupline.gateways.outcomes import (
    QrCode,
    Restriction,
    SessionConnected,
    SessionConnecting,
    SessionDisconnected,
    SessionQr,
    SessionReading,
    UnknownWord,
)
from groupline.gateways.phone import phone_or_none
from groupline.gateways.port import (
    Capabilities,
    HeldSession,
    HeldSessions,
    Pairing,
    SimulatedPhone,
)

_QR_KEYS = ("qr", "qrCode", "qrcode")
_PHONE_KEYS = ("phoneNumber", "phone")
_PAIRING_KEYS = ("pairingCode", "pairing_code")
_LOGGED_OUT = frozenset({"logged_out", "loggedout", "logout"})
_IMAGE = re.compile(r"data:image/(?:png|jpe?g|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]+")


def reading(document: JsonObject) -> SessionReading | None:
    """The one place where the words of a gateway are mapped. None: there is no word."""
    status = text(document.get("status"), 60)
    if status is None:
        return None
    word = _word(status)
    if word in {"qr", "qr_pending"}:
        return SessionQr(
            qr=qr_code(document),
            pairing_code=_pairing_code(document),
            expires_at=moment(document.get("qrExpiresAt")),
            detail=text(document.get("detail")),
        )
    if word == "connecting":
        return SessionConnecting(detail=first_text(document, ("detail", "reason")))
    if word == "connected":
        return _connected(document)
    if word == "disconnected" or word in _LOGGED_OUT:
        return _disconnected(document, word)
    return UnknownWord(word=status)


def _word(status: str) -> str:
    return re.sub(r"[\s-]+", "_", status.strip().lower())


def _connected(document: JsonObject) -> SessionConnected:
    raw = next((document[key] for key in _PHONE_KEYS if document.get(key)), None)
    phone = phone_or_none(raw)
    return SessionConnected(
        phone=phone,
        since=moment(document.get("since")),
        restriction=restriction(document.get("restriction")),
        raw_phone=text(raw, 60) if phone is None else None,
    )


def _disconnected(document: JsonObject, word: str) -> SessionDisconnected:
    reason = text(document.get("reason"), 100)
    logged_out = word in _LOGGED_OUT or (reason is not None and _word(reason) in _LOGGED_OUT)
    return SessionDisconnected(
        reason="logged_out" if logged_out else reason,
        logged_out=logged_out,
        detail=first_text(document, ("error", "message", "detail")),
        restriction=restriction(document.get("restriction")),
    )


def restriction(value: object) -> Restriction | None:
    """A word, or `{"reason", "until"}`."""
    document = as_object(value)
    if document is None:
        word = text(value, 100)
        return Restriction(reason=word) if word else None
    reason = first_text(document, ("reason", "kind", "type"), 100)
    until = moment(document.get("until"))
    if reason is None and until is None:
        return None
    return Restriction(
        reason=reason or "restricted", until=until, detail=text(document.get("detail"))
    )


def qr_code(document: JsonObject) -> QrCode | None:
    for key in _QR_KEYS:
        value = document.get(key)
        if isinstance(value, str) and (found := _qr_of(value.strip())) is not None:
            return found
    return None


def _qr_of(value: str) -> QrCode | None:
    """A picture stays a picture, a text stays a text; anything else is no QR code."""
    if value.startswith("data:"):
        usable = len(value) <= MAX_QR_IMAGE and _IMAGE.fullmatch(value)
        return QrCode(image_data_url=value) if usable else None
    usable_text = 0 < len(value) <= MAX_QR and value.isprintable()
    return QrCode(text=value) if usable_text else None


def _pairing_code(document: JsonObject) -> str | None:
    return first_text(document, _PAIRING_KEYS, 20)


def pairing(document: JsonObject) -> Pairing:
    return Pairing(qr=qr_code(document), pairing_code=_pairing_code(document))


def health(document: JsonObject) -> tuple[str | None, str | None, Capabilities]:
    """Version, engine and capabilities; older gateways say none of it."""
    return (
        text(document.get("version"), 60),
        text(document.get("engine"), 60),
        Capabilities.parse(document.get("capabilities")),
    )


def held_sessions(value: object) -> HeldSessions | None:
    document = as_object(value)
    entries = document.get("sessions") if document is not None else value
    if not isinstance(entries, list):
        return None
    held = (_held_session(entry) for entry in entries if isinstance(entry, dict))
    limits = document or {}
    return HeldSessions(
        tuple(each for each in held if each is not None),
        limit=_count(limits.get("limit")),
        memory_limit_mb=_count(limits.get("memoryLimitMb")),
    )


def _held_session(entry: Mapping[str, object]) -> HeldSession | None:
    name = first_text(entry, ("sessionId", "session_id", "id"), 200)
    if name is None:
        return None
    return HeldSession(
        id=name,
        status=text(entry.get("status"), 60),
        since=moment(entry.get("since")),
        phone=first_text(entry, _PHONE_KEYS, 40),
        detail=text(entry.get("detail")),
        memory_mb=_amount(entry.get("memoryMb")),
        restarts=_count(entry.get("restarts")),
    )


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 else None


def _count(value: object) -> int | None:
    amount = _amount(value)
    return None if amount is None else int(amount)


def simulated_phones(value: object) -> list[SimulatedPhone] | None:
    document = as_object(value)
    entries = document.get("phones") if document is not None else value
    if not isinstance(entries, list):
        return None
    phones = (_simulated_phone(entry) for entry in entries if isinstance(entry, dict))
    return [phone for phone in phones if phone is not None]


def _simulated_phone(entry: Mapping[str, object]) -> SimulatedPhone | None:
    number = phone_or_none(entry.get("number"))
    if number is None:
        return None
    groups = entry.get("groups")
    amount = len(groups) if isinstance(groups, list) else groups
    return SimulatedPhone(
        number=number,
        name=text(entry.get("name"), 100) or number,
        groups=amount if isinstance(amount, int) else 0,
    )
