"""Too late to be useful: final, with what the message waited for."""

from datetime import timedelta
from uuid import UUID

from tests.integration.messages.holding import HELD
from tests.integration.messages.outbox import Outbox

from groupline.gateways.drivers.base import HttpPool, Limits
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways
from groupline.messages.expire import Expirer


async def test_a_late_message_expires_and_says_what_it_waited_for(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    now = outbox.clock.now()
    late = await outbox.write(sender, expires_at=now + timedelta(minutes=30))
    other = await outbox.write(sender, 1)
    await outbox.disconnect(sender)
    expirer = Expirer(outbox.database, outbox.clock)

    await expirer.run_once()
    assert await outbox.statuses([late]) == ["pending"]
    outbox.clock.advance(30 * 60)
    await expirer.run_once()

    message = await outbox.message(late)
    assert (message.status, message.error_code) == ("expired", "expired")
    assert message.error_message == (
        "The message did not leave before its time was over. The number was not connected."
    )
    assert await outbox.statuses([other]) == ["pending"]
    assert await outbox.actions(late) == ["message.expired"]


async def test_what_is_under_way_does_not_expire(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    now = outbox.clock.now()
    ids = [
        await outbox.write(sender, status=status, expires_at=now)
        for status in ("sending", "accepted", "uncertain", "sent")
    ]
    outbox.clock.advance(60)

    await Expirer(outbox.database, outbox.clock).run_once()

    assert await outbox.statuses(ids) == ["sending", "accepted", "uncertain", "sent"]


async def ends_unsent(outbox: Outbox, message_id: UUID) -> None:
    """It was given back at once, is not claimed again, and says that its time was over."""
    message = await outbox.message(message_id)
    assert (message.status, message.attempts) == ("pending", 0)
    outbox.clock.advance(outbox.policy.wait_withheld.total_seconds())
    await outbox.work()
    await Expirer(outbox.database, outbox.clock).run_once()

    message = await outbox.message(message_id)
    assert (message.status, message.error_code, message.attempts) == ("expired", "expired", 0)
    assert message.error_message == "The message did not leave before its time was over."
    assert await outbox.actions(message_id) == ["message.waiting", "message.expired"]


async def test_what_is_claimed_in_time_and_then_held_up_does_not_leave_late(
    outbox: Outbox,
) -> None:
    """As in a worker that stands still between its claim and the requests."""
    sender, other = await outbox.add_sender(), await outbox.add_sender()
    end = outbox.clock.now() + timedelta(seconds=2)
    late = await outbox.write(sender, expires_at=end)
    in_time = await outbox.write(other, expires_at=end + timedelta(microseconds=1))
    unlimited = await outbox.write(await outbox.add_sender(), expires_at=None)

    await outbox.dispatcher.run_once()
    assert outbox.dispatcher.in_flight == 3  # and none of them has had its first turn
    outbox.clock.advance(2)
    await outbox.work()

    assert await outbox.statuses([in_time, unlimited]) == ["sent", "sent"]
    await ends_unsent(outbox, late)
    assert await outbox.copies(sender.jids[0]) == 0


async def test_what_waits_too_long_for_a_connection_does_not_leave_late(outbox: Outbox) -> None:
    first, second = await outbox.add_sender(), await outbox.add_sender()
    await outbox.gateway.fault("delay", route="send", times=1, seconds=HELD)
    async with HttpPool(per_gateway=1) as pool:
        registry = DriverRegistry(pool, Limits(connect_seconds=30))
        outbox.gateways = Gateways(registry, outbox.vault)
        worker = outbox.new_worker()
        under_way = await outbox.write(first, priority=0)
        end = outbox.clock.now() + timedelta(seconds=2)
        late = await outbox.write(second, priority=1, expires_at=end)

        await worker.run_once()
        await outbox.gateway_clock.holds()  # by now the other one has begun, too, and waits
        outbox.clock.advance(2)
        outbox.gateway_clock.let_go()
        await outbox.work(worker)

        assert await outbox.statuses([under_way]) == ["sent"]
        await ends_unsent(outbox, late)
        assert await outbox.copies(second.jids[0]) == 0
