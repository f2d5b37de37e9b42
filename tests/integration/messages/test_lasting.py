"""A request that lasts is told of: pages show that its message is being sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.integration.messages.holding import HELD
from tests.integration.messages.outbox import Outbox

from groupline.clock import SystemClock
from groupline.db import RESYNC, Announcement, Database, PostgresListener, Subscription
from groupline.messages.claim import Claim, claim
from groupline.messages.lasting import Lasting

SENTINEL = Announcement("gateways", None, None)


@asynccontextmanager
async def hearing(database: Database) -> AsyncIterator[Subscription]:
    async with database.announcements.subscribe() as heard:
        if database.dialect == "sqlite":
            yield heard
            return
        listening = asyncio.create_task(PostgresListener(database, SystemClock()).run())
        try:
            assert await anext(heard) == RESYNC
            yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def test_a_request_that_lasts_is_announced_while_it_runs(outbox: Outbox) -> None:
    message_id = await outbox.write(await outbox.add_sender(groups=1))
    await outbox.gateway.fault("delay", route="send", times=1, seconds=HELD)
    worker = outbox.new_worker(told_after=timedelta(seconds=0.01))

    async with hearing(outbox.database) as heard, asyncio.timeout(60):
        await worker.run_once()
        told = await anext(heard)

    assert told == Announcement("messages", outbox.organization_id, message_id)
    assert await outbox.statuses([message_id]) == ["sending"]
    await outbox.gateway_clock.holds()
    outbox.gateway_clock.let_go()
    await worker.drain()
    assert await outbox.statuses([message_id]) == ["sent"]


async def test_what_has_ended_or_is_of_another_turn_is_not_told_of(outbox: Outbox) -> None:
    for _ in range(3):
        await outbox.write(await outbox.add_sender(groups=1))

    async def turn(limit: int) -> list[Claim]:
        now, lease = outbox.clock.now(), timedelta(seconds=60)
        return await claim(outbox.database, worker="w", now=now, lease=lease, limit=limit, roll=0.0)

    (slow, _ended), (of_another_turn,) = await turn(2), await turn(1)
    lasting = Lasting(outbox.database, lambda: [slow, of_another_turn], after=3600)

    async with hearing(outbox.database) as heard, asyncio.timeout(60):
        await lasting.tell(slow.token)
        await outbox.database.carry_out((), [SENTINEL])
        told = [await anext(heard), await anext(heard)]

    assert told == [Announcement("messages", outbox.organization_id, slow.id), SENTINEL]
