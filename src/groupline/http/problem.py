"""Every error leaves as ``application/problem+json``, or as a page where a person asked for one."""

from collections.abc import Callable
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from groupline.db.failures import OutcomeUnknown, explained, is_unreachable, reason
from groupline.db.ledger import Ledger
from groupline.errors import (
    DatabaseFailed,
    DatabaseOutcomeUnknown,
    DatabaseUnreachable,
    Forbidden,
    GrouplineError,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Unauthenticated,
)
from groupline.http.context import path_for_logs
from groupline.http.invalid import from_validation

logger = structlog.get_logger()

_SAME_KEY: Final = "Repeat it with the same Idempotency-Key: what is saved is not done again."
PROBLEM_JSON = "application/problem+json"
PageRenderer = Callable[[Request, GrouplineError], Response]


def install_problem_handlers(app: FastAPI, render_page: PageRenderer) -> None:
    """One handler per kind of failure; each turns it into the error tree and answers once."""

    def answer(request: Request, error: GrouplineError) -> Response:
        if not wants_page(request):
            return problem_response(error)
        response = render_page(request, error)
        response.headers.update(_headers(error))
        return response

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, GrouplineError)
        return answer(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = from_validation(
            error.errors(), changes=_changes(request), for_people=wants_page(request)
        )
        return answer(request, found)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(request, _from_http(error))

    async def database(request: Request, error: Exception) -> Response:
        assert isinstance(error, SQLAlchemyError)
        path = path_for_logs(request.url.path)
        # Where in our code it was says nothing of a database that is away, and it is said often.
        if isinstance(error, OutcomeUnknown):
            logger.error("db.outcome_unknown", path=path, reason=reason(error)[1])
        elif is_unreachable(error):
            logger.warning("db.unreachable", path=path, reason=reason(error)[1])
        else:
            logger.error("db.failed", path=path, exc_info=error)
        return answer(request, _from_database(request, error))

    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("request.crashed", path=path_for_logs(request.url.path), exc_info=error)
        return answer(
            request,
            GrouplineError(
                f"Groupline failed unexpectedly.{_what_is_saved(request)}",
                hint="The server's log has the details under this time and path.",
            ),
        )

    app.add_exception_handler(GrouplineError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(SQLAlchemyError, database)
    app.add_exception_handler(Exception, unexpected)


def wants_page(request: Request) -> bool:
    if request.url.path.startswith(("/api/", "/hooks/")):
        return False
    return "text/html" in request.headers.get("accept", "")


def problem_response(error: GrouplineError) -> Response:
    return JSONResponse(
        error.problem(),
        status_code=error.status,
        headers=_headers(error),
        media_type=PROBLEM_JSON,
    )


def _headers(error: GrouplineError) -> dict[str, str]:
    headers = {}
    if isinstance(error, RateLimited | DatabaseUnreachable):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def _changes(request: Request) -> bool:
    """Who only wanted to look need not hear what became of it."""
    return request.method not in ("GET", "HEAD", "OPTIONS")


def _what_is_saved(request: Request) -> str:
    if not _changes(request):
        return ""
    if _saved_something(request):
        return " Something of this request may be saved: look before you repeat it."
    return " Nothing of this request was saved."


def _saved_something(request: Request) -> bool:
    ledger: Ledger | None = getattr(request.state, "ledger", None)
    return ledger is None or ledger.committed > 0


def _from_database(request: Request, error: SQLAlchemyError) -> DatabaseFailed:
    failed = explained(error, changes=_changes(request), partly=_saved_something(request))
    if isinstance(failed, DatabaseOutcomeUnknown) and "idempotency-key" in request.headers:
        failed.hint = _SAME_KEY
    return failed


def _from_http(error: HTTPException) -> GrouplineError:
    detail = str(error.detail)
    by_status: dict[int, GrouplineError] = {
        400: MalformedRequest(detail),
        401: Unauthenticated(detail),
        403: Forbidden(detail),
        404: NotFound("There is nothing at this address."),
        405: MethodNotAllowed("This address exists, but does not take that method."),
        413: PayloadTooLarge("The request is larger than Groupline accepts."),
        422: InvalidInput(detail),
    }
    return by_status.get(error.status_code, GrouplineError(detail))
