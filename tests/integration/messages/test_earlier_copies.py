"""What is told of the first copy of a message that somebody sends again."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.integration.messages.outbox import PERSON, Outbox, Sender
from tests.integration.messages.test_workers import counted_statements

from groupline.messages import service
from groupline.messages.expire import expire
from groupline.messages.feedback import (
    About,
    Source,
    apply_message_error,
    apply_receipt,
    apply_send_callback,
)
from groupline.models import InboundOutcome


async def told(outbox: Outbox, sender: Sender, word: str, about: About) -> InboundOutcome:
    source, now = Source(outbox.gateway_id, sender.gateway_session_id), outbox.clock.now()
    async with outbox.database.writing() as session:
        if word == "rejected":
            return await apply_message_error(
                session, source, about, code=403, error="forbidden", now=now
            )
        if word == "sent":
            return await apply_send_callback(
                session, source, about, event="sent", error=None, at=now, now=now
            )
        return await apply_receipt(session, source, about, kind="read", reader="9", at=now, now=now)


async def rejected(outbox: Outbox, sender: Sender) -> tuple[UUID, About]:
    """It was sent, and WhatsApp rejected it afterwards: reports name it by its id there."""
    message_id = await outbox.write(sender)
    await outbox.work()
    about = About(message_id=(await outbox.message(message_id)).gateway_message_id)
    assert await told(outbox, sender, "rejected", about) == "applied"
    return message_id, about


async def test_somebody_has_read_what_is_to_be_sent_again_so_it_is_not(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id, first = await rejected(outbox, sender)
    await outbox.send_again(message_id)

    assert await told(outbox, sender, "read", first) == "applied"
    await outbox.work()

    message = await outbox.message(message_id)
    assert (message.status, message.gateway_message_id) == ("sent", first.message_id)
    assert (message.read_count, message.error_code) == (1, None)
    assert await outbox.copies(sender.jids[0]) == 1


async def test_what_whatsapp_rejected_stays_rejected_when_it_is_to_be_sent_again(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id, first = await rejected(outbox, sender)
    await outbox.send_again(message_id)

    assert await told(outbox, sender, "sent", first) == "outdated"
    assert await told(outbox, sender, "rejected", first) == "repeated"
    assert (await outbox.message(message_id)).status == "pending"
    await outbox.work()

    message = await outbox.message(message_id)
    assert (message.status, message.error_code) == ("sent", None)
    assert message.gateway_message_id not in (None, first.message_id)
    assert await outbox.copies(sender.jids[0]) == 2


async def test_a_report_that_bears_the_former_reference_is_known_by_its_id(outbox: Outbox) -> None:
    """The gateway took it, said three times that it could not send it, and then that it had."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(
        sender,
        status="failed",
        session_id=sender.session_id,
        gateway_message_id="3EB0",
        error_code="rejected",
    )
    former = (await outbox.message(message_id)).client_ref
    await outbox.send_again(message_id)
    assert (await outbox.message(message_id)).client_ref != former

    assert await told(outbox, sender, "sent", About(former, "3EB1")) == "unmatched"
    assert await told(outbox, sender, "sent", About(former, "3EB0")) == "applied"

    assert (await outbox.message(message_id)).status == "sent"


async def cancelled(outbox: Outbox, message_id: UUID) -> None:
    async with outbox.database.writing() as session:
        await service.cancel(
            session, outbox.organization_id, message_id, actor=PERSON, now=outbox.clock.now()
        )


async def expired(outbox: Outbox, _: UUID) -> None:
    outbox.clock.advance(timedelta(days=2).total_seconds())
    async with outbox.database.writing() as session:
        await expire(session, now=outbox.clock.now())


@pytest.mark.parametrize(
    ("again", "ends", "end"),
    [
        (False, cancelled, "cancelled"),
        (True, cancelled, "cancelled"),
        (True, expired, "expired"),
    ],
    ids=["put away", "called off", "too late"],
)
async def test_a_late_callback_of_what_was_rejected_changes_no_other_end(
    outbox: Outbox, again: bool, ends: Any, end: str
) -> None:
    """A receipt does: what somebody has got did leave."""
    sender = await outbox.add_sender()
    message_id, first = await rejected(outbox, sender)
    if again:
        await outbox.send_again(message_id)
    await ends(outbox, message_id)

    assert await told(outbox, sender, "sent", first) in ("outdated", "repeated")
    assert (await outbox.message(message_id)).status == end

    assert await told(outbox, sender, "read", first) == "applied"
    assert (await outbox.message(message_id)).status == "sent"


async def test_a_report_of_what_was_sent_anyway_is_no_question_to_the_journal(
    outbox: Outbox,
) -> None:
    """Each message is reported so, once or more."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.work()
    about = About(message_id=(await outbox.message(message_id)).gateway_message_id)

    with counted_statements() as seen:
        assert await told(outbox, sender, "sent", about) == "repeated"

    assert not [each for each in seen if "journal" in each]
