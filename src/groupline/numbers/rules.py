"""What a gateway's word about a session means. Facts and times in, one decision out.

`decide` is total: every reading in every state has one decision out of a closed set. Three rules
carry it. A report older than what is known undoes nothing. A connected session is called
disconnected on the second disagreeing reading, or on the first one that is definite. A session
that a person or a newer pairing has ended is not brought back by a report.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from groupline.gateways.outcomes import (
    QrCode,
    Restriction,
    SessionConnected,
    SessionConnecting,
    SessionDisconnected,
    SessionQr,
    SessionReading,
    SessionUnknown,
    UnknownWord,
)
from groupline.models import EndedReason, SessionObstacle, SessionStatus

PAIRING_LASTS: Final = timedelta(minutes=10)
"""A pairing that nobody has scanned ends after this."""
QR_LASTS: Final = timedelta(seconds=60)
"""How long a QR code is shown when the gateway does not say."""
FRESH_PROOF: Final = timedelta(seconds=15)
"""A proof younger than this is not asked for again by opening a page."""
START_GRACE: Final = timedelta(seconds=30)
"""Until then a gateway may not know a pairing yet: our request may still be under way."""
_SECOND_READING_AFTER: Final = timedelta(seconds=2)
_STARTING_MAY_LAST: Final = timedelta(seconds=30)

_ENDED_FOR_GOOD: Final[frozenset[EndedReason]] = frozenset(
    {"replaced", "user", "cancelled", "expired", "other_phone", "deleted_at_gateway"}
)


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is stored about a session."""

    status: SessionStatus
    status_at: datetime
    pairing_started_at: datetime
    number_known: bool
    ended_reason: EndedReason | None = None
    doubted_at: datetime | None = None

    @property
    def is_pairing(self) -> bool:
        return self.status in ("connecting", "qr_pending")

    @property
    def ended_for_good(self) -> bool:
        return self.status == "disconnected" and self.ended_reason in _ENDED_FOR_GOOD


# --- decisions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outdated:
    """Older than what is known. `disagrees`: worth asking the gateway again."""

    disagrees: bool


