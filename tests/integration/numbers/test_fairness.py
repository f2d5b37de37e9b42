"""A gateway that is slow delays nobody else's sessions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from uuid import UUID

import pytest
from tests.integration.numbers.conftest import OWNER, PHONE, Desk, open_desk
from tests.support.cast import Cast
from tests.support.clock import ManualClock
from tests.support.scripted_gateway import contract_gateway

from groupline.db import Database
from groupline.gateways.drivers.base import HttpPool, Limits
from groupline.models import WhatsappSession
from groupline.numbers import service, sweep, verify
from groupline.numbers.history import delete_session
from groupline.numbers.sweep import Sweeper
from groupline.numbers.verify import Verifier


@dataclass
class Two:
    """Two gateways of one organization; both answer within any time that a test may take."""

    slow: Desk
    quick: Desk


@pytest.fixture
async def two(
    database: Database, cast: Cast, clock: ManualClock, pool: HttpPool
) -> AsyncIterator[Two]:
    async with contract_gateway() as slow, contract_gateway() as quick:
        yield Two(
            await open_desk(database, cast, clock, slow, pool, name="Slow"),
            await open_desk(database, cast, clock, quick, pool, name="Quick"),
        )
        slow.answers.set()


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(90):
        while not await is_so():  # noqa: ASYNC110 - a database has no event to wait for
            await asyncio.sleep(0.005)


async def test_a_slow_gateway_is_not_waited_for_by_the_sessions_of_another(two: Two) -> None:
    slow, quick, clock = two.slow, two.quick, two.slow.clock
    slow_row, quick_row = await slow.paired(), await quick.paired("14155550136")
    verifier = Verifier(slow.context)
    slow.gateway.answers.clear()
    before, asked = slow_row.verified_at, slow.gateway.count("status")

    async def is_asked() -> bool:
        return slow.gateway.count("status") > asked

    for _ in range(3):  # turn after turn, while the first answer of the slow one is out
        clock.advance(61)
        await verifier.run_once()

        async def is_verified() -> bool:
            return (await quick.session(quick_row.id)).verified_at == clock.now()

        await until(is_verified)
    await until(is_asked)
    assert (await slow.session(slow_row.id)).verified_at == before
    assert slow.gateway.count("status") == asked + 1
    slow.gateway.answers.set()
    await verifier.drain()
    assert (await slow.session(slow_row.id)).verified_at != before


async def test_a_busy_gateway_is_not_waited_for_and_does_not_make_the_loop_spin(two: Two) -> None:
    slow = two.slow
    row = await slow.paired()
    verifier = Verifier(slow.context)
    slow.gateway.answers.clear()
    slow.clock.advance(61)
    await verifier.run_once()
    slow.clock.advance(61)
    assert await verifier.next_due() is None, "its lane is busy; that it ends wakes the loop"
    verifier.wake.clear()
    slow.gateway.answers.set()
    await verifier.drain()
    assert verifier.wake.is_set()
    assert await verifier.next_due() is not None
    assert (await slow.session(row.id)).status == "connected"


async def test_a_slow_logout_delays_neither_another_gateway_nor_the_end_of_pairings(
    two: Two,
) -> None:
    slow, quick = two.slow, two.quick
    slow_row, quick_row = await slow.paired(), await quick.paired("14155550136")
    abandoned = await slow.connect()
    slow.gateway.failing = quick.gateway.failing = "500"
    for row in (slow_row, quick_row):
        await service.disconnect(slow.context, slow.organization_id, row.id, actor=OWNER)
    slow.gateway.failing = quick.gateway.failing = None
    slow.gateway.answers.clear()
    sweeper = Sweeper(slow.context)
    slow.clock.advance(601)
    await sweeper.run_once()

    async def is_logged_out() -> bool:
        return (await quick.session(quick_row.id)).logout_confirmed_at is not None

    await until(is_logged_out)
    assert (await slow.session(slow_row.id)).logout_confirmed_at is None
    assert (await slow.session(abandoned.id)).ended_reason == "expired"
    slow.gateway.answers.set()
    await sweeper.drain()
    assert (await slow.session(slow_row.id)).logout_confirmed_at is not None


async def test_more_sessions_than_a_batch_are_all_asked_about_once(two: Two) -> None:
    desk = two.quick
    rows = [await desk.connect() for _ in range(verify.BATCH + 3)]
    for index, row in enumerate(rows):
        desk.gateway.connects(row.gateway_session_id, f"9198765{index:05}")
    verifier = Verifier(desk.context)
    await verifier.run_once()

    async def are_connected() -> bool:
        return {row.status for row in await desk.sessions()} == {"connected"}

    await until(are_connected)
    await verifier.drain()
    assert desk.gateway.count("status") == len(rows)


async def test_one_that_is_deleted_while_it_is_asked_about_holds_up_no_other(two: Two) -> None:
    desk = two.slow
    gone, stays = await desk.connect(), await desk.paired("14155550136")
    await service.cancel(desk.context, desk.organization_id, gone.id, actor=OWNER)
    await _ask_again(desk, gone.id)
    verifier = Verifier(desk.context)
    desk.gateway.answers.clear()
    await verifier.run_once()

    async def is_asked() -> bool:
        return desk.gateway.calls[-1] == ("status", gone.gateway_session_id)

    await until(is_asked)
    await delete_session(desk.context, desk.organization_id, gone.id, actor=OWNER)
    desk.gateway.answers.set()
    await verifier.drain()
    assert (await desk.session(stays.id)).verified_at == desk.clock.now()


async def test_a_defect_with_one_session_holds_up_no_other(two: Two) -> None:
    desk = two.slow
    rows = [await desk.paired(phone) for phone in (PHONE, "14155550136", "14155550137")]
    await _ask_again(desk, *(row.id for row in rows))
    rolls = iter([1 / 2])  # the source of jitter runs dry: for the others it raises an error
    verifier = Verifier(replace(desk.context, roll=lambda: next(rolls)))
    await verifier.run_once()
    await verifier.drain()
    proofs = [(await desk.session(row.id)).verified_at for row in rows]
    assert proofs.count(desk.clock.now()) == 1
    await desk.period()
    proofs = [(await desk.session(row.id)).verified_at for row in rows]
    assert proofs.count(desk.clock.now()) == 3


async def _ask_again(desk: Desk, *session_ids: UUID) -> None:
    """All of them now, in this order."""
    desk.clock.advance(60)
    async with desk.database.writing() as session:
        for index, session_id in enumerate(session_ids):
            row = await session.get_one(WhatsappSession, session_id)
            row.next_verify_at = desk.clock.now() - timedelta(seconds=30 - index)


def test_no_batch_outlives_its_lease() -> None:
    limits, margin = Limits(), timedelta(seconds=5)
    rounds = 1 + ceil((verify.BATCH - 1) / verify.ASKED_AT_ONCE)
    probe = limits.probe.seconds + limits.status.seconds  # when the first brings no reading
    asked = timedelta(seconds=rounds * limits.status.seconds + probe)
    assert asked + margin <= verify.LEASE
    assert timedelta(seconds=limits.disconnect.seconds) + margin <= sweep.LEASE
