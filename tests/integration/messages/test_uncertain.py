"""No answer, lost workers, and finding out what happened: never a second copy."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update
from tests.integration.messages.holding import HELD
from tests.integration.messages.outbox import Outbox

from groupline.journal import Actor
from groupline.messages import service
from groupline.messages.rules import Policy
from groupline.models import Gateway, ScheduledWhatsappMessage

PERSON = Actor("user", "Somebody")


async def look(outbox: Outbox, seconds: float = 2.0) -> None:
    """Time goes by, and the gateways are asked about what is not known."""
    outbox.clock.advance(seconds)
    await outbox.reconciler.run_once()


@pytest.mark.parametrize("fault", ["reset_after", "error", "html", "garbage"])
async def test_an_unclear_answer_to_a_sent_message_ends_in_sent_with_one_copy(
    outbox: Outbox, fault: str
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault(fault, route="send", times=1, carriedOut=True)

    await outbox.work()
    assert (await outbox.message(message_id)).status == "uncertain"
    await look(outbox)

    message = await outbox.message(message_id)
    assert message.status == "sent"
    assert message.gateway_message_id
    assert await outbox.copies(sender.jids[0]) == 1
    assert await outbox.actions(message_id) == ["message.uncertain", "message.sent"]


@pytest.mark.parametrize("fault", ["reset_before", "error", "html", "garbage"])
async def test_an_unclear_answer_to_an_unsent_message_is_sent_after_the_gateways_no(
    outbox: Outbox, fault: str
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault(fault, route="send", times=1, carriedOut=False)

    await outbox.work()
    assert (await outbox.message(message_id)).status == "uncertain"
    await look(outbox, Policy().unsent_after.total_seconds())
    waiting = await outbox.message(message_id)
    assert (waiting.status, waiting.attempts) == ("pending", 0)

    outbox.clock.advance(10)
    await outbox.work()
    assert (await outbox.message(message_id)).status == "sent"
    assert await outbox.copies(sender.jids[0]) == 1


async def test_what_the_gateway_cannot_answer_stays_uncertain_and_is_never_sent_again(
    outbox: Outbox,
) -> None:
    await outbox.change(Gateway, outbox.gateway_id, capabilities=[])
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("reset_after", route="send", times=1)

    await outbox.work()
    for _ in range(5):
        await look(outbox, 3600)
        await outbox.work()

    message = await outbox.message(message_id)
    assert (message.status, message.next_check_at) == ("uncertain", None)
    assert await outbox.copies(sender.jids[0]) == 1


async def test_a_gateway_that_has_lost_its_records_is_not_believed_that_nothing_was_sent(
    outbox: Outbox,
) -> None:
    """Its records begin now; the message was written long before."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(
        sender,
        status="uncertain",
        client_ref="01900000-0000-7000-8000-000000000000",
        carried_ref=True,
        session_id=sender.session_id,
        gateway_id=outbox.gateway_id,
        gateway_session_id=sender.gateway_session_id,
        request_started_at=outbox.clock.now(),
        next_check_at=outbox.clock.now(),
    )

    await look(outbox, Policy().unsent_after.total_seconds())

    message = await outbox.message(message_id)
    assert (message.status, await outbox.actions(message_id)) == ("uncertain", [])
    assert message.next_check_at is not None


