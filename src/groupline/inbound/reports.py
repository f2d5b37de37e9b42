"""What a gateway's webhook says: one closed set of reports, read tolerantly from JSON."""

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from groupline.models import InboundKind

ENVELOPE_KINDS: dict[str, InboundKind] = {
    "status": "status",
    "send-callback": "send_callback",
    "message-error": "message_error",
    "read-receipt": "receipt",
    "reaction": "reaction",
    "membership": "membership",
}
PATH_KINDS: dict[str, InboundKind] = {
    "whatsapp-status-webhook": "status",
    "whatsapp-send-callback": "send_callback",
    "whatsapp-message-error-webhook": "message_error",
    "whatsapp-read-receipt-webhook": "receipt",
    "whatsapp-reaction-webhook": "reaction",
    "whatsapp-membership-webhook": "membership",
}
_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)  # before WhatsApp existed: not a time, a mistake


@dataclass(frozen=True, slots=True)
class Report:
    """One event as it came, with what is needed to find its place and its time."""

    kind: InboundKind
    data: dict[str, Any]
    session_id: str | None
    """The gateway's name for the session."""
    occurred_at: datetime | None
    """Its own time, if it named one that can be true."""
    content_hash: str


def storable(value: Any) -> Any:
    """The same JSON without what a database cannot hold: NUL, half characters, NaN."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {storable(name): storable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [storable(each) for each in value]
    return value


def read_report(kind: InboundKind, data: dict[str, Any], *, received_at: datetime) -> Report:
    """A report from one of the paths of the owner's gateway."""
    data = storable(data)
    occurred_at = read_time(data.get("timestamp"), received_at)
    # The same words without a time may be said again and mean it: only a timed one can repeat.
    stamp = "" if occurred_at is not None else received_at.isoformat()
    return _report(kind, data, occurred_at, identity=f"{kind}\n{_canonical(data)}\n{stamp}")


def read_envelope(envelope: dict[str, Any], *, received_at: datetime) -> Report:
    """A report in the one envelope ``{"id", "type", "at", "data"}``; its id tells repetitions."""
    envelope = storable(envelope)
    kind = ENVELOPE_KINDS.get(str(envelope.get("type")), "unknown")
    data = envelope.get("data")
    fields = data if isinstance(data, dict) else {"value": data}
    occurred_at = read_time(fields.get("timestamp"), received_at) or read_time(
        envelope.get("at"), received_at
    )
    named = envelope.get("id")
    identity = f"id\n{named}" if isinstance(named, str) and named else _canonical(envelope)
    return _report(kind, fields, occurred_at, identity=identity)


def read_time(value: object, received_at: datetime) -> datetime | None:
    """ISO 8601, seconds or milliseconds. A time that cannot be true is none: a clock that runs
    ahead must not make its report the newest for ever."""
    moment = _moment(value)
    if moment is None or moment < _EARLIEST:
        return None
    return min(moment, received_at)


def text_of(data: dict[str, Any], *names: str) -> str | None:
    """The first of these fields that holds text, or a number meant as text."""
    for name in names:
        value = data.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return None


def _report(
    kind: InboundKind, data: dict[str, Any], occurred_at: datetime | None, *, identity: str
) -> Report:
    return Report(
        kind=kind,
        data=data,
        session_id=text_of(data, "sessionId", "session_id"),
        occurred_at=occurred_at,
        content_hash=hashlib.sha256(identity.encode()).hexdigest(),
    )


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _moment(value: object) -> datetime | None:
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
        if isinstance(value, str):
            if value.strip().isascii() and value.strip().isdigit():
                return _moment(int(value))
            moment = datetime.fromisoformat(value.strip())
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
