"""Every error leaves as ``application/problem+json``, or as a page where a person asked for one."""

from collections.abc import Callable
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from groupline.errors import (
    DatabaseFailed,
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

_NOT_SAVED: Final = "The database could not save this; nothing was changed."
_NOT_ANSWERED: Final = "The database could not answer."
PROBLEM_JSON = "application/problem+json"
PageRenderer = Callable[[Request, GrouplineError], Response]


def install_problem_handlers(app: FastAPI, render_page: PageRenderer) -> None:
    """One handler per kind of failure; each turns it into the error tree and answers once."""

    def answer(request: Request, error: GrouplineError) -> Response:
        if wants_page(request):
            return render_page(request, error)
        return problem_response(error)

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, GrouplineError)
        return answer(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, from_validation(error.errors(), changes=_changes(request)))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(request, _from_http(error))

    async def database(request: Request, error: Exception) -> Response:
        assert isinstance(error, SQLAlchemyError)
        logger.error("db.failed", path=path_for_logs(request.url.path), exc_info=error)
        return answer(request, from_database(error, changes=_changes(request)))

    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("request.crashed", path=path_for_logs(request.url.path), exc_info=error)
        kept = " Nothing of this request was saved." if _changes(request) else ""
        return answer(
            request,
            GrouplineError(
                f"Groupline failed unexpectedly.{kept}",
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
    headers = {}
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        error.problem(), status_code=error.status, headers=headers, media_type=PROBLEM_JSON
    )


def _changes(request: Request) -> bool:
    """Who only wanted to look need not hear what became of it."""
    return request.method not in ("GET", "HEAD", "OPTIONS")


def from_database(error: SQLAlchemyError, *, changes: bool = True) -> DatabaseFailed:
    """What the database said, without the statement and its values."""
    said = _NOT_SAVED if changes else _NOT_ANSWERED
    if not isinstance(error, DBAPIError) or error.orig is None:
        return DatabaseFailed(said)
    code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
    return DatabaseFailed(
        said,
        upstreamCode=code or type(error.orig).__name__,
        details=str(error.orig).splitlines()[0][:300] if str(error.orig) else "",
    )


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
