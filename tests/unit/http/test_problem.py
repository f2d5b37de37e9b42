"""What a failure says of saving: nothing to who only looks, and never what is not certain."""

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import Response
from structlog.testing import capture_logs

from groupline.db.failures import OutcomeUnknown
from groupline.db.ledger import note_committed
from groupline.errors import GrouplineError
from groupline.http.middleware import EdgeMiddleware
from groupline.http.problem import install_problem_handlers

FAILURES = {
    "crash": RuntimeError("x"),
    "refused": OperationalError("SELECT 1", {}, Exception("disk is full")),
    "lost": OperationalError("SELECT 1", {}, psycopg.OperationalError("connection refused")),
    "unknown": OutcomeUnknown("broken"),
}


def no_page(request: Request, error: GrouplineError) -> Response:
    raise AssertionError(request.url.path, error)


async def answer(
    method: str, failure: str, *, saved_before: bool = False, key: str | None = None
) -> httpx.Response:
    app = FastAPI()
    install_problem_handlers(app, no_page)
    app.add_middleware(EdgeMiddleware)

    @app.api_route("/api/fails", methods=["GET", "POST"])
    async def fails() -> None:
        if saved_before:
            note_committed()
        raise FAILURES[failure]

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        headers = {"Idempotency-Key": key} if key else {}
        return await client.request(method, "/api/fails", headers=headers)


@pytest.mark.parametrize(
    ("failure", "looking", "changing"),
    [
        (
            "crash",
            "Groupline failed unexpectedly.",
            "Groupline failed unexpectedly. Nothing of this request was saved.",
        ),
        (
            "refused",
            "The database could not answer.",
            "The database could not save this; nothing was changed.",
        ),
        (
            "lost",
            "The database cannot be reached right now.",
            "The database cannot be reached right now. Nothing was changed.",
        ),
    ],
)
async def test_only_what_would_have_changed_something_speaks_of_saving(
    failure: str, looking: str, changing: str
) -> None:
    assert (await answer("GET", failure)).json()["detail"] == looking
    assert (await answer("POST", failure)).json()["detail"] == changing


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_may_be_saved_is_never_called_unchanged(failure: str) -> None:
    failed = await answer("POST", failure, saved_before=failure != "unknown")
    said = failed.text
    assert failed.status_code == 500
    assert "nothing was" not in said.lower()
    assert "nothing of this" not in said.lower()
    assert "before you repeat it" in said
    assert "retry-after" not in failed.headers


async def test_a_request_whose_outcome_is_unknown_says_how_to_repeat_it_safely() -> None:
    without = await answer("POST", "unknown")
    with_key = await answer("POST", "unknown", key="k")
    assert without.json()["code"] == "db_outcome_unknown"
    assert without.json()["hint"] == "Look what is there before you repeat it."
    assert with_key.json()["hint"].startswith("Repeat it with the same Idempotency-Key")


async def test_a_database_that_is_away_says_when_to_come_again() -> None:
    failed = await answer("GET", "lost")
    assert (failed.status_code, failed.json()["code"]) == (503, "db_unreachable")
    assert int(failed.headers["retry-after"]) == failed.json()["retryAfter"] > 0


@pytest.mark.parametrize("failure", ["lost", "unknown"])
async def test_of_a_database_that_is_away_the_log_gets_one_line_without_a_traceback(
    failure: str,
) -> None:
    with capture_logs() as logged:
        await answer("POST", failure)
    (line,) = (each for each in logged if each["log_level"] != "debug")
    assert line["path"] == "/api/fails"
    assert "exc_info" not in line


@pytest.mark.parametrize("failure", ["refused", "crash"])
async def test_what_is_wrong_with_us_is_logged_with_its_traceback(failure: str) -> None:
    with capture_logs() as logged:
        await answer("POST", failure)
    assert any(line.get("exc_info") for line in logged)
