"""What machines that watch this one see."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.app import RunningApp
from tests.support.clock import ManualClock
from tests.support.factories import make_inbound_event

from groupline.db import Database
from groupline.heartbeat import Heartbeat


async def test_the_process_answers_whatever_the_database_does(running: RunningApp) -> None:
    await running.runtime.database.dispose()
    async with running.client() as nobody:
        answer = await nobody.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_without_a_living_worker_it_is_not_ready(
    running: RunningApp, database: Database, clock: ManualClock
) -> None:
    heartbeat = Heartbeat("here")
    async with running.client() as nobody:
        before = await nobody.get("/readyz")
        async with database.writing() as session:
            await heartbeat.beat(session, clock.now())
        alive = await nobody.get("/readyz")
        clock.advance(timedelta(minutes=5).total_seconds())
        silent = await nobody.get("/readyz")
    assert (before.status_code, alive.status_code, silent.status_code) == (503, 200, 503)
    assert silent.json()["checks"]["worker"] == {"ok": False, "alive": 0}


async def test_a_worker_that_ended_is_not_counted(
    running: RunningApp, database: Database, clock: ManualClock
) -> None:
    heartbeat = Heartbeat("here")
    async with database.writing() as session:
        await heartbeat.beat(session, clock.now())
        await heartbeat.beat(session, clock.now())
    async with database.writing() as session:
        await heartbeat.end(session, clock.now())
    async with running.client() as nobody:
        assert (await nobody.get("/readyz")).json()["checks"]["worker"]["alive"] == 0


async def test_every_answer_names_the_build(running: RunningApp) -> None:
    async with running.client() as nobody:
        version = await nobody.get("/version")
        missing = await nobody.get("/api/v1/nothing-here")
    assert version.headers["groupline-build"] == version.json()["build"]
    assert missing.headers["groupline-build"] == version.json()["build"]


@pytest.mark.parametrize(
    "headers", [{"x-forwarded-for": "203.0.113.7"}, {"forwarded": "for=203.0.113.7"}]
)
async def test_metrics_are_not_for_those_behind_a_proxy(
    running: RunningApp, headers: dict[str, str]
) -> None:
    async with running.client() as nobody:
        local = await nobody.get("/metrics")
        proxied = await nobody.get("/metrics", headers=headers)
    assert local.status_code == 200
    assert "groupline_workers 0.0" in local.text
    assert proxied.status_code == 401


async def test_a_webhook_that_was_given_up_is_not_said_to_wait(
    running: RunningApp, database: Database, clock: ManualClock
) -> None:
    async with database.writing() as session:
        await make_inbound_event(session, outcome="unmatched", next_try_at=clock.now())
        await make_inbound_event(session, outcome="unmatched", next_try_at=None)
    async with running.client() as nobody:
        assert "groupline_webhooks_waiting 1.0" in (await nobody.get("/metrics")).text


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/api/v1/nothing-here", "GET", 404, "not_found"),
        ("/healthz", "DELETE", 405, "method_not_allowed"),
        ("/api/v1/gateways", "GET", 401, "unauthenticated"),
        ("/hooks/no-uuid", "POST", 404, "not_found"),
    ],
)
async def test_errors_are_problem_documents(
    running: RunningApp, path: str, method: str, status: int, code: str
) -> None:
    async with running.client() as nobody:
        answer = await nobody.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["code"] == code


async def test_a_body_that_is_too_large_is_refused_named_or_not(running: RunningApp) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1024 * 1024

    async with running.client() as nobody:
        named = await nobody.post("/api/v1/gateways", content=b"x" * 5 * 1024 * 1024)
        chunked = await nobody.post("/hooks/00000000-0000-7000-8000-000000000000", content=chunks())
    assert (named.status_code, chunked.status_code) == (413, 413)
