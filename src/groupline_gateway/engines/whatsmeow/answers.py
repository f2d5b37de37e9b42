"""What the library's words about a failed call mean. Pure, and the only place that reads them."""

import re
from enum import StrEnum

from groupline_gateway.errors import (
    BadRequest,
    FateUnknown,
    Forbidden,
    GatewayError,
    NoAnswer,
    NotConnected,
    RateLimited,
    Refused,
    Rejected,
)


class Meaning(StrEnum):
    NOT_CONNECTED = "not_connected"
    NOT_IN_GROUP = "not_in_group"
    NOT_ALLOWED = "not_allowed"
    RESTRICTED = "restricted"
    TOO_FAST = "too_fast"
    REJECTED = "rejected"
    BAD_RECIPIENT = "bad_recipient"
    TOO_LARGE = "too_large"
    MEDIA = "media"
    NOT_WRITTEN = "not_written"
    """It failed before anything was written to WhatsApp."""
    UNKNOWN = "unknown"
    """Proves nothing about what was written."""


_SERVER_ERROR = re.compile(r"server returned error (\d+)")
_STATUS = re.compile(r"status (\d{3})")
_TOO_LARGE = "upload failed with status code 413"
_BY_CODE = {
    401: Meaning.NOT_ALLOWED,
    403: Meaning.NOT_IN_GROUP,
    404: Meaning.NOT_IN_GROUP,
    405: Meaning.NOT_ALLOWED,
    413: Meaning.TOO_LARGE,
    419: Meaning.TOO_FAST,
    429: Meaning.TOO_FAST,
    463: Meaning.RESTRICTED,
}
_BY_WORDS = (
    # The one failure of the write itself that comes before the first byte.
    (r"failed to send message node: websocket not connected", Meaning.NOT_CONNECTED),
    (r"timed out waiting for message send response", Meaning.UNKNOWN),
    (r"websocket disconnected before message send", Meaning.UNKNOWN),
    (r"failed to send message node", Meaning.UNKNOWN),
    (r"not participating in that group|that group does not exist", Meaning.NOT_IN_GROUP),
    (r"websocket not connected|doesn't contain a device JID|client is nil", Meaning.NOT_CONNECTED),
    (r"don't have the permission|not-authorized|forbidden", Meaning.NOT_ALLOWED),
    (r"rate-overlimit", Meaning.TOO_FAST),
    (r"no LID found for|unknown server|must be a user JID", Meaning.BAD_RECIPIENT),
    (
        r"failed to (upload|prepare upload|execute request|parse upload|refresh media)",
        Meaning.MEDIA,
    ),
    (r"upload failed", Meaning.MEDIA),
)
_BEFORE_THE_WRITE = re.compile(
    r"failed to get (?:group members|LID|user info|device list|broadcast)"
    r"|failed to (?:create|marshal) (?:sender key|message)|failed to (?:encrypt|prefetch|fetch LID)"
    r"|no signal session|cipher encryption failed|info query"
)


def meaning_of(text: str) -> Meaning:
    """What an error of the library says, by its number first and its words second."""
    code = _SERVER_ERROR.search(text)
    if code is not None:
        return _by_code(int(code.group(1)))
    if _TOO_LARGE in text:
        return Meaning.TOO_LARGE
    for pattern, meaning in _BY_WORDS:
        if re.search(pattern, text):
            return meaning
    status = _STATUS.search(text)
    if status is not None and int(status.group(1)) in _BY_CODE:
        return _BY_CODE[int(status.group(1))]
    return Meaning.NOT_WRITTEN if _BEFORE_THE_WRITE.search(text) else Meaning.UNKNOWN


def _by_code(code: int) -> Meaning:
    """A failure of WhatsApp itself (5xx) says nothing of what it had done with the message."""
    return Meaning.UNKNOWN if 500 <= code < 600 else _BY_CODE.get(code, Meaning.REJECTED)


def send_error(text: str, stored_id: str | None, *, traceable: bool = True) -> Exception:
    """What is raised for a send that failed.

    ``stored_id`` is the id under which the library had stored the message before it wrote: without
    one nothing was written, whatever the words. With one, only words that name WhatsApp's refusal,
    or a step before the write, prove that it was not sent.
    """
    meaning = meaning_of(text)
    if meaning is Meaning.UNKNOWN and (stored_id is not None or not traceable):
        return FateUnknown(stored_id)
    return _not_sent(meaning, text)


def question_error(text: str) -> GatewayError:
    """What is raised for a question about groups that failed."""
    meaning = meaning_of(text)
    if meaning is Meaning.NOT_ALLOWED:
        return Forbidden("Only an admin of the group sees its invite link")
    if "timed out" in text:
        return NoAnswer("WhatsApp did not answer in time")
    if meaning in (Meaning.NOT_CONNECTED, Meaning.NOT_IN_GROUP, Meaning.TOO_FAST):
        return _not_sent(meaning, text)
    if "disconnected" in text:
        return NotConnected("The session is not connected: the connection broke")
    return NoAnswer("WhatsApp did not answer the question")


def server_code(text: str) -> int | None:
    code = _SERVER_ERROR.search(text)
    return None if code is None else int(code.group(1))


_NOT_PREPARED = "The message could not be prepared for WhatsApp; it was not sent"
_PARENT_OR_RATE = (
    "WhatsApp turned the message down (error 420): the group is the parent of a community, "
    "or this number writes too often"
)
_ERRORS: dict[Meaning, tuple[type[GatewayError], str]] = {
    Meaning.NOT_CONNECTED: (NotConnected, "The session is not connected"),
    Meaning.NOT_IN_GROUP: (Refused, "This number is not a member of the group"),
    Meaning.NOT_ALLOWED: (Refused, "Only admins of the group may write to it"),
    Meaning.RESTRICTED: (RateLimited, "WhatsApp restricts what this number may send"),
    Meaning.TOO_FAST: (RateLimited, "WhatsApp says that this number sends too many messages"),
    Meaning.REJECTED: (Rejected, "WhatsApp turned the message down"),
    Meaning.BAD_RECIPIENT: (Refused, "This recipient is not on WhatsApp"),
    Meaning.TOO_LARGE: (BadRequest, "WhatsApp says that the message is too large"),
    Meaning.MEDIA: (Rejected, "WhatsApp did not take the media of this message; it was not sent"),
    Meaning.NOT_WRITTEN: (Rejected, _NOT_PREPARED),
    Meaning.UNKNOWN: (Rejected, _NOT_PREPARED),
}


def _not_sent(meaning: Meaning, text: str) -> GatewayError:
    code = server_code(text)
    if code == 420:
        return Rejected(_PARENT_OR_RATE)
    kind, sentence = _ERRORS[meaning]
    return kind(sentence if code is None else f"{sentence} (error {code})")
