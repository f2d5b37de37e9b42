"""A report that may be about several messages decides about none, and is told of each of them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from tests.integration.messages.outbox import Outbox, Sender
from tests.integration.messages.test_feedback import accepted, callback, receipt, source

from groupline.messages.feedback import About, apply_message_error, apply_send_callback
from groupline.messages.unclear import CANDIDATES
from groupline.messages.words import NO_CALLBACK, REPORT_UNCLEAR
from groupline.models import Gateway, JournalEntry
from groupline.models import ScheduledWhatsappMessage as Message

PATIENCE = 121
"""Seconds after which a gateway that reports nothing leaves a message uncertain."""


async def told(outbox: Outbox, message_id: UUID) -> list[dict[str, Any]]:
    """What the story of a message says of reports that may be about it."""
    statement = (
        select(JournalEntry.data)
        .where(JournalEntry.subject_id == message_id)
        .where(JournalEntry.action == "message.report_ambiguous")
        .order_by(JournalEntry.position)
    )
    async with outbox.database.reading() as session:
        return list(await session.scalars(statement))


async def undated_failure(outbox: Outbox, sender: Sender) -> str:
    async with outbox.database.writing() as session:
        return await apply_send_callback(
            session,
            source(outbox, sender),
            About(group_jid=sender.jids[0]),
            event="failed",
            error="no route",
            at=None,
            now=outbox.clock.now(),
        )


async def test_each_message_that_a_report_fits_is_told_what_it_said(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    unsure = await outbox.write(sender, status="uncertain", session_id=sender.session_id)
    ids = [await accepted(outbox, sender), unsure]
    elsewhere = await accepted(outbox, sender, 1)
    about = About(message_id="3EB0", group_jid=sender.jids[0])
    error = "no route " + "x" * 500

    assert await callback(outbox, sender, about, "failed", error=error) == "ambiguous"

    sentence = (
        "The gateway reported that a message to this group was not sent."
        " It fits 2 messages, so it decides nothing about this one. Look into the group."
    )
    for message_id, status in zip(ids, ("accepted", "uncertain"), strict=True):
        assert await told(outbox, message_id) == [
            {
                "status": status,
                "reported": "failed",
                "upstream": f"{error[:299]}…",
                "reportedAt": outbox.clock.now().isoformat(),
                "reportedMessageId": "3EB0",
                "fits": 2,
                "sentence": sentence,
            }
        ]
    assert await told(outbox, elsewhere) == []


async def test_a_message_that_becomes_uncertain_does_not_deny_the_report(outbox: Outbox) -> None:
    await outbox.change(Gateway, outbox.gateway_id, capabilities=[])
    sender = await outbox.add_sender()
    due: dict[str, Any] = {"next_check_at": outbox.clock.now()}
    ids = [await accepted(outbox, sender, **due), await accepted(outbox, sender, **due)]
    silent = await accepted(outbox, sender, 1, **due)
    about = About(message_id="3EB0", group_jid=sender.jids[0])
    await callback(outbox, sender, about)

    outbox.clock.advance(PATIENCE)
    await outbox.reconciler.run_once()

    assert await outbox.statuses([*ids, silent]) == ["uncertain"] * 3
    sentences = [(await outbox.message(each)).error_message for each in (*ids, silent)]
    assert sentences == [REPORT_UNCLEAR, REPORT_UNCLEAR, NO_CALLBACK]


async def test_a_report_of_the_attempt_before_is_not_counted_for_this_one(outbox: Outbox) -> None:
    await outbox.change(Gateway, outbox.gateway_id, capabilities=[])
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)
    assert await undated_failure(outbox, sender) == "ambiguous"
    outbox.clock.advance(60)
    again = outbox.clock.now()
    await outbox.change(Message, message_id, request_started_at=again, next_check_at=again)

    outbox.clock.advance(PATIENCE)
    await outbox.reconciler.run_once()

    message = await outbox.message(message_id)
    assert (message.status, message.error_message) == ("uncertain", NO_CALLBACK)


async def test_only_the_sentence_that_denies_a_report_changes_when_one_comes(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    uncertain: dict[str, Any] = {"status": "uncertain", "session_id": sender.session_id}
    silent = await outbox.write(
        sender, **uncertain, error_code="no_callback", error_message=NO_CALLBACK
    )
    unanswered = await outbox.write(
        sender, **uncertain, error_code="no_answer", error_message="No answer."
    )
    about = About(message_id="3EB0", group_jid=sender.jids[0])

    assert await callback(outbox, sender, about) == "ambiguous"

    assert (await outbox.message(silent)).error_message == REPORT_UNCLEAR
    assert (await outbox.message(unanswered)).error_message == "No answer."


async def test_a_failure_without_a_time_is_told_of_the_one_message_in_flight(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender)

    assert await undated_failure(outbox, sender) == "ambiguous"

    [entry] = await told(outbox, message_id)
    assert (entry["fits"], "reportedAt" in entry) == (1, False)
    assert "may be about an earlier attempt" in entry["sentence"]


async def test_receipts_and_rejections_of_an_id_that_two_messages_have_are_told_without_readers(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    sent: dict[str, Any] = {"status": "sent", "gateway_message_id": "3EB0"}
    ids = [await outbox.write(sender, **sent), await outbox.write(sender, 1, **sent)]

    for reader in ("919900000001", "919900000002"):  # the second one is not told again
        assert await receipt(outbox, sender, "3EB0", "read", reader) == "ambiguous"
    assert await receipt(outbox, sender, "3EB0", "delivered", "919900000001") == "ambiguous"
    async with outbox.database.writing() as session:
        rejected = await apply_message_error(
            session,
            source(outbox, sender),
            About(message_id="3EB0"),
            code=420,
            error="rate-overlimit",
            now=outbox.clock.now(),
        )
    assert rejected == "ambiguous"

    for message_id in ids:
        read, delivered, refused = await told(outbox, message_id)
        assert (read["reported"], delivered["reported"]) == ("read", "delivered")
        assert "9199000000" not in str(read)
        assert (refused["reported"], refused["upstream"]) == (
            "rejected",
            "error 420: rate-overlimit",
        )
    assert await outbox.statuses(ids) == ["sent", "sent"]


async def test_so_many_messages_are_told_of_one_report_and_no_more(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    ids = [await accepted(outbox, sender) for _ in range(CANDIDATES + 2)]

    await callback(outbox, sender, About(group_jid=sender.jids[0], message_id="3EB0"))

    stories = [await told(outbox, each) for each in ids]
    assert [len(each) for each in stories] == [1] * CANDIDATES + [0, 0]
    assert (stories[0][0]["fits"], stories[0][0]["fitsMore"]) == (CANDIDATES, True)
    assert "fits more than 20 messages" in stories[0][0]["sentence"]


async def test_what_is_told_of_a_report_is_written_with_its_outcome_or_not_at_all(
    outbox: Outbox,
) -> None:
    """A report whose transaction fails is told nowhere; tried again, it is told once."""
    sender = await outbox.add_sender()
    ids = [await accepted(outbox, sender), await accepted(outbox, sender)]
    about = About(message_id="3EB0", group_jid=sender.jids[0])
    for fails in (True, False):
        try:
            async with outbox.database.writing() as session:
                await apply_send_callback(
                    session,
                    source(outbox, sender),
                    about,
                    event="sent",
                    error=None,
                    at=outbox.clock.now() - timedelta(seconds=1),
                    now=outbox.clock.now(),
                )
                if fails:
                    raise ConnectionError
        except ConnectionError:
            assert await told(outbox, ids[0]) == []
    assert [len(await told(outbox, each)) for each in ids] == [1, 1]
