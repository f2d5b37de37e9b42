"""The closed vocabularies in which every driver answers.

Callers match them exhaustively (`assert_never`); a driver may not invent another answer.
Nothing here carries a key, a message text or a full phone number, except the phone of a
`SessionConnected`, which is the answer itself and is never logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# --- a send ---------------------------------------------------------------------------------


class NotSentReason(StrEnum):
    """Why a message is known not to have reached WhatsApp."""

    UNREACHABLE = "unreachable"
    """Connection refused, no such host, TLS failure: no request was written."""
    TIMEOUT_BEFORE_WRITE = "timeout_before_write"
    """The time was up before the request was written."""
    POOL_EXHAUSTED = "pool_exhausted"
    """All our own connections to the gateway were busy."""
    NOT_CONNECTED = "not_connected"
    """The gateway says that the session is not connected. Counts as a reading."""
    UNAUTHORIZED = "unauthorized"
    """The gateway refuses our key."""
    RATE_LIMITED = "rate_limited"
    """429: too many requests."""
    RESTRICTED = "restricted"
    """WhatsApp limits what this number may send."""
    REJECTED = "rejected"
    """The gateway answered that it did not send."""
    NOT_IN_GROUP = "not_in_group"
    """The number is not a member of the group, or the group is gone."""
    NOT_ALLOWED = "not_allowed"
    """The number may not post in the group."""
    BAD_REQUEST = "bad_request"
    """The gateway refuses the content of the request; the same request is refused again."""
    ROUTE_MISSING = "route_missing"
    """The address answers, but it has no such route: a wrong base URL or an old gateway."""


_RETRYABLE = frozenset(
    {
        NotSentReason.UNREACHABLE,
        NotSentReason.TIMEOUT_BEFORE_WRITE,
        NotSentReason.POOL_EXHAUSTED,
        NotSentReason.NOT_CONNECTED,
        NotSentReason.UNAUTHORIZED,
        NotSentReason.RATE_LIMITED,
        NotSentReason.RESTRICTED,
        NotSentReason.REJECTED,
        NotSentReason.ROUTE_MISSING,
    }
)
# Only an answer about this very message burns an attempt. Everything else is waiting for a
# number, a gateway or its administrator.
_COUNTED = frozenset(
    {
        NotSentReason.REJECTED,
        NotSentReason.NOT_IN_GROUP,
        NotSentReason.NOT_ALLOWED,
        NotSentReason.BAD_REQUEST,
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """The gateway named the message: evidence."""

    message_id: str
    existing: bool = False
    """The gateway had already sent this `client_ref` and repeats its answer."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway took the message; a callback follows. Not evidence."""

    message_id: str | None = None
    """The id that the gateway intends to use, where it says so; helps to match the callback."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that the message did not go out."""

    reason: NotSentReason
    retryable: bool
    http_status: int | None
    detail: str
    """For people: the gateway's own words, cut to a bounded length."""
    counts_as_attempt: bool
    retry_after: float | None = None
    """Seconds, when the gateway named them."""


