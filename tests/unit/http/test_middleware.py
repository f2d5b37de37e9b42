"""Around every request."""

import httpx
from fastapi import FastAPI

from groupline.db.punctual import ANSWER_SECONDS, PROMPT_SECONDS, current_patience
from groupline.http.middleware import EdgeMiddleware


async def test_somebody_who_waits_is_told_sooner_that_the_database_is_silent() -> None:
    app = FastAPI()
    app.add_middleware(EdgeMiddleware)

    @app.get("/patience")
    async def patience() -> float:
        return current_patience()

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        assert (await client.get("/patience")).json() == PROMPT_SECONDS
    assert current_patience() == ANSWER_SECONDS > PROMPT_SECONDS
