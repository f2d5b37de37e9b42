"""Messages on the wire of the Groupline contract: answers in, outcomes out. Pure.

Two things are decided here, and the rest of the product relies on them: `Sent` needs the id of
a message, and `NotSent` needs the gateway's word for it. What lies between is `Uncertain`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from groupline.gateways.drivers.parsing import (
    NO_JSON,
    JsonObject,
    as_object,
    boolean,
    error_text,
    identifier,
    moment,
    redact,
    text,
    without,
)
from groupline.gateways.outcomes import (
    Accepted,
    Found,
    LookupAnswer,
    LookupUnknown,
    NotFound,
    NotSent,
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
    UncertainReason,
    not_sent,
)

# The words say that the session cannot send at all, not that something broke on the way.
_NOT_CONNECTED = re.compile(
    r"\bnot (?:yet |currently )?(?:connected|logged in|paired)\b"
    r"|\bno (?:such |active |connected )?session\b|\bunknown session\b"
    r"|\bsession\b.{0,80}\b(?:not found|not ready|not open|unknown|disconnected|logged out"
    r"|does(?: not|n't) exist|is closed)\b",
    re.IGNORECASE,
)
_UNCONFIRMED = re.compile(r"\bWhatsApp has not confirmed\b", re.IGNORECASE)
_RESTRICTED = re.compile(r"restrict|reach-?_?out|time-?_?lock|\bbanned\b", re.IGNORECASE)
_RATE = re.compile(r"rate.?(?:limit|over)|too many", re.IGNORECASE)
_NOT_IN_GROUP = re.compile(
    r"\bnot (?:a |an )?(?:participant|member|in (?:the |this |that )?group)\b|item-not-found"
    r"|\bgroup\b.{0,80}\b(?:not found|does(?: not|n't) exist)\b|\bno such group\b",
    re.IGNORECASE,
)
_NOT_ALLOWED = re.compile(
    r"\bonly admins?\b|\bnot (?:an? )?admin|\badmins? only\b|not[- ]?allowed to (?:send|post)",
    re.IGNORECASE,
)
_SESSION = re.compile(r"session", re.IGNORECASE)
_OTHER_THING = re.compile(r"\b(?:group|phone|number|participant)s?\b", re.IGNORECASE)
_REFERENCE = re.compile(r"client.?ref", re.IGNORECASE)
_TIME = re.compile(r"timed?[ -]?out", re.IGNORECASE)
# A text of so many characters is in an answer because it is repeated there, not by chance.
_LONG_TEXT = 16


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """What came back for a send."""

    status: int
    json: object
    say: Callable[[], str | None]
    """What it said, as it came. Most answers need no words."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What it may repeat and nobody keeps: the key and the text of the message."""
    retry_after: float | None = None

    @property
    def words(self) -> str:
        """By these it is understood. A text of a word or two may be the gateway's own word for the
        reason; one that is longer, and in the answer, is repeated by it and says nothing."""
        return without(self._said, self.secrets, shortest=_LONG_TEXT)

    @property
    def detail(self) -> str:
        """For people: without secrets."""
        return redact(self._said, self.secrets) or "The gateway gave no explanation."

    @property
    def _said(self) -> str:
        return self.say() or ""


def says_not_connected(words: str) -> bool:
    return _NOT_CONNECTED.search(words) is not None


def speaks_of_session(words: str) -> bool:
    """Whether a 404 means the session, and not the group or the phone that was asked for."""
    return _SESSION.search(words) is not None or _OTHER_THING.search(words) is None


def send_outcome(answer: SendAnswer) -> SendOutcome:
    status = answer.status
    if 200 <= status < 300:
        return _success(answer)
    if status in {301, 307, 308}:
        # These repeat the request elsewhere: here, nothing was done with it.
        return _not_sent(answer, NotSentReason.ROUTE_MISSING)
    if 400 <= status < 500 and status != 408:
        return _refused(answer)
    return _server_error(answer)


def _success(answer: SendAnswer) -> SendOutcome:
    document = as_object(answer.json)
    if document is None:
        return _uncertain(answer, UncertainReason.MALFORMED)
    if _claims_failure(document, answer.status):
        return _claimed_failure(answer, document)
    message_id = _message_id(document)
    if boolean(document.get("accepted")) is True:
        return Accepted(message_id=message_id)
    if message_id is not None:
        return Sent(message_id=message_id, existing=boolean(document.get("existing")) is True)
    # A success that names no message is a claim without evidence.
    claimed = boolean(document.get("success")) is True
    reason = UncertainReason.NO_EVIDENCE if claimed else UncertainReason.MALFORMED
    return _uncertain(answer, reason)


def _claims_failure(document: JsonObject, status: int) -> bool:
    success = boolean(document.get("success"))
    if success is None and document.get("error"):
        return True
    return success is False or (not document and status == 200)


def _claimed_failure(answer: SendAnswer, document: JsonObject) -> NotSent | Uncertain:
    if _message_id(document) is not None or boolean(document.get("accepted")) is True:
        return _uncertain(answer, UncertainReason.CONTRADICTION)
    return _not_sent(answer, _reason_of_words(answer.words))


