"""What a failure of the HTTP client proves.

One table names every exception class of the client; a test walks the client's classes and
fails for one that is missing here. A request counts as not sent only with proof: the class
says that no connection was made, or nothing had been written when it was raised.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import aiohttp
from aiohttp import client_exceptions, http_exceptions

from groupline.gateways.outcomes import (
    FailureKind,
    NotSent,
    NotSentReason,
    Uncertain,
    UncertainReason,
    not_sent,
)


class Cause(StrEnum):
    """What a class of exceptions means, whatever the moment at which it is raised."""

    NO_CONNECTION = "no_connection"
    BAD_ADDRESS = "bad_address"
    TIME_IS_UP = "time_is_up"
    CONNECTION_BROKE = "connection_broke"
    BAD_ANSWER = "bad_answer"


_C = client_exceptions
CAUSES: dict[type[BaseException], Cause] = {
    # The connection was never made.
    _C.ClientConnectorError: Cause.NO_CONNECTION,
    _C.ClientConnectorDNSError: Cause.NO_CONNECTION,
    _C.ClientConnectorSSLError: Cause.NO_CONNECTION,
    _C.ClientConnectorCertificateError: Cause.NO_CONNECTION,
    _C.ClientSSLError: Cause.NO_CONNECTION,
    _C.ClientProxyConnectionError: Cause.NO_CONNECTION,
    _C.ClientHttpProxyError: Cause.NO_CONNECTION,
    _C.UnixClientConnectorError: Cause.NO_CONNECTION,
    _C.ServerFingerprintMismatch: Cause.NO_CONNECTION,
    _C.ConnectionTimeoutError: Cause.TIME_IS_UP,
    # The address cannot be called.
    _C.InvalidURL: Cause.BAD_ADDRESS,
    _C.InvalidUrlClientError: Cause.BAD_ADDRESS,
    _C.NonHttpUrlClientError: Cause.BAD_ADDRESS,
    # Time.
    _C.ServerTimeoutError: Cause.TIME_IS_UP,
    _C.SocketTimeoutError: Cause.TIME_IS_UP,
    TimeoutError: Cause.TIME_IS_UP,
    # The connection broke; whether before or after the request was written, the mark knows.
    aiohttp.ClientError: Cause.CONNECTION_BROKE,
    _C.ClientConnectionError: Cause.CONNECTION_BROKE,
    _C.ClientConnectionResetError: Cause.CONNECTION_BROKE,
    _C.ClientOSError: Cause.CONNECTION_BROKE,
    _C.ServerConnectionError: Cause.CONNECTION_BROKE,
    _C.ServerDisconnectedError: Cause.CONNECTION_BROKE,
    _C.UploadAbortedError: Cause.CONNECTION_BROKE,
    ssl.SSLError: Cause.CONNECTION_BROKE,
    OSError: Cause.CONNECTION_BROKE,
    # There was an answer, and it is unusable.
    _C.ClientPayloadError: Cause.BAD_ANSWER,
    _C.ClientResponseError: Cause.BAD_ANSWER,
    _C.ContentTypeError: Cause.BAD_ANSWER,
    _C.TooManyRedirects: Cause.BAD_ANSWER,
    _C.RedirectClientError: Cause.BAD_ANSWER,
    _C.InvalidUrlRedirectClientError: Cause.BAD_ANSWER,
    _C.NonHttpUrlRedirectClientError: Cause.BAD_ANSWER,
    _C.WSServerHandshakeError: Cause.BAD_ANSWER,
    _C.WSMessageTypeError: Cause.BAD_ANSWER,
    aiohttp.WebSocketError: Cause.BAD_ANSWER,
    http_exceptions.HttpProcessingError: Cause.BAD_ANSWER,
    http_exceptions.BadHttpMessage: Cause.BAD_ANSWER,
    http_exceptions.HttpBadRequest: Cause.BAD_ANSWER,
    http_exceptions.PayloadEncodingError: Cause.BAD_ANSWER,
    http_exceptions.ContentEncodingError: Cause.BAD_ANSWER,
    http_exceptions.TransferEncodingError: Cause.BAD_ANSWER,
    http_exceptions.ContentLengthError: Cause.BAD_ANSWER,
    http_exceptions.DecompressSizeError: Cause.BAD_ANSWER,
    http_exceptions.LineTooLong: Cause.BAD_ANSWER,
    http_exceptions.InvalidHeader: Cause.BAD_ANSWER,
    http_exceptions.BadStatusLine: Cause.BAD_ANSWER,
    http_exceptions.BadHttpMethod: Cause.BAD_ANSWER,
    http_exceptions.InvalidURLError: Cause.BAD_ANSWER,
}
HANDLED = tuple(CAUSES)
"""Everything that a call catches. Any other exception is a defect of ours and is raised."""


@dataclass(slots=True)
class WriteMark:
    """How far a request got, told by the client while it runs."""

    before_write: Callable[[], None] | None = None
    """Called right before the first byte leaves, which it prevents if it raises."""
    waiting_for_pool: bool = False
    written: bool = False
    """Set *before* the first byte leaves, so that False is proof."""


@dataclass(frozen=True, slots=True)
class CallFailed:
    """A call that brought no answer."""

    cause: Cause
    written: bool
    waited_for_pool: bool
    detail: str
    """For people."""
    error: str
    """For the log: the exception class."""


def classify(error: BaseException, mark: WriteMark) -> CallFailed:
    cause = _cause_of(type(error))
    return CallFailed(
        cause=cause,
        written=mark.written,
        waited_for_pool=mark.waiting_for_pool,
        detail=_sentence(cause, error, mark),
        error=type(error).__name__,
    )


def _cause_of(kind: type[BaseException]) -> Cause:
    for base in kind.__mro__:
        if base in CAUSES:
            return CAUSES[base]
    raise TypeError(f"{kind.__name__} is not an exception of the HTTP client")


def _sentence(cause: Cause, error: BaseException, mark: WriteMark) -> str:
    match cause:
        case Cause.NO_CONNECTION:
            return _connection_sentence(error)
        case Cause.BAD_ADDRESS:
            return "The address of the gateway cannot be called."
        case Cause.TIME_IS_UP:
            return _timeout_sentence(mark)
        case Cause.CONNECTION_BROKE:
            return "The connection to the gateway broke before it answered."
        case Cause.BAD_ANSWER:
            return "The gateway's answer is not valid HTTP or broke off."
        case _:
            assert_never(cause)


def _connection_sentence(error: BaseException) -> str:
    if isinstance(error, _C.ClientConnectorDNSError):
        return "The host name of the gateway cannot be resolved."
    if isinstance(error, _C.ClientConnectorCertificateError | _C.ServerFingerprintMismatch):
        return "The certificate of the gateway is not valid."
    if isinstance(error, _C.ClientSSLError):
        return "No secure connection to the gateway can be made."
    if isinstance(error, OSError) and isinstance(
        getattr(error, "os_error", None), ConnectionRefusedError
    ):
        return "Nothing answers at the gateway's address: the connection was refused."
    return "The gateway cannot be reached."


def _timeout_sentence(mark: WriteMark) -> str:
    if mark.written:
        return "The gateway did not answer in time."
    if mark.waiting_for_pool:
        return "All connections to the gateway are busy."
    return "The gateway did not accept a connection in time."


def send_outcome(failed: CallFailed) -> NotSent | Uncertain:
    """What a failed call means for a message."""
    if failed.cause is Cause.BAD_ANSWER:
        return Uncertain(UncertainReason.MALFORMED, None, failed.detail)
    if not failed.written:
        return not_sent(_not_written_reason(failed), failed.detail)
    match failed.cause:
        case Cause.TIME_IS_UP:
            reason = UncertainReason.NO_ANSWER
        case Cause.CONNECTION_BROKE:
            reason = UncertainReason.CONNECTION_LOST
        case Cause.NO_CONNECTION | Cause.BAD_ADDRESS:
            reason = UncertainReason.UNEXPECTED  # the class and the mark contradict each other
        case _:
            assert_never(failed.cause)
    return Uncertain(reason, None, failed.detail)


def _not_written_reason(failed: CallFailed) -> NotSentReason:
    if failed.cause is not Cause.TIME_IS_UP:
        return NotSentReason.UNREACHABLE
    if failed.waited_for_pool:
        return NotSentReason.POOL_EXHAUSTED
    return NotSentReason.TIMEOUT_BEFORE_WRITE


def failure_kind(failed: CallFailed) -> FailureKind:
    """What a failed call means for a reading."""
    return FailureKind.MALFORMED if failed.cause is Cause.BAD_ANSWER else FailureKind.UNREACHABLE
