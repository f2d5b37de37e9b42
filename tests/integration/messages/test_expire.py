"""Too late to be useful: final, with what the message waited for."""

from datetime import timedelta

from tests.integration.messages.outbox import Outbox

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
        "The message did not leave before its time was over. The number is not connected."
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