async def test_a_gateway_that_does_not_answer_the_look_is_asked_again(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("reset_after", route="send", times=1)
    await outbox.gateway.fault("unavailable", route="message-status", times=1)
    await outbox.work()

    await look(outbox)
    assert (await outbox.message(message_id)).status == "uncertain"
    await look(outbox)
    assert (await outbox.message(message_id)).status == "sent"


async def test_a_lost_worker_leaves_an_uncertain_message_which_is_looked_up(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    lost = outbox.new_worker()
    await lost.run_once()  # its results are never stored
    assert (await outbox.message(message_id)).status == "sending"

    outbox.clock.advance(61)
    await outbox.recoverer.run_once()
    message = await outbox.message(message_id)
    assert message.status == "uncertain"
    await lost.answers()
    await look(outbox)
    await outbox.work()

    assert (await outbox.message(message_id)).status in ("sent", "pending")
    outbox.clock.advance(10)
    await outbox.work()
    assert (await outbox.message(message_id)).status == "sent"
    assert await outbox.copies(sender.jids[0]) == 1


async def test_the_late_answer_of_a_worker_that_was_only_slow_still_counts(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("delay", route="send", times=1, seconds=HELD)
    slow = outbox.new_worker()
    await slow.run_once()
    await outbox.gateway_clock.holds()
    outbox.clock.advance(61)
    await outbox.recoverer.run_once()
    assert (await outbox.message(message_id)).status == "uncertain"

    outbox.gateway_clock.let_go()
    await outbox.work(slow)

    assert (await outbox.message(message_id)).status == "sent"
    assert await outbox.copies(sender.jids[0]) == 1


async def test_a_claim_that_was_never_started_goes_back_to_the_queue(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    now = outbox.clock.now()
    message_id = await outbox.write(
        sender, status="sending", claimed_until=now - timedelta(seconds=1)
    )

    await outbox.recoverer.run_once()

    assert (await outbox.message(message_id)).status == "pending"


async def test_an_answer_about_an_earlier_attempt_changes_nothing(outbox: Outbox) -> None:
    """The look-up is under way while a person sends the message again."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("reset_after", route="send", times=1)
    await outbox.work()
    await outbox.gateway.fault("delay", route="message-status", seconds=HELD, times=1)
    outbox.clock.advance(2)

    async def meanwhile() -> None:
        async with outbox.database.writing() as session:
            await session.execute(
                update(ScheduledWhatsappMessage)
                .where(ScheduledWhatsappMessage.id == message_id)
                .values(request_started_at=outbox.clock.now())
            )

    await outbox.during(outbox.reconciler.run_once(), meanwhile())

    assert (await outbox.message(message_id)).status == "uncertain"


async def test_a_person_says_that_it_arrived(outbox: Outbox) -> None:
    message_id = await _uncertain(outbox)

    async with outbox.database.writing() as session:
        await service.resolve(
            session,
            outbox.organization_id,
            message_id,
            arrived=True,
            actor=PERSON,
            now=outbox.clock.now(),
        )

    message = await outbox.message(message_id)
    assert (message.status, message.resolved_by) == ("sent", PERSON.reference)
    assert (await outbox.actions(message_id))[-1] == "message.resolved"


async def test_a_person_sends_it_again_and_a_gateway_that_remembers_sends_no_second_copy(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("reset_after", route="send", times=1)
    await outbox.work()

    async with outbox.database.writing() as session:
        await service.resolve(
            session,
            outbox.organization_id,
            message_id,
            arrived=False,
            actor=PERSON,
            now=outbox.clock.now(),
        )
    await outbox.work()

    assert (await outbox.message(message_id)).status == "sent"
    assert await outbox.copies(sender.jids[0]) == 1


async def test_an_accepted_message_whose_callback_never_comes_is_looked_up(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("accepted", route="send", times=1, callback="never")
    await outbox.work()
    assert (await outbox.message(message_id)).status == "accepted"

    await look(outbox)

    assert (await outbox.message(message_id)).status == "sent"


async def test_without_a_callback_and_without_a_look_up_it_becomes_uncertain(
    outbox: Outbox,
) -> None:
    await outbox.change(Gateway, outbox.gateway_id, capabilities=[])
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("accepted", route="send", times=1, callback="never")
    await outbox.work()

    await look(outbox, Policy().callback_within.total_seconds() - 1)
    assert (await outbox.message(message_id)).status == "accepted"
    await look(outbox, 2)
    assert (await outbox.message(message_id)).status == "uncertain"


async def _uncertain(outbox: Outbox) -> UUID:
    sender = await outbox.add_sender()
    return await outbox.write(sender, status="uncertain", request_started_at=outbox.clock.now())
