"""The state of a number as people see it: one table of states, sentences and next actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from groupline.models import EndedReason, SessionStatus


class NumberState(StrEnum):
    CONNECTED = "connected"
    VERIFYING = "verifying"
    CONNECTING = "connecting"
    DISCONNECTED = "disconnected"
    NEVER_CONNECTED = "never_connected"
    GATEWAY_UNREACHABLE = "gateway_unreachable"
    SUSPECT = "suspect"
    RESTRICTED = "restricted"


class NextAction(StrEnum):
    NONE = "none"
    WAIT = "wait"
    RECONNECT = "reconnect"
    CONNECT = "connect"
    CHECK_GATEWAY = "check_gateway"
    CHECK_PHONE = "check_phone"


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """What is known about a number, its current session and that session's gateway."""

    session_status: SessionStatus | None
    """None: no session of it is known, or it was deleted from the history."""
    was_connected: bool = False
    """Ever, by whatever session."""
    ended_reason: EndedReason | None = None
    last_error: str | None = None
    verified_at: datetime | None = None
    not_said: str | None = None
    """The gateway answers, but not about this session: its sentence."""
    asked_again: bool = False
    """The gateway is being asked right now, because the proof is old."""
    pairing_under_way: bool = False
    gateway_name: str | None = None
    gateway_down: bool = False
    gateway_error_code: str | None = None
    restriction: str | None = None
    restricted_until: datetime | None = None
    unacknowledged: int = 0
    unacknowledged_for: timedelta = timedelta()
    """At least so long ago the first of them was sent."""
    has_receipts: bool = False
    """The gateway reports acknowledgements at all."""


@dataclass(frozen=True, slots=True)
class Shown:
    state: NumberState
    sentence: str
    next_action: NextAction


SUSPECT_AFTER: Final = 3
"""Sends in a row without any acknowledgement."""
SUSPECT_WAITS: Final = timedelta(minutes=5)
"""Phones take their time to say that something arrived; a burst of messages proves nothing."""

_ENDED: Final[dict[EndedReason, str]] = {
    "logged_out": "The phone was logged out.",
    "replaced": "A newer session of this number took over.",
    "expired": "Nobody scanned the QR code in time.",
    "unknown_to_gateway": "The gateway does not know this session any more.",
    "disconnected": "The gateway says that the session is disconnected.",
    "user": "Somebody disconnected it here.",
    "cancelled": "The pairing was cancelled.",
    "deleted_at_gateway": "The session was deleted at the gateway.",
    "other_phone": "Another phone was linked in its place.",
}

_GATEWAY: Final[dict[str, str]] = {
    "unreachable": "cannot be reached",
    "auth": "refuses our key",
    "route_missing": "answers, but does not know this call",
    "server_error": "fails with a server error",
    "refused": "refuses to answer",
    "malformed": "sends answers that cannot be understood",
}


def ended_sentence(reason: EndedReason) -> str:
    return _ENDED[reason]


def gateway_sentence(name: str | None, code: str | None) -> str:
    """What is wrong with the gateway; one sentence per kind of failure."""
    trouble = _GATEWAY.get(code or "", "does not answer as it should")
    return f"The gateway{f' “{name}”' if name else ''} {trouble}."


def show(facts: NumberFacts, now: datetime) -> Shown:
    """The one state, its sentence and what to do next. The first row that fits is shown."""
    known = facts.session_status is not None or facts.was_connected
    if not known and not facts.pairing_under_way:
        return _NEVER
    if facts.session_status != "connected":
        return _not_connected(facts)
    if facts.gateway_down:
        sentence = gateway_sentence(facts.gateway_name, facts.gateway_error_code)
        return Shown(
            NumberState.GATEWAY_UNREACHABLE,
            f"{sentence} Last known: connected. Messages wait until it answers.",
            NextAction.CHECK_GATEWAY,
        )
    return _connected(facts, now)


_NEVER: Final = Shown(
    NumberState.NEVER_CONNECTED,
    "This number has never been connected.",
    NextAction.CONNECT,
)


def _not_connected(facts: NumberFacts) -> Shown:
    if facts.pairing_under_way or facts.session_status in ("connecting", "qr_pending"):
        return Shown(
            NumberState.CONNECTING,
            "The number is being connected. Messages wait until it is.",
            NextAction.WAIT,
        )
    reason = facts.ended_reason
    why = facts.last_error or (ended_sentence(reason) if reason else "The session has ended.")
    return Shown(
        NumberState.DISCONNECTED,
        f"{why.rstrip()} Messages wait until it is connected again.",
        NextAction.RECONNECT,
    )


def _is_suspect(facts: NumberFacts) -> bool:
    enough = facts.unacknowledged >= SUSPECT_AFTER
    return enough and facts.has_receipts and facts.unacknowledged_for >= SUSPECT_WAITS


def _connected(facts: NumberFacts, now: datetime) -> Shown:
    until = facts.restricted_until
    if facts.restriction is not None and (until is None or until > now):
        return Shown(
            NumberState.RESTRICTED,
            f"WhatsApp limits what this number may send ({facts.restriction}).",
            NextAction.CHECK_PHONE,
        )
    if _is_suspect(facts):
        return Shown(
            NumberState.SUSPECT,
            f"Connected, but the last {facts.unacknowledged} messages got no acknowledgement.",
            NextAction.CHECK_PHONE,
        )
    if facts.not_said is not None and facts.verified_at is not None:
        ago = _minutes(now - facts.verified_at)
        return Shown(
            NumberState.VERIFYING,
            f"Connected when last asked, {ago} ago. {facts.not_said.rstrip('.')}.",
            NextAction.WAIT,
        )
    if facts.asked_again:
        return Shown(
            NumberState.VERIFYING, "Asking the gateway whether this is still so.", NextAction.WAIT
        )
    return Shown(NumberState.CONNECTED, "Connected and ready to send.", NextAction.NONE)


def _minutes(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return f"{minutes} min" if minutes else "less than a minute"
