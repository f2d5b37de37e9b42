"""The state of a number as people see it: one table of states, sentences and next actions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from groupline.clock import moment
from groupline.models import EndedReason, SessionObstacle, SessionStatus
from groupline.numbers.restrictions import next_try_sentence


class NumberState(StrEnum):
    CONNECTED = "connected"
    VERIFYING = "verifying"
    CONNECTING = "connecting"
    DISCONNECTED = "disconnected"
    NEVER_CONNECTED = "never_connected"
    GATEWAY_UNREACHABLE = "gateway_unreachable"
    SUSPECT = "suspect"
    RESTRICTED = "restricted"

    @property
    def label(self) -> str:
        """What its badge says."""
        return _LABELS[self]


class Cause(StrEnum):
    """Ends that no reconnect undoes."""

    BANNED = "banned"
    OUTDATED = "outdated"
    """WhatsApp no longer speaks with this version of the gateway."""
    WHATSAPP_UNREACHABLE = "whatsapp_unreachable"
    TRYING = "trying"
    """Something else is in the way, and the gateway keeps trying."""


class NextAction(StrEnum):
    NONE = "none"
    WAIT = "wait"
    RECONNECT = "reconnect"
    CONNECT = "connect"
    CHECK_GATEWAY = "check_gateway"
    CHECK_PHONE = "check_phone"
    UPDATE = "update"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Pause:
    """Somebody has stopped all sending from the number. Its connection is as it is."""

    since: datetime
    by: str | None = None
    """Who did it, as the journal names them."""
    waiting: int = 0
    """Messages that are due and would go."""
    late: int = 0
    """Messages whose time was over meanwhile."""


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """What is known about a number, its current session and that session's gateway."""

    session_status: SessionStatus | None
    """None: no session of it is known, or it was deleted from the history."""
    was_connected: bool = False
    """Ever, by whatever session."""
    ended_reason: EndedReason | None = None
    last_error: str | None = None
    obstacle: SessionObstacle | None = None
    verified_at: datetime | None = None
    not_said: str | None = None
    """The gateway answers, but not about this session: its sentence."""
    asked_again: bool = False
    """The gateway is to be asked right now, because the proof is old."""
    is_worked: bool = True
    """Some worker runs, or none is missed yet: without one nobody asks, and nothing is sent."""
    doubt: str | None = None
    """Why it may not be connected any more, as a sentence; the next reading decides."""
    pairing_under_way: bool = False
    gateway_name: str | None = None
    gateway_down: bool = False
    gateway_error_code: str | None = None
    restriction: str | None = None
    restricted_until: datetime | None = None
    """As WhatsApp says."""
    tried_again_at: datetime | None = None
    """When the next message is sent in spite of a restriction, to see whether it is over."""
    slow_until: datetime | None = None
    """Until then the gateway wants nothing of it, because it was too quick."""
    unacknowledged: int = 0
    unacknowledged_for: timedelta = timedelta()
    """At least so long ago the first of them was sent."""
    has_receipts: bool = False
    """The gateway reports acknowledgements at all."""
    pause: Pause | None = None
    zone: tzinfo = UTC
    """In which sentences name points in time."""


@dataclass(frozen=True, slots=True)
class Shown:
    state: NumberState
    connection: str
    """What is so about the connection, whether anybody has paused the number or not."""
    next_action: NextAction
    cause: Cause | None = None
    """Of a disconnection that a reconnect does not end."""
    until: datetime | None = None
    """When the cause or the restriction is over, where that is known."""
    is_unasked: bool = False
    """It is not verified, because no worker runs that would ask."""
    waits: str | None = None
    """`until …`, where messages wait; a number that is connected may send."""
    next_try: str | None = None
    """When a message is sent in spite of a restriction, as a sentence."""
    pause: str | None = None
    """Since when and by whom nothing is sent, and what waits, as sentences."""
    paused_since: str | None = None
    """Of that what stays true for as long as the pause lasts."""

    @property
    def sentence(self) -> str:
        if self.pause is not None:
            return f"{self.pause} {self.connection}"
        if self.next_try is not None:
            return f"{self.connection} {self.next_try}"
        if self.waits is None:
            return self.connection
        return f"{self.connection} Messages wait {self.waits}."

    @property
    def label(self) -> str:
        """The badge; where there is an `until`, it follows."""
        if self.is_unasked:
            return "Not verified"
        return self.state.label if self.cause is None else _CAUSES[self.cause][0]