@dataclass(frozen=True, slots=True)
class Hint:
    """It may be older than what is known, or not: the gateway is asked. Changes nothing."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """The gateway says what we know: a proof, and no change."""


@dataclass(frozen=True, slots=True)
class Note:
    """Kept as a detail; changes nothing."""

    detail: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """A first reading that disagrees. The next one decides."""

    detail: str


@dataclass(frozen=True, slots=True)
class ShowQr:
    """The phone can scan. Without a code: the gateway claims to show one and sent none."""

    qr: QrCode | None
    pairing_code: str | None
    expires_at: datetime | None
    detail: str | None = None
    """What the gateway says besides: that there is no pairing code, and why."""


@dataclass(frozen=True, slots=True)
class StartUp:
    """No code is shown any more (or not yet): the gateway is connecting."""

    detail: str | None = None
    """What keeps it from that, as a sentence."""


@dataclass(frozen=True, slots=True)
class Connect:
    """The pairing is connected: with this phone, or with its own number if none is named."""

    phone: str | None
    restriction: Restriction | None


@dataclass(frozen=True, slots=True)
class ConnectedToNobody:
    """The gateway says connected and does not name a number that can be one."""

    detail: str


@dataclass(frozen=True, slots=True)
class PairAnew:
    """The gateway has lost the pairing that was to be revived."""

    detail: str


@dataclass(frozen=True, slots=True)
class LogOutAgain:
    """Ended for good here, and still connected there."""


@dataclass(frozen=True, slots=True)
class End:
    reason: EndedReason
    detail: str
    restriction: Restriction | None = None
    """What WhatsApp holds against the number, where that is why."""


Decision = (
    Outdated
    | Hint
    | Confirm
    | Note
    | Doubt
    | ShowQr
    | StartUp
    | Connect
    | ConnectedToNobody
    | PairAnew
    | LogOutAgain
    | End
)


def decide(facts: SessionFacts, reading: SessionReading, at: datetime, now: datetime) -> Decision:
    """What the reading, taken at `at`, means for the session."""
    if at < facts.status_at:
        return Outdated(disagrees=not _agrees(facts, reading))
    if isinstance(reading, UnknownWord):
        return Note(unknown_word_sentence(reading.word))
    match facts.status:
        case "connected":
            return _while_connected(facts, reading, at)
        case "connecting" | "qr_pending":
            return _while_pairing(facts, reading, at, now)
        case "disconnected":
            return _while_disconnected(facts, reading)
        case _:
            assert_never(facts.status)


def decide_undated(
    facts: SessionFacts, reading: SessionReading, received_at: datetime, now: datetime
) -> Decision:
    """What a report means that does not say when it was so.

    It may be a late one, so it wins over nothing that is known. Where no phone was ever linked
    there is nothing newer to know: there it counts from its arrival.
    """
    if facts.is_pairing and not facts.number_known:
        return decide(facts, reading, received_at, now)
    return Hint()


_KnownReading = (
    SessionConnected | SessionQr | SessionConnecting | SessionDisconnected | SessionUnknown
)


def _agrees(facts: SessionFacts, reading: SessionReading) -> bool:
    match reading:
        case SessionConnected():
            return facts.status == "connected"
        case SessionQr():
            return facts.status == "qr_pending"
        case SessionConnecting():
            return facts.is_pairing
        case SessionDisconnected() | SessionUnknown():
            return facts.status == "disconnected"
        case UnknownWord():
            return True
        case _:
            assert_never(reading)


def _while_connected(facts: SessionFacts, reading: _KnownReading, at: datetime) -> Decision:
    match reading:
        case SessionConnected():
            return Connect(reading.phone, reading.restriction)
        case SessionQr():
            detail = "The gateway asks for a new scan of the QR code: the pairing has ended."
            return _debounced(facts, End("logged_out", detail), at, _SECOND_READING_AFTER)
        case SessionConnecting():
            detail = reading.detail or RECONNECTING
            return _debounced(facts, End("disconnected", detail), at, _STARTING_MAY_LAST)
        case SessionDisconnected():
            end = _end_of(reading)
            if reading.logged_out:
                return end
            return _debounced(facts, end, at, _SECOND_READING_AFTER)
        case SessionUnknown():
            return End("unknown_to_gateway", SESSION_UNKNOWN)
        case _:
            assert_never(reading)


def _debounced(facts: SessionFacts, end: End, at: datetime, gap: timedelta) -> Decision:
    """The end, if the first reading that disagreed is long enough ago to be another reading."""
    if facts.doubted_at is not None and at - facts.doubted_at >= gap:
        return end
    return Doubt(end.detail)


def _while_pairing(
    facts: SessionFacts, reading: _KnownReading, at: datetime, now: datetime
) -> Decision:
    match reading:
        case SessionConnected():
            return _scanned(facts, reading)
        case SessionQr():
            return _qr_shown(facts, reading, now)
        case SessionConnecting():
            return StartUp(reading.detail)
        case SessionDisconnected():
            return _pairing_gone(facts, reading, at, now)
        case SessionUnknown():
            return _pairing_unknown(facts, now)
        case _:
            assert_never(reading)


def _scanned(facts: SessionFacts, reading: SessionConnected) -> Decision:
    if reading.phone is None and not facts.number_known:
        return ConnectedToNobody(_no_phone_sentence(reading.raw_phone))
    return Connect(reading.phone, reading.restriction)


def _qr_shown(facts: SessionFacts, reading: SessionQr, now: datetime) -> Decision:
    if not facts.number_known:
        return ShowQr(reading.qr, reading.pairing_code, reading.expires_at, reading.detail)
    # A session never changes its number, so its code is not shown to another phone.
    return _not_revived(facts, "logged_out", PAIRING_LOST, now)


def _not_revived(
    facts: SessionFacts, reason: EndedReason, detail: str, now: datetime
) -> PairAnew | End:
    """Whoever asked for the number back gets a new pairing, unless that was long ago."""
    if now - facts.pairing_started_at < PAIRING_LASTS:
        return PairAnew(detail)
    return End(reason, detail)


def _pairing_unknown(facts: SessionFacts, now: datetime) -> Decision:
    if facts.number_known:
        return _not_revived(facts, "unknown_to_gateway", SESSION_UNKNOWN, now)
    if now - facts.pairing_started_at < START_GRACE:
        return Note(SESSION_UNKNOWN)
    return End("unknown_to_gateway", SESSION_UNKNOWN)


def _pairing_gone(
    facts: SessionFacts, reading: SessionDisconnected, at: datetime, now: datetime
) -> Decision:
    end = _end_of(reading)
    if reading.logged_out and facts.number_known:
        return _not_revived(facts, "logged_out", end.detail, now)
    if reading.reason == "pairing_expired" and not facts.number_known:
        return End("expired", "Nobody scanned the QR code in time.")
    if now - facts.pairing_started_at < START_GRACE:
        return Note(end.detail)  # several gateways say this until they have begun
    if reading.logged_out:
        return end
    return _debounced(facts, end, at, _SECOND_READING_AFTER)


def _while_disconnected(facts: SessionFacts, reading: _KnownReading) -> Decision:
    match reading:
        case SessionConnected():
            if facts.ended_for_good:
                return LogOutAgain()
            return _scanned(facts, reading)
        case SessionQr() | SessionConnecting() | SessionDisconnected() | SessionUnknown():
            return Confirm()
        case _:
            assert_never(reading)


def _end_of(reading: SessionDisconnected) -> End:
    if reading.logged_out:
        return End("logged_out", reading.detail or LOGGED_OUT, reading.restriction)
    return End("disconnected", _why_disconnected(reading), reading.restriction)


def _why_disconnected(reading: SessionDisconnected) -> str:
    words = reading.detail or reading.reason
    if words is not None and words[:1].isupper() and words.endswith("."):
        return words  # a gateway that speaks in sentences knows best
    said = f" ({words.rstrip('.')})" if words else ""
    return f"The gateway says that the session is disconnected{said}."


# --- what is in the way ---------------------------------------------------------------------


def obstacle_of(reading: SessionReading) -> SessionObstacle | None:
    """Of a reading that ends a session: stored with the end, and never guessed from it later."""
    match reading:
        case SessionDisconnected():
            if reading.restriction is not None and reading.restriction.reason == "banned":
                return "banned"
            return _SAID.get(reading.reason or "") or obstacle_told(reading.detail)
        case SessionConnecting(detail=None):
            return "whatsapp_unreachable"
        case SessionConnecting():
            return obstacle_told(reading.detail)
        case _:
            return None


_SAID: Final[dict[str, SessionObstacle]] = {"banned": "banned", "outdated": "outdated"}
"""The gateway's own words for it."""