def _message_id(document: JsonObject) -> str | None:
    key = as_object(document.get("key"))
    return identifier(document.get("messageId")) or (identifier(key.get("id")) if key else None)


def _refused(answer: SendAnswer) -> NotSent | Uncertain:
    """4xx: the gateway did not take the request."""
    words = answer.words
    if answer.status == 409 and _REFERENCE.search(words):
        return _uncertain(answer, UncertainReason.REFERENCE_USED)
    match answer.status:
        case 401:
            reason = NotSentReason.UNAUTHORIZED
        case 403:
            reason = _reason_of_words(words, otherwise=NotSentReason.UNAUTHORIZED)
        case 404 if not says_gateway_error(answer.json):
            reason = NotSentReason.ROUTE_MISSING
        case 404:
            reason = _reason_of_words(words, otherwise=NotSentReason.NOT_CONNECTED)
        case 405:
            reason = NotSentReason.ROUTE_MISSING
        case 429:
            restricted = _RESTRICTED.search(words) is not None
            reason = NotSentReason.RESTRICTED if restricted else NotSentReason.RATE_LIMITED
        case _:
            reason = _reason_of_words(words, otherwise=NotSentReason.BAD_REQUEST)
    return _not_sent(answer, reason)


def _server_error(answer: SendAnswer) -> SendOutcome:
    """5xx and oddities: not sent only if the body says so in words that cannot mean else."""
    document = as_object(answer.json)
    # Nor in words that may be the message's: a "not connected" of these would send it twice.
    error = redact(error_text(answer.json) or "", answer.secrets)
    if document is not None and _UNCONFIRMED.search(error):
        return _uncertain(answer, UncertainReason.UNCONFIRMED)
    if document is None or _message_id(document) is not None:
        return _uncertain(answer, UncertainReason.SERVER_ERROR)
    if says_not_connected(error) and not _TIME.search(error):
        return _not_sent(answer, NotSentReason.NOT_CONNECTED)
    if boolean(document.get("success")) is False and not _TIME.search(error):
        return _not_sent(answer, _reason_of_words(answer.words))
    return _uncertain(answer, UncertainReason.SERVER_ERROR)


_ROUTE_WORDS = re.compile(
    r"\bcannot (?:get|post)\b|\b(?:route|endpoint|path|url|page)\b", re.IGNORECASE
)


def says_gateway_error(value: object) -> bool:
    """The gateway's own `{"error": "…"}`, not the 404 document of the framework below it."""
    document = as_object(value)
    if document is None or text(document.get("error")) is None:
        return False
    words = f"{text(document.get('error'))} {text(document.get('message')) or ''}"
    return _ROUTE_WORDS.search(words) is None


def _reason_of_words(
    words: str, *, otherwise: NotSentReason = NotSentReason.REJECTED
) -> NotSentReason:
    """Why, by the gateway's own words; that it was not sent is already known."""
    table = (
        (_RESTRICTED, NotSentReason.RESTRICTED),
        (_RATE, NotSentReason.RATE_LIMITED),
        (_NOT_IN_GROUP, NotSentReason.NOT_IN_GROUP),
        (_NOT_ALLOWED, NotSentReason.NOT_ALLOWED),
        (_NOT_CONNECTED, NotSentReason.NOT_CONNECTED),
    )
    return next((reason for pattern, reason in table if pattern.search(words)), otherwise)


def _not_sent(answer: SendAnswer, reason: NotSentReason) -> NotSent:
    return not_sent(
        reason, answer.detail, http_status=answer.status, retry_after=answer.retry_after
    )


def _uncertain(answer: SendAnswer, reason: UncertainReason) -> Uncertain:
    return Uncertain(reason=reason, http_status=answer.status, detail=answer.detail)


_PENDING = "pending"
_FAILED = "failed"


def lookup_answer(value: object, *, exact: bool) -> LookupAnswer:
    """`exact`: asked by `clientRef` of a gateway that keeps them; only then is no a no."""
    document = as_object(value)
    found = boolean(document.get("found")) if document is not None else None
    if document is None or found is None:
        shown = "no JSON" if value is NO_JSON else "an answer without 'found'"
        return LookupUnknown(detail=f"The gateway sent {shown}.")
    if not found:
        return NotFound() if exact else LookupUnknown(detail="The gateway does not remember it.")
    return _known_message(document, exact=exact)


def _known_message(document: JsonObject, *, exact: bool) -> LookupAnswer:
    status = text(document.get("status"), 60)
    if status == _FAILED and exact:
        return NotFound(detail=error_text(document))
    if status in {_FAILED, _PENDING}:
        return LookupUnknown(detail=f"The gateway says that it is {status}.")
    message_id = identifier(document.get("messageId"))
    if message_id is None:
        return LookupUnknown(detail="The gateway says that it was sent but does not name it.")
    return Found(
        message_id=message_id,
        status=status,
        at=moment(document.get("timestamp")),
        by_client_ref=exact,
    )
