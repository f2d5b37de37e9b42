"""An answer that is no success, as a reading that failed or as an error for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from groupline.errors import (
    GatewayAuthFailed,
    GatewayMalformed,
    GatewayRefused,
    GatewayRouteMissing,
    GatewaySessionUnknown,
    GatewayUnreachable,
    UpstreamError,
)
from groupline.gateways.drivers.base import Answer
from groupline.gateways.drivers.failures import CallFailed, failure_kind
from groupline.gateways.drivers.groupline_messages import (
    says_gateway_error,
    says_not_connected,
    speaks_of_session,
)
from groupline.gateways.drivers.parsing import (
    MAX_DETAIL,
    NO_JSON,
    as_object,
    body_words,
    boolean,
    clean,
    error_text,
    redact,
)
from groupline.gateways.outcomes import FailureKind, ReadingFailed, SessionUnknown


def said_by(answer: Answer) -> str | None:
    """The gateway's own words, bounded. They may repeat a secret: not for people."""
    said = error_text(answer.json)
    return body_words(answer.body) if said is None and answer.json is NO_JSON else said


def words_of(answer: Answer, secrets: Iterable[str] = ()) -> str:
    """What the gateway said, for people: its own words, bounded and without secrets."""
    said = said_by(answer)
    if said is None:
        return f"The gateway answered {answer.status} without an explanation."
    return clean(f"The gateway answered {answer.status}: {redact(said, secrets)}", MAX_DETAIL)


def failure_of(answer: Answer) -> FailureKind | None:
    """None: the answer is a success, or speaks of the session rather than of the gateway."""
    status = answer.status
    if status in {401, 403}:
        return FailureKind.AUTH
    if status == 404:
        return None if says_gateway_error(answer.json) else FailureKind.ROUTE_MISSING
    if status == 405 or 300 <= status < 400:
        return FailureKind.ROUTE_MISSING
    if status >= 500:
        return FailureKind.SERVER_ERROR
    if status >= 400:
        return FailureKind.REFUSED
    return None if answer.ok else FailureKind.MALFORMED


def no_reading(
    answer: Answer | CallFailed, secrets: Iterable[str]
) -> ReadingFailed | SessionUnknown | None:
    """None: the answer is a success and can be read."""
    if isinstance(answer, CallFailed):
        return ReadingFailed(kind=failure_kind(answer), detail=answer.detail)
    kind = failure_of(answer)
    if kind is not None:
        return ReadingFailed(
            kind=kind,
            detail=words_of(answer, secrets),
            http_status=answer.status,
            retry_after=answer.retry_after,
        )
    if answer.status == 404:
        return SessionUnknown(detail=words_of(answer, secrets))
    return None


def require_success(
    answer: Answer | CallFailed, secrets: Iterable[str], *, forbidden_is_auth: bool = True
) -> Answer:
    """The answer, if it is one. Raises the gateway error that tells a person what is wrong.

    `forbidden_is_auth`: whether a 403 speaks of our key; about a group it speaks of our rights.
    """
    if isinstance(answer, CallFailed):
        error = _error(failure_kind(answer), answer.detail, None)
        error.was_written = answer.written
        raise error
    words = words_of(answer, secrets)
    kind = failure_of(answer)
    if answer.status == 403 and not forbidden_is_auth and says_gateway_error(answer.json):
        kind = FailureKind.REFUSED
    if kind is not None:
        raise _not_connected(answer, words) or _error(kind, words, answer.status)
    if answer.status == 404:
        said = error_text(answer.json) or ""
        missing = GatewaySessionUnknown if speaks_of_session(said) else GatewayRefused
        raise missing(words, upstream_status=404)
    document = as_object(answer.json)
    if document is not None and boolean(document.get("success")) is False:
        raise _not_connected(answer, words) or _error(FailureKind.REFUSED, words, answer.status)
    return answer


def _not_connected(answer: Answer, words: str) -> GatewayRefused | None:
    """A refusal whose cause the caller can act upon: `extra["gatewayReason"]`."""
    if not says_not_connected(error_text(answer.json) or ""):
        return None
    return GatewayRefused(words, upstream_status=answer.status, gatewayReason="not_connected")


def _error(kind: FailureKind, detail: str, status: int | None) -> UpstreamError:
    match kind:
        case FailureKind.UNREACHABLE:
            return GatewayUnreachable(detail, upstream_status=status)
        case FailureKind.AUTH:
            return GatewayAuthFailed(detail, upstream_status=status)
        case FailureKind.ROUTE_MISSING:
            return GatewayRouteMissing(
                detail, upstream_status=status, hint="Check the address of the gateway."
            )
        case FailureKind.SERVER_ERROR:
            return UpstreamError(detail, upstream_status=status)
        case FailureKind.REFUSED:
            return GatewayRefused(detail, upstream_status=status)
        case FailureKind.MALFORMED:
            return GatewayMalformed(detail, upstream_status=status)
        case _:
            assert_never(kind)
