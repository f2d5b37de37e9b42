"""Every error leaves as ``application/problem+json``, or as a page where a person asked for one."""

from collections.abc import Callable, Sequence
from typing import Any

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

logger = structlog.get_logger()

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
        return answer(request, from_validation(error.errors()))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(request, _from_http(error))

    async def database(request: Request, error: Exception) -> Response:
        assert isinstance(error, SQLAlchemyError)
        logger.error("db.failed", path=path_for_logs(request.url.path), exc_info=error)
        return answer(request, from_database(error))

    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("request.crashed", path=path_for_logs(request.url.path), exc_info=error)
        return answer(
            request,
            GrouplineError(
                "Groupline failed unexpectedly. Nothing of this request was saved.",
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


def from_validation(errors: Sequence[Any]) -> GrouplineError:
    """Pydantic's findings, by the name of the field as the caller wrote it."""
    if any(error["type"] == "json_invalid" for error in errors):
        return MalformedRequest("The body is not valid JSON.")
    fields: dict[str, str] = {}
    for error in errors:
        path = [str(part) for part in error["loc"] if part not in ("body", "query", "path")]
        fields.setdefault(".".join(path) or "body", error["msg"].removeprefix("Value error, "))
    named = ", ".join(f"{name}: {reason}" for name, reason in fields.items())
    return InvalidInput(f"Nothing was saved. {named}", fields=fields)


def from_database(error: SQLAlchemyError) -> DatabaseFailed:
    """What the database said, without the statement and its values."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return DatabaseFailed("The database could not save this; nothing was changed.")
    code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
    return DatabaseFailed(
        "The database could not save this; nothing was changed.",
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
