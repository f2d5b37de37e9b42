"""The same request twice has one effect and one answer."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.app import RunningApp, principal_of
from tests.support.cast import Cast
from tests.support.clock import ManualClock

from groupline.db import Database
from groupline.errors import GatewayUnreachable, IdempotencyConflict
from groupline.http.idempotency import Idempotency, IdempotencyInProgress
from groupline.models import IdempotencyKey
from groupline.orgs.rules import Principal
from groupline.runtime import Runtime

KEYS = "/api/v1/api-keys"
BODY = {"name": "Reporting", "scopes": ["read"]}


async def create(
    client: httpx.AsyncClient, key: str | None, body: dict[str, Any] | None = None
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post(KEYS, json=body or BODY, headers=headers)


async def names(client: httpx.AsyncClient) -> list[str]:
    items = (await client.get(KEYS)).json()["items"]
    return [each["name"] for each in items if not each["name"].startswith("of the")]


async def test_the_same_key_and_body_answer_the_same_once_done(
    running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.owner) as program:
        first, second = await create(program, "a"), await create(program, "a")
        assert await names(program) == ["Reporting"]
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert "idempotent-replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


async def test_without_a_key_or_with_another_it_is_done_again(
    running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.owner) as program:
        for key in (None, None, "a", "b"):
            assert (await create(program, key)).status_code == 201
        assert len(await names(program)) == 4


async def test_the_same_key_with_another_request_is_refused(
    running: RunningApp, cast: Cast
) -> None:
    async with await running.client_of(cast.owner) as program:
        await create(program, "a")
        other = await create(program, "a", BODY | {"name": "Other"})
        elsewhere = await program.post(
            "/api/v1/members",
            json={"email": "a@b.test", "role": "viewer"},
            headers={"Idempotency-Key": "a"},
        )
        assert await names(program) == ["Reporting"]
    for answer in (other, elsewhere):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")


async def test_many_at_once_have_one_effect_and_one_answer(running: RunningApp, cast: Cast) -> None:
    async with await running.client_of(cast.owner) as program:
        answers = await asyncio.gather(*(create(program, "a") for _ in range(5)))
        assert await names(program) == ["Reporting"]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1


async def test_a_request_that_was_refused_may_come_again(running: RunningApp, cast: Cast) -> None:
    async with await running.client_of(cast.owner) as program:
        assert (await create(program, "a", BODY | {"name": ""})).status_code == 422
        assert (await create(program, "a")).status_code == 201


async def test_keys_of_two_organizations_do_not_meet(running: RunningApp, cast: Cast) -> None:
    async with (
        await running.client_of(cast.owner) as inside,
        await running.client_of(cast.outsider) as outside,
    ):
        first, second = await create(inside, "a"), await create(outside, "a")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_what_is_shown_once_is_not_readable_in_the_stored_answer(
    running: RunningApp, cast: Cast, database: Database
) -> None:
    async with await running.client_of(cast.owner) as program:
        secret = (await create(program, "a")).json()["key"]
    async with database.reading() as session:
        stored = await session.scalar(select(IdempotencyKey.response_body))
    assert stored
    assert secret not in stored


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_1_to_255_characters(running: RunningApp, cast: Cast, key: str) -> None:
    async with await running.client_of(cast.owner) as program:
        assert (await create(program, key)).status_code == 422
        assert (await create(program, "x" * 255)).status_code == 201


# Around effects that open their own transactions


class Done(BaseModel):
    times: int


class Effect:
    """Counts how often it happened; can wait, and can fail."""

    def __init__(self) -> None:
        self.times = 0
        self.go_on = asyncio.Event()
        self.began = asyncio.Event()
        self.error: Exception | None = None
        self.go_on.set()

    async def __call__(self) -> Done:
        self.began.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        self.times += 1
        return Done(times=self.times)


@pytest.fixture
def principal(cast: Cast) -> Principal:
    return principal_of(cast.owner)


@pytest.fixture
def once(runtime: Runtime) -> Idempotency:
    return Idempotency(runtime, "a", "hash")


async def test_around_an_effect_the_answer_is_kept(once: Idempotency, principal: Principal) -> None:
    effect = Effect()
    answers = [await once.around(principal, effect, status=201) for _ in range(2)]
    assert [(each.status_code, each.body) for each in answers] == [(201, b'{"times":1}')] * 2
    assert effect.times == 1


async def test_meanwhile_a_second_request_is_told_to_come_again(
    once: Idempotency, principal: Principal
) -> None:
    effect = Effect()
    effect.go_on.clear()
    first = asyncio.create_task(once.around(principal, effect))
    await effect.began.wait()
    with pytest.raises(IdempotencyInProgress) as told:
        await once.around(principal, effect)
    assert told.value.extra["retryAfter"] > 0
    effect.go_on.set()
    await first
    assert effect.times == 1


async def test_an_effect_that_is_refused_gives_the_key_back(
    once: Idempotency, principal: Principal
) -> None:
    effect = Effect()
    effect.error = GatewayUnreachable("The gateway does not answer.")
    with pytest.raises(GatewayUnreachable):
        await once.around(principal, effect)
    effect.error = None
    assert (await once.around(principal, effect)).status_code == 200


async def test_after_a_crash_the_key_stays_taken_for_a_while(
    once: Idempotency, principal: Principal, clock: ManualClock
) -> None:
    effect = Effect()
    effect.error = RuntimeError("crashed")
    with pytest.raises(RuntimeError):
        await once.around(principal, effect)
    effect.error = None
    with pytest.raises(IdempotencyInProgress):
        await once.around(principal, effect)
    clock.advance(timedelta(minutes=5, seconds=1).total_seconds())
    assert (await once.around(principal, effect)).status_code == 200


async def test_in_a_transaction_an_effect_that_crashes_leaves_nothing(
    once: Idempotency, principal: Principal, runtime: Runtime
) -> None:
    async def crash(_session: AsyncSession) -> Done:
        raise RuntimeError("crashed")

    async def work(_session: AsyncSession) -> Done:
        return Done(times=1)

    with pytest.raises(RuntimeError):
        await once.in_transaction(principal, crash)
    assert (await once.in_transaction(principal, work)).status_code == 200
    with pytest.raises(IdempotencyConflict):
        await Idempotency(runtime, "a", "another hash").in_transaction(principal, work)