class UncertainReason(StrEnum):
    """Why nobody knows whether the message went out."""

    NO_ANSWER = "no_answer"
    """The time was up after the request had been written."""
    CONNECTION_LOST = "connection_lost"
    """The connection broke after the request had been written."""
    SERVER_ERROR = "server_error"
    """A 5xx (or 408) that does not say whether the message went out."""
    UNCONFIRMED = "unconfirmed"
    """The gateway wrote it to WhatsApp, which has not confirmed it."""
    MALFORMED = "malformed"
    """The answer cannot be understood: HTML, cut JSON, a wrong type, nothing."""
    NO_EVIDENCE = "no_evidence"
    """The gateway claims success and names no message."""
    CONTRADICTION = "contradiction"
    """The answer says both that it was sent and that it was not."""
    REFERENCE_USED = "reference_used"
    """It knows our reference with another text: that one may have gone out."""
    UNEXPECTED = "unexpected"
    """The HTTP client failed in a way that proves nothing."""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Neither sent nor not sent is known. Never send again because of this."""

    reason: UncertainReason
    http_status: int | None
    detail: str


SendOutcome = Sent | Accepted | NotSent | Uncertain


def not_sent(
    reason: NotSentReason,
    detail: str,
    *,
    http_status: int | None = None,
    retry_after: float | None = None,
) -> NotSent:
    """`NotSent` with the retry rules that belong to the reason."""
    return NotSent(
        reason=reason,
        retryable=reason in _RETRYABLE,
        http_status=http_status,
        detail=detail,
        counts_as_attempt=reason in _COUNTED,
        retry_after=retry_after,
    )


# --- a session ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QrCode:
    """What a phone scans. Gateways send the text of the code, or a picture of it."""

    text: str | None = None
    image_data_url: str | None = None
    """`data:image/…;base64,…`, shown as it is."""

    def __repr__(self) -> str:
        return "QrCode(…)"  # whoever reads it can take the account over: never in a log


@dataclass(frozen=True, slots=True)
class Restriction:
    """WhatsApp limits the account."""

    reason: str
    until: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class SessionConnected:
    phone: str | None
    """E.164 digits; None if the gateway does not say, or says something that is no phone."""
    since: datetime | None = None
    restriction: Restriction | None = None
    raw_phone: str | None = None
    """What the gateway sent where it was no valid phone number."""


@dataclass(frozen=True, slots=True)
class SessionQr:
    """Waiting for the phone. `qr` is None when the gateway sent no QR data."""

    qr: QrCode | None = None
    pairing_code: str | None = None
    expires_at: datetime | None = None
    detail: str | None = None
    """What is wrong all the same, as a sentence: that there is no pairing code, and why."""

    def __repr__(self) -> str:
        return f"SessionQr(qr={self.qr!r}, pairing_code={'…' if self.pairing_code else None})"


@dataclass(frozen=True, slots=True)
class SessionConnecting:
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class SessionDisconnected:
    reason: str | None = None
    """The gateway's word for it, e.g. `logged_out`."""
    logged_out: bool = False
    """Definite: the pairing has ended and no second reading is needed."""
    detail: str | None = None
    restriction: Restriction | None = None
    """A ban, for example."""


@dataclass(frozen=True, slots=True)
class SessionUnknown:
    """404 with the gateway's own JSON: it has no such session. Definite."""

    detail: str | None = None


@dataclass(frozen=True, slots=True)
class UnknownWord:
    """A status that we do not know. Kept as detail; changes nothing."""

    word: str


class FailureKind(StrEnum):
    """Why a gateway gave no reading. None of these says anything about the session."""

    UNREACHABLE = "unreachable"
    """No connection, no answer in time, or the connection broke."""
    AUTH = "auth"
    """It refuses our key."""
    ROUTE_MISSING = "route_missing"
    """The address answers, but the route does not exist there."""
    SERVER_ERROR = "server_error"
    """5xx."""
    REFUSED = "refused"
    """Another 4xx, e.g. 429."""
    MALFORMED = "malformed"
    """The answer cannot be understood."""


@dataclass(frozen=True, slots=True)
class ReadingFailed:
    """The gateway gave no reading. The session keeps its state."""

    kind: FailureKind
    detail: str
    http_status: int | None = None
    retry_after: float | None = None


SessionReading = (
    SessionConnected
    | SessionQr
    | SessionConnecting
    | SessionDisconnected
    | SessionUnknown
    | UnknownWord
)
Reading = SessionReading | ReadingFailed


# --- a look-up of a message -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """The gateway sent a message, and names it. Evidence only if it is exactly ours."""

    message_id: str
    status: str | None = None
    at: datetime | None = None
    by_client_ref: bool = False
    """True: exactly the message asked for. False: the last one to that group, whichever it is."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """Definite: a gateway with a durable memory of `client_ref` knows that it was not sent."""

    detail: str | None = None


@dataclass(frozen=True, slots=True)
class LookupUnknown:
    """No conclusion: no answer, still being sent, or a gateway that forgets. Ask again later."""

    detail: str
    failure: FailureKind | None = None


LookupAnswer = Found | NotFound | LookupUnknown
