"""What fails while somebody only looks says nothing of saving."""

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.requests import Request
from starlette.responses import Response

from groupline.errors import GrouplineError
from groupline.http.problem import install_problem_handlers

FAILURES = {
    "crash": RuntimeError("x"),
    "database": OperationalError("SELECT 1", {}, Exception("gone away")),
}


def no_page(request: Request, error: GrouplineError) -> Response:
    raise AssertionError(request.url.path, error)


async def detail(method: str, failure: str) -> str:
    app = FastAPI()
    install_problem_handlers(app, no_page)

    @app.api_route("/api/fails", methods=["GET", "POST"])
    async def fails() -> None:
        raise FAILURES[failure]

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.request(method, "/api/fails")
    assert answer.status_code == 500
    said: str = answer.json()["detail"]
    return said


@pytest.mark.parametrize(
    ("failure", "looking", "changing"),
    [
        (
            "crash",
            "Groupline failed unexpectedly.",
            "Groupline failed unexpectedly. Nothing of this request was saved.",
        ),
        (
            "database",
            "The database could not answer.",
            "The database could not save this; nothing was changed.",
        ),
    ],
)
async def test_only_what_would_have_changed_something_speaks_of_saving(
    failure: str, looking: str, changing: str
) -> None:
    assert await detail("GET", failure) == looking
    assert await detail("POST", failure) == changing