def obstacle_told(detail: str | None) -> SessionObstacle | None:
    """The contract has no words for what the built-in gateway goes on trying: its sentences do."""
    if detail is None:
        return None
    if detail.startswith("WhatsApp cannot be reached"):
        return "whatsapp_unreachable"
    return "trying" if "keeps trying" in detail else None


# --- sentences ------------------------------------------------------------------------------

RECONNECTING: Final = "The gateway has been trying to reach WhatsApp again for a while."
SESSION_UNKNOWN: Final = "The gateway does not know this session."
LOGGED_OUT: Final = "The phone was logged out of this session."
PAIRING_LOST: Final = "The gateway no longer has this pairing and asks for a new scan."
NO_QR_DATA: Final = "The gateway says that it shows a QR code, but sent no QR data."


def unknown_word_sentence(word: str) -> str:
    return f"The gateway uses a status that Groupline does not know: “{word}”. Nothing was changed."


def _no_phone_sentence(raw: str | None) -> str:
    if raw is None:
        return "The gateway says connected, but does not name the phone number."
    return f"The gateway says connected with “{raw}”, which is not a valid phone number."


# --- which of two pairings of a number wins -------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Pairing:
    """The order of pairings is the order in which people asked for them.

    Not the order of reports: those come late, twice and reordered.
    """

    started_at: datetime
    session_id: str
