"""Syncs run by themselves: after a phone was connected, daily, and later after a failure."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from tests.contract.scripted import Peer, ScriptedGateway, answer
from tests.integration.groups.conftest import Phone, connect_phone, many
from tests.support.clock import NOW, ManualClock

from groupline.groups.schedule import GroupSyncLoop
from groupline.groups.sync import GroupSync
from groupline.models import WhatsappNumber, WhatsappSession
from groupline.runtime import Runtime


@pytest.fixture
def loop(runtime: Runtime, sync: GroupSync) -> GroupSyncLoop:
    return GroupSyncLoop(runtime.database, sync, runtime.clock)


async def turn(loop: GroupSyncLoop) -> None:
    """One number of each gateway that has one."""
    await loop.run_once()
    await loop.drain()


async def ask_for_sync(phone: Phone, at: datetime = NOW) -> None:
    async with phone.runtime.database.writing() as session:
        await session.execute(
            update(WhatsappNumber)
            .where(WhatsappNumber.id == phone.number_id)
            .values(groups_sync_due_at=at)
        )


async def number_of(phone: Phone) -> WhatsappNumber:
    async with phone.runtime.database.reading() as session:
        return await session.get_one(WhatsappNumber, phone.number_id)


async def test_a_number_that_asked_is_synced_and_planned_for_the_next_day(
    phone: Phone, loop: GroupSyncLoop
) -> None:
    phone.lists(many(27))
    await ask_for_sync(phone)

    await turn(loop)

    number = await number_of(phone)
    assert len(await phone.saved()) == 27
    assert number.synced_at == NOW
    assert number.groups_sync_due_at is not None
    assert timedelta(hours=22) <= number.groups_sync_due_at - NOW <= timedelta(hours=26)
    asked = len(phone.gateway.received)
    await turn(loop)
    assert len(phone.gateway.received) == asked


async def test_the_loop_knows_when_the_next_one_is_due(phone: Phone, loop: GroupSyncLoop) -> None:
    assert await loop.next_due() is None
    await ask_for_sync(phone, NOW + timedelta(minutes=5))

    assert await loop.next_due() == 300
    await turn(loop)
    assert phone.gateway.received == []


async def test_a_failure_is_stored_and_tried_again_later_and_later(
    phone: Phone, loop: GroupSyncLoop, clock: ManualClock
) -> None:
    phone.gateway.says(answer(500, {"error": "down"}))
    await ask_for_sync(phone)

    waits = []
    for _ in range(3):
        await turn(loop)
        number = await number_of(phone)
        assert number.groups_sync_due_at is not None
        waits.append(number.groups_sync_due_at - clock.now())
        clock.advance(waits[-1].total_seconds())

    assert waits == [timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=20)]
    number = await number_of(phone)
    assert number.last_sync is not None
    assert number.last_sync["success"] is False
    assert "down" in number.last_sync["error"]


async def test_a_number_that_is_not_connected_waits_until_it_is(
    phone: Phone, loop: GroupSyncLoop
) -> None:
    await ask_for_sync(phone)
    async with phone.runtime.database.writing() as session:
        await session.execute(
            update(WhatsappSession)
            .where(WhatsappSession.id == phone.session_id)
            .values(status="disconnected", disconnected_at=NOW, ended_reason="logged_out")
        )

    await turn(loop)
    assert phone.gateway.received == []


async def test_a_gateway_is_asked_for_one_number_at_a_time(
    phone: Phone,
    loop: GroupSyncLoop,
    runtime: Runtime,
    sync: GroupSync,
    gateway: ScriptedGateway,
) -> None:
    other = await connect_phone(runtime, sync, gateway, phone.organization_id)
    async with runtime.database.writing() as session:
        first = await session.get_one(WhatsappSession, phone.session_id)
        await session.execute(
            update(WhatsappSession)
            .where(WhatsappSession.id == other.session_id)
            .values(gateway_id=first.gateway_id)
        )
    phone.lists(many(3))
    await ask_for_sync(phone)
    await ask_for_sync(other, NOW - timedelta(minutes=1))

    await turn(loop)
    assert (len(await phone.saved()), len(await other.saved())) == (0, 3)

    await turn(loop)
    assert len(await phone.saved()) == 3


async def test_a_silent_gateway_keeps_no_other_one_waiting(
    phone: Phone, loop: GroupSyncLoop, runtime: Runtime, sync: GroupSync
) -> None:
    async with ScriptedGateway() as silent:
        stuck = await connect_phone(runtime, sync, silent, phone.organization_id)
        answered = asyncio.Event()

        async def holding(peer: Peer) -> bool:
            await answered.wait()
            return await answer(200, {"groups": many(2)})(peer)

        silent.says(holding)
        phone.lists(many(3))
        await ask_for_sync(stuck, NOW - timedelta(minutes=1))
        await loop.run_once()
        await ask_for_sync(phone)
        loop.wake.clear()

        await loop.run_once()
        await loop.wake.wait()

        assert (len(await phone.saved()), len(await stuck.saved())) == (3, 0)
        answered.set()
        await loop.drain()
        assert len(await stuck.saved()) == 2