_LABELS: Final[dict[NumberState, str]] = {
    NumberState.CONNECTED: "Connected",
    NumberState.VERIFYING: "Verifying…",
    NumberState.CONNECTING: "Connecting…",
    NumberState.DISCONNECTED: "Disconnected – reconnect needed",
    NumberState.NEVER_CONNECTED: "Never connected",
    NumberState.GATEWAY_UNREACHABLE: "Gateway unreachable",
    NumberState.SUSPECT: "No acknowledgements",
    NumberState.RESTRICTED: "Restricted",
}
_CAUSES: Final[dict[Cause, tuple[str, NextAction]]] = {
    Cause.BANNED: ("Banned", NextAction.WAIT),
    Cause.OUTDATED: ("Needs an update", NextAction.UPDATE),
    Cause.WHATSAPP_UNREACHABLE: ("WhatsApp unreachable, trying again", NextAction.WAIT),
    Cause.TRYING: ("Not connected, trying again", NextAction.WAIT),
}

SUSPECT_AFTER: Final = 3
"""Sends in a row without any acknowledgement."""
SUSPECT_WAITS: Final = timedelta(minutes=5)
"""Phones take their time to say that something arrived; a burst of messages proves nothing."""

_ENDED: Final[dict[EndedReason, str]] = {
    "logged_out": "The phone was logged out.",
    "replaced": "A newer session of this number took over.",
    "expired": "No phone was linked in time.",
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


def banned_sentence(until: datetime | None, zone: tzinfo, now: datetime) -> str:
    if until is None:
        return "WhatsApp has banned this number and does not say for how long."
    verb = "has" if until > now else "had"
    return f"WhatsApp {verb} banned this number until {moment(until, zone)}."


def pause_sentence(pause: Pause, zone: tzinfo) -> str:
    return f"{_paused_since(pause, zone)} {_waiting(pause)}."


def _paused_since(pause: Pause, zone: tzinfo) -> str:
    by = f" by {pause.by}" if pause.by else ""
    return f"Paused since {moment(pause.since, zone)}{by}: nothing is sent."


def _waiting(pause: Pause) -> str:
    if not pause.waiting:
        return "No message waits"
    return "1 message waits" if pause.waiting == 1 else f"{pause.waiting:,} messages wait"


def show(facts: NumberFacts, now: datetime) -> Shown:
    """The one state, its sentence and what to do next. The first row that fits is shown."""
    shown = _unpaused(facts, now)
    if facts.pause is None:
        return shown
    is_ready = shown.state is NumberState.CONNECTED
    return replace(
        shown,
        connection="The number is connected." if is_ready else shown.connection,
        pause=pause_sentence(facts.pause, facts.zone),
        paused_since=_paused_since(facts.pause, facts.zone),
        next_action=NextAction.RESUME if is_ready else shown.next_action,
    )


def _unpaused(facts: NumberFacts, now: datetime) -> Shown:
    known = facts.session_status is not None or facts.was_connected
    if not known and not facts.pairing_under_way:
        return _NEVER
    if facts.session_status != "connected":
        return _not_connected(facts, now)
    if facts.gateway_down:
        sentence = gateway_sentence(facts.gateway_name, facts.gateway_error_code)
        return Shown(
            NumberState.GATEWAY_UNREACHABLE,
            f"{sentence} Last known: connected.",
            NextAction.CHECK_GATEWAY,
            waits="until it answers",
        )
    return _connected(facts, now)


_NEVER: Final = Shown(
    NumberState.NEVER_CONNECTED,
    "This number has never been connected.",
    NextAction.CONNECT,
    waits="until it is connected",
)


def _not_connected(facts: NumberFacts, now: datetime) -> Shown:
    if facts.pairing_under_way or facts.session_status in ("connecting", "qr_pending"):
        return Shown(
            NumberState.CONNECTING,
            "The number is being connected.",
            NextAction.WAIT,
            waits="until it is connected",
        )
    cause = _cause(facts, now)
    return Shown(
        NumberState.DISCONNECTED,
        _why(facts, now).rstrip(),
        NextAction.RECONNECT if cause is None else _CAUSES[cause][1],
        cause,
        facts.restricted_until if cause is Cause.BANNED else None,
        waits="until it is connected again",
    )


def _why(facts: NumberFacts, now: datetime) -> str:
    """The gateway names the end of a ban in a zone of its own; the reader has another."""
    if facts.restriction == "banned" and facts.obstacle == "banned":
        return banned_sentence(facts.restricted_until, facts.zone, now)
    reason = facts.ended_reason
    return facts.last_error or (ended_sentence(reason) if reason else "The session has ended.")


def _cause(facts: NumberFacts, now: datetime) -> Cause | None:
    """A ban counts as long as it lasts; the rest only where nobody here ended the session."""
    is_banned = facts.restriction == "banned" and _lasts(facts.restricted_until, now)
    if is_banned and facts.ended_reason in ("disconnected", "logged_out"):
        return Cause.BANNED
    if facts.ended_reason != "disconnected":
        return None
    if facts.obstacle is None or facts.obstacle == "banned":
        return None
    return Cause(facts.obstacle)


def _lasts(until: datetime | None, now: datetime) -> bool:
    return until is None or until > now


def _is_suspect(facts: NumberFacts) -> bool:
    enough = facts.unacknowledged >= SUSPECT_AFTER
    return enough and facts.has_receipts and facts.unacknowledged_for >= SUSPECT_WAITS


def _connected(facts: NumberFacts, now: datetime) -> Shown:
    if facts.restriction is not None and _lasts(facts.restricted_until, now):
        return _restricted(facts, facts.restriction, now)
    slowed = _slowed(facts, now)
    if _is_suspect(facts):
        silent = f"the last {facts.unacknowledged:,} messages got no acknowledgement"
        return Shown(
            NumberState.SUSPECT,
            " ".join(filter(None, (f"Connected, but {silent}.", slowed))),
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
        return _asked_again(facts, now)
    if slowed is not None:
        return Shown(NumberState.CONNECTED, f"Connected. {slowed}", NextAction.WAIT)
    return Shown(NumberState.CONNECTED, "Connected and ready to send.", NextAction.NONE)


def _slowed(facts: NumberFacts, now: datetime) -> str | None:
    if facts.slow_until is None or facts.slow_until <= now:
        return None
    until = moment(facts.slow_until, facts.zone, to_the_second=True)
    return f"Its gateway asked to send more slowly. Nothing is sent until {until}."


def _asked_again(facts: NumberFacts, now: datetime) -> Shown:
    why = f"{facts.doubt.rstrip()} " if facts.doubt else ""
    if facts.is_worked:
        sentence = f"{why}Asking the gateway whether this is still so."
        return Shown(NumberState.VERIFYING, sentence, NextAction.WAIT)
    if facts.verified_at is not None and not why:
        why = f"Connected when last asked, {_minutes(now - facts.verified_at)} ago. "
    return Shown(NumberState.VERIFYING, f"{why}{_NO_WORKER}", NextAction.WAIT, is_unasked=True)


_NO_WORKER: Final = (
    "No worker is running: nobody asks the gateway, and nothing is sent, until one runs."
)


def _restricted(facts: NumberFacts, why: str, now: datetime) -> Shown:
    """What WhatsApp sets no end to is tried again, and again."""
    until, again = facts.restricted_until, facts.tried_again_at
    end = "" if until is None else f" until {moment(until, facts.zone)}"
    waits, next_try = None, None
    if until is not None:
        waits = "until the restriction is over"
    elif not facts.is_worked:
        waits = "until a worker runs"
    elif again is not None and again > now:
        waits = f"for the next try, at {moment(again, facts.zone)}"
        next_try = next_try_sentence(again, facts.zone)
    return Shown(
        NumberState.RESTRICTED,
        f"WhatsApp restricts what this number may send{end}{_reason(why)}",
        NextAction.CHECK_PHONE,
        until=until,
        waits=waits,
        next_try=next_try,
    )


def _reason(restriction: str) -> str:
    """A gateway says it in a word or in a sentence; a word that adds nothing is left out."""
    if restriction == "restricted":
        return "."
    return f". {restriction}" if restriction.endswith(".") else f" ({restriction})."


def _minutes(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return f"{minutes} min" if minutes else "less than a minute"
