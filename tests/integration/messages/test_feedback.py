"""Callbacks, late rejections and receipts: late, twice, reordered, for two messages at once."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.integration.messages.holding import HELD
from tests.integration.messages.outbox import Outbox, Sender

from groupline.messages.feedback import (
    About,
    Source,
    apply_message_error,
    apply_receipt,
    apply_send_callback,
)
from groupline.messages.queries import get_view
from groupline.messages.story import story_of
from groupline.models import InboundOutcome, MessageReceipt, ScheduledWhatsappMessage


def source(outbox: Outbox, sender: Sender) -> Source:
    return Source(outbox.gateway_id, sender.gateway_session_id)


async def callback(
    outbox: Outbox,
    sender: Sender,
    about: About,
    event: str = "sent",
    *,
    error: str | None = None,
    at: datetime | None = None,
) -> InboundOutcome:
    async with outbox.database.writing() as session:
        return await apply_send_callback(
            session,
            source(outbox, sender),
            about,
            event="sent" if event == "sent" else "failed",
            error=error,
            at=at or outbox.clock.now(),
            now=outbox.clock.now(),
        )


async def receipt(
    outbox: Outbox, sender: Sender, message_id: str, kind: str, reader: str
) -> InboundOutcome:
    async with outbox.database.writing() as session:
        return await apply_receipt(
            session,
            source(outbox, sender),
            About(message_id=message_id),
            kind="read" if kind == "read" else "delivered",
            reader=reader,
            at=outbox.clock.now(),
            now=outbox.clock.now(),
        )


async def accepted(outbox: Outbox, sender: Sender, group: int = 0, **facts: object) -> UUID:
    now = outbox.clock.now()
    defaults = {"session_id": sender.session_id, "request_started_at": now, "accepted_at": now}
    return await outbox.write(sender, group, status="accepted", **{**defaults, **facts})


async def ref(outbox: Outbox, message_id: UUID) -> str:
    return (await outbox.message(message_id)).client_ref


# --- callbacks


async def test_a_callback_by_our_reference_is_evidence(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)
    about = About(client_ref=await ref(outbox, message_id), message_id="3EB0")

    assert await callback(outbox, sender, about) == "applied"
    assert await callback(outbox, sender, about) == "repeated"

    message = await outbox.message(message_id)
    assert (message.status, message.gateway_message_id) == ("sent", "3EB0")


async def test_without_a_reference_the_only_message_in_flight_to_the_group_is_meant(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)
    await accepted(outbox, sender, 1)
    about = About(message_id="3EB0", group_jid=sender.jids[0])

    assert await callback(outbox, sender, about) == "applied"
    assert (await outbox.message(message_id)).status == "sent"


async def test_of_two_messages_in_flight_to_a_group_none_is_guessed(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    ids = [await accepted(outbox, sender), await accepted(outbox, sender)]
    about = About(message_id="3EB0", group_jid=sender.jids[0])

    assert await callback(outbox, sender, about) == "ambiguous"
    assert await outbox.statuses(ids) == ["accepted", "accepted"]


@pytest.mark.parametrize("event", ["sent", "failed"])
async def test_what_happened_before_all_that_is_in_flight_is_told_of_none_of_it(
    outbox: Outbox, event: str
) -> None:
    sender = await outbox.add_sender()
    ids = [await accepted(outbox, sender), await accepted(outbox, sender)]
    about, before = About(group_jid=sender.jids[0]), outbox.clock.now() - timedelta(hours=5)

    assert await callback(outbox, sender, about, event, at=before) == "outdated"
    assert [await outbox.actions(each) for each in ids] == [[], []]


async def test_a_callback_about_another_message_is_not_taken_for_ours(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender, gateway_message_id="3EB0")
    for event in ("sent", "failed"):
        about = About(message_id="3EB1", group_jid=sender.jids[0])
        assert await callback(outbox, sender, about, event) == "unmatched"
    message = await outbox.message(message_id)
    assert (message.status, message.gateway_message_id) == ("accepted", "3EB0")


async def test_a_callback_for_nobody_waits(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    about = About(message_id="3EB0", group_jid=sender.jids[0])
    assert await callback(outbox, sender, about) == "unmatched"
    nobody = Source(outbox.gateway_id, "wa_unknown")
    async with outbox.database.writing() as session:
        now = outbox.clock.now()
        outcome = await apply_send_callback(
            session, nobody, about, event="sent", error=None, at=now, now=now
        )
    assert outcome == "unmatched"


async def test_a_claim_without_a_message_id_is_no_evidence(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)
    about = About(client_ref=await ref(outbox, message_id))
    assert await callback(outbox, sender, about) == "invalid"
    assert (await outbox.message(message_id)).status == "accepted"


async def test_a_failed_callback_is_a_rejection_and_is_tried_again(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)
    about = About(client_ref=await ref(outbox, message_id))

    assert await callback(outbox, sender, about, "failed", error="no route") == "applied"

    message = await outbox.message(message_id)
    assert (message.status, message.attempts, message.vps_error) == ("pending", 1, "no route")


async def test_a_failed_callback_of_an_earlier_attempt_changes_nothing(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)
    about = About(group_jid=sender.jids[0])
    before = outbox.clock.now() - timedelta(minutes=5)

    assert await callback(outbox, sender, about, "failed", at=before) == "outdated"
    assert (await outbox.message(message_id)).status == "accepted"


async def test_a_late_report_on_the_message_before_is_no_evidence_of_this_one(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)
    about = About(message_id="3EB0", group_jid=sender.jids[0])
    before, clocks_differ = timedelta(seconds=31), timedelta(seconds=29)

    assert await callback(outbox, sender, about, at=outbox.clock.now() - before) == "outdated"
    assert (await outbox.message(message_id)).status == "accepted"
    assert await callback(outbox, sender, about, at=outbox.clock.now() - clocks_differ) == "applied"


async def test_a_failed_callback_that_names_nothing_needs_a_time_of_this_attempt(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)
    about, began = About(group_jid=sender.jids[0]), outbox.clock.now()

    just_before = began - timedelta(seconds=2)
    assert await callback(outbox, sender, about, "failed", at=just_before) == "outdated"
    async with outbox.database.writing() as session:
        without_time = await apply_send_callback(
            session, source(outbox, sender), about, event="failed", error=None, at=None, now=began
        )
    assert without_time == "ambiguous"
    assert (await outbox.message(message_id)).status == "accepted"
    assert await callback(outbox, sender, about, "failed", at=began) == "applied"


async def test_a_failed_callback_waits_while_the_request_is_under_way(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, status="sending", session_id=sender.session_id)
    about = About(client_ref=await ref(outbox, message_id))
    assert await callback(outbox, sender, about, "failed") == "unmatched"
    assert (await outbox.message(message_id)).status == "sending"


async def test_evidence_after_an_end_still_counts(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, status="expired")
    about = About(client_ref=await ref(outbox, message_id), message_id="3EB0")
    assert await callback(outbox, sender, about) == "applied"
    assert (await outbox.message(message_id)).status == "sent"


@pytest.mark.parametrize("fault", ["accepted", "reset_after", "error"])
async def test_a_callback_before_the_answer_decides_when_the_answer_says_nothing(
    outbox: Outbox, fault: str
) -> None:
    """The lane stays taken until the request has ended: one request of a number at a time."""
    sender = await outbox.add_sender()
    first, second = [await outbox.write(sender, group) for group in (0, 1)]
    await outbox.gateway.fault("delay", route="send", times=1, seconds=HELD)
    await outbox.gateway.fault(fault, route="send", times=1)
    worker = outbox.new_worker()
    await worker.run_once()
    await outbox.gateway_clock.holds()
    about = About(client_ref=await ref(outbox, first), message_id="3EB0")

    assert await callback(outbox, sender, about) == "applied"
    assert await outbox.statuses([first, second]) == ["sending", "pending"]
    outbox.gateway_clock.let_go()
    await outbox.work(worker)

    message = await outbox.message(first)
    assert message.status == "sent"
    assert message.gateway_message_id == "3EB0"


async def test_another_organization_s_session_cannot_settle_a_message(outbox: Outbox) -> None:
    sender, other = await outbox.add_sender(), await outbox.add_foreign_sender()
    message_id = await accepted(outbox, sender)
    about = About(client_ref=await ref(outbox, message_id), message_id="3EB0")
    assert await callback(outbox, other, about) == "unmatched"
    assert (await outbox.message(message_id)).status == "accepted"


# --- late rejections


async def reject(
    outbox: Outbox, sender: Sender, message_id: str, code: int = 420
) -> InboundOutcome:
    async with outbox.database.writing() as session:
        return await apply_message_error(
            session,
            source(outbox, sender),
            About(message_id=message_id, group_jid=sender.jids[0]),
            code=code,
            error="rate-overlimit",
            now=outbox.clock.now(),
        )


async def test_a_rejection_after_sent_is_a_failure_and_slows_the_number_down(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, status="sent", gateway_message_id="3EB0")

    assert await reject(outbox, sender, "3EB0") == "applied"
    assert await reject(outbox, sender, "3EB0") == "repeated"

    message = await outbox.message(message_id)
    assert (message.status, message.error_code) == ("failed", "rejected_later")
    assert message.vps_error == "error 420: rate-overlimit"
    number = await outbox.number(sender)
    assert number.lane_hold_reason == "rate_limited"


async def test_what_whatsapp_rejected_is_sent_again_under_a_new_reference(
    outbox: Outbox,
) -> None:
    """Under the old one the gateway would only repeat that it has sent it."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.work()
    before = await outbox.message(message_id)
    await reject(outbox, sender, before.gateway_message_id or "", code=500)

    await outbox.send_again(message_id)
    await outbox.work()

    after = await outbox.message(message_id)
    assert after.status == "sent"
    assert after.client_ref != before.client_ref
    assert await outbox.copies(sender.jids[0]) == 2


