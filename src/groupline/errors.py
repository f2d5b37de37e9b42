"""The one tree of errors a person may see.

Each class is one cause: an HTTP status, a stable ``code`` for programs and a ``title``. An instance
adds ``detail``, a sentence for the person, an optional ``hint`` on what to do next, and facts
(``extra``) that become members of the ``application/problem+json`` answer.
"""

from typing import Any, ClassVar


class GrouplineError(Exception):
    """Anything that Groupline refuses or fails to do, for a reason it can name."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, hint: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The members of a problem+json document (RFC 9457)."""
        document: dict[str, Any] = {
            "type": f"urn:groupline:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.hint is not None:
            document["hint"] = self.hint
        return document | self.extra


# What the caller did


class InvalidInput(GrouplineError):
    """The request cannot be understood or breaks a rule; nothing was written."""

    status, code, title = 422, "invalid_input", "Please check your input"

    def __init__(
        self, detail: str, *, fields: dict[str, str] | None = None, hint: str | None = None
    ) -> None:
        super().__init__(detail, hint=hint, fields=fields or {})

    @property
    def fields(self) -> dict[str, str]:
        fields: dict[str, str] = self.extra["fields"]
        return fields


class MalformedRequest(GrouplineError):
    status, code, title = 400, "malformed_request", "The request cannot be read"


class UnsupportedBody(GrouplineError):
    status, code, title = 415, "unsupported_body", "The body is of another kind"


class Unauthenticated(GrouplineError):
    status, code, title = 401, "unauthenticated", "Please sign in"


class Forbidden(GrouplineError):
    status, code, title = 403, "forbidden", "You are not allowed to do this"


class CrossOriginRefused(Forbidden):
    code, title = "cross_origin_refused", "This request came from another site"


class NotFound(GrouplineError):
    """Also the answer for what belongs to somebody else: the two cannot be told apart."""

    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(GrouplineError):
    status, code, title = 405, "method_not_allowed", "This address does not take that method"


class Conflict(GrouplineError):
    """The request is well formed but the present state does not allow it."""

    status, code, title = 409, "conflict", "This is not possible right now"


class IdempotencyConflict(Conflict):
    code, title = "idempotency_key_reused", "This Idempotency-Key was used for another request"


class NumberNotConnected(Conflict):
    code, title = "number_not_connected", "The number is not connected"


class PayloadTooLarge(GrouplineError):
    status, code, title = 413, "payload_too_large", "The request is too large"


class RateLimited(GrouplineError):
    status, code, title = 429, "rate_limited", "Too many attempts"

    def __init__(self, detail: str, *, retry_after: int, hint: str | None = None) -> None:
        super().__init__(detail, hint=hint, retryAfter=retry_after)
        self.retry_after = retry_after


# What failed on our side


class DatabaseFailed(GrouplineError):
    """The database refused or was lost; a write and what belongs to it was rolled back whole."""

    status, code, title = 500, "db_failed", "The database failed"

    def __init__(self, detail: str, *, hint: str | None = None, **extra: Any) -> None:
        super().__init__(detail, hint=hint, upstream="db", **extra)


class DatabaseUnreachable(DatabaseFailed):
    """Nobody answers, or not in time. What did not begin has changed nothing."""

    status, code, title = 503, "db_unreachable", "The database cannot be reached"
    retry_after: ClassVar[int] = 5

    def __init__(self, detail: str, *, hint: str | None = None, **extra: Any) -> None:
        super().__init__(detail, hint=hint, retryAfter=self.retry_after, **extra)


class DatabaseOutcomeUnknown(DatabaseFailed):
    """The connection broke during the commit. Not a 503, which programs repeat by themselves."""

    code, title = "db_outcome_unknown", "It is not known whether this was saved"


class NotReady(GrouplineError):
    status, code, title = 503, "not_ready", "Groupline is not ready"


# What a gateway did


class UpstreamError(GrouplineError):
    """A gateway failed us: our status is 502, never the gateway's own."""

    status, code, title = 502, "gateway_failed", "The gateway failed"
    was_written = True
    """False: proof that the request never left, so that nothing came of it."""

    def __init__(
        self,
        detail: str,
        *,
        upstream_status: int | None = None,
        hint: str | None = None,
        **extra: Any,
    ) -> None:
        if upstream_status is not None:
            extra["upstreamStatus"] = upstream_status
        super().__init__(detail, hint=hint, upstream="gateway", **extra)
        self.upstream_status = upstream_status


class GatewayUnreachable(UpstreamError):
    code, title = "gateway_unreachable", "The gateway cannot be reached"


class GatewayAuthFailed(UpstreamError):
    code, title = "gateway_auth", "The gateway refuses our key"


class GatewayRouteMissing(UpstreamError):
    code, title = "gateway_route_missing", "The gateway does not know this call"


class GatewaySessionUnknown(UpstreamError):
    code, title = "gateway_session_unknown", "The gateway does not know this session"


class GatewayRefused(UpstreamError):
    code, title = "gateway_refused", "The gateway refused"


class GatewayMalformed(UpstreamError):
    code, title = "gateway_malformed", "The gateway's answer cannot be understood"