async def test_a_rejection_of_what_somebody_has_read_is_told_once_and_changes_nothing(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, status="sent", gateway_message_id="3EB0")
    await receipt(outbox, sender, "3EB0", "read", "919900000001")

    assert await reject(outbox, sender, "3EB0") == "applied"
    assert await reject(outbox, sender, "3EB0") == "repeated"

    async with outbox.database.reading() as session:
        view = await get_view(session, outbox.organization_id, message_id)
        assert view is not None
        told = (await story_of(session, view))[1:]
    title, words = "Rejection of what had arrived", "error 420: rate-overlimit"
    assert [(each.title, each.state, each.upstream) for each in told] == [(title, "sent", words)]
    assert told[0].speaker == "The gateway reported"
    assert told[0].text is not None
    assert "Somebody has received it" in told[0].text
    message = await outbox.message(message_id)
    assert (message.status, message.error_message, message.vps_error) == ("sent", None, None)
    assert (await outbox.number(sender)).lane_hold_reason is None


async def test_a_rejection_of_an_earlier_attempt_changes_nothing(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    await outbox.write(sender, status="sent", gateway_message_id="3EB1")
    assert await reject(outbox, sender, "3EB0") == "unmatched"


# --- receipts


async def test_receipts_are_counted_per_reader_and_never_twice(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, status="sent", gateway_message_id="3EB0")

    for kind, reader in (
        ("delivered", "919900000001"),
        ("delivered", "919900000001"),
        ("read", "919900000001"),
        ("read", "77712345@lid"),
        ("delivered", "77712345@lid"),
        ("read", ""),
        ("delivered", ""),
        ("delivered", ""),
    ):
        await receipt(outbox, sender, "3EB0", kind, reader)

    message = await outbox.message(message_id)
    assert (message.delivered_count, message.read_count) == (2, 2)
    assert (message.anonymous_delivered_count, message.anonymous_read_count) == (2, 1)
    assert message.first_receipt_at == outbox.clock.now()
    async with outbox.database.reading() as session:
        rows = (await session.scalars(select(MessageReceipt))).all()
    assert len(rows) == 4


async def test_a_receipt_proves_that_an_uncertain_message_was_sent(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender, gateway_message_id="3EB0")

    assert await receipt(outbox, sender, "3EB0", "delivered", "919900000001") == "applied"

    message = await outbox.message(message_id)
    assert (message.status, message.delivered_count) == ("sent", 1)


async def test_a_receipt_acknowledges_the_number(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.work()
    assert (await outbox.number(sender)).unacknowledged == 1

    outbox.clock.advance(5)
    evidence = (await outbox.message(message_id)).gateway_message_id or ""
    await receipt(outbox, sender, evidence, "delivered", "919900000001")

    number = await outbox.number(sender)
    assert (number.unacknowledged, number.last_ack_at) == (0, outbox.clock.now())


async def test_a_receipt_before_the_answer_waits_for_it(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    assert await receipt(outbox, sender, "3EB0", "read", "919900000001") == "unmatched"


# --- answers that come after somebody else has the message


async def test_evidence_of_a_fenced_worker_is_kept(outbox: Outbox) -> None:
    """A slow worker's lease ended, the message was given to another: the first answer counts."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("delay", route="send", times=1, seconds=HELD)
    slow = outbox.new_worker()
    await slow.run_once()
    await outbox.gateway_clock.holds()
    async with outbox.database.writing() as session:
        message = await session.get(ScheduledWhatsappMessage, message_id)
        assert message is not None
        message.status, message.claim_token = "pending", None
        message.next_attempt_at = outbox.clock.now() + timedelta(minutes=1)

    outbox.gateway_clock.let_go()
    await outbox.work(slow)

    settled = await outbox.message(message_id)
    assert settled.status == "sent"
    assert settled.gateway_message_id
