"""What is said of one message in any order, and messages that took the place of others."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.integration.messages.outbox import Outbox, Sender
from tests.support.factories import make_campaign

from groupline.messages.changes import MESSAGES, fetch, for_change
from groupline.messages.evidence import Proof, store_evidence
from groupline.messages.feedback import (
    About,
    Source,
    apply_message_error,
    apply_receipt,
    apply_send_callback,
)
from groupline.messages.queries import get_view
from groupline.messages.story import story_of
from groupline.models import InboundOutcome

ID = "3EB0"
TRUTHS = {"callback": "sent", "rejection": "failed", "receipt": "sent"}
ORDERS = [
    order
    for count in (1, 2, 3)
    for chosen in itertools.combinations(TRUTHS, count)
    for order in itertools.permutations(chosen)
]


async def report(
    outbox: Outbox, sender: Sender, message_id: UUID, word: str, evidence: str = ID
) -> InboundOutcome:
    """One of the three things that a gateway may say, by our reference where it can name it."""
    source, now = Source(outbox.gateway_id, sender.gateway_session_id), outbox.clock.now()
    about = About((await outbox.message(message_id)).client_ref, evidence)
    async with outbox.database.writing() as session:
        if word == "callback":
            return await apply_send_callback(
                session, source, about, event="sent", error=None, at=now, now=now
            )
        if word == "rejection":
            return await apply_message_error(
                session, source, about, code=403, error="forbidden", now=now
            )
        return await apply_receipt(
            session, source, about, kind="delivered", reader="9", at=now, now=now
        )


@pytest.mark.parametrize("status", ["accepted", "uncertain", "sent"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_the_strongest_word_decides_in_whatever_order_it_comes(
    outbox: Outbox, order: Sequence[str], status: str
) -> None:
    """Received beats rejected, rejected beats sent; each may come twice."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(
        sender, status=status, session_id=sender.session_id, gateway_message_id=ID
    )

    for word in (*order, *order):
        await report(outbox, sender, message_id, word)

    strongest = next(word for word in ("receipt", "rejection", "callback") if word in order)
    message = await outbox.message(message_id)
    assert (message.status, message.gateway_message_id) == (TRUTHS[strongest], ID)


async def last_words(outbox: Outbox, message_id: UUID) -> tuple[str, str | None]:
    """What the story of the message ends with."""
    async with outbox.database.reading() as session:
        view = await get_view(session, outbox.organization_id, message_id)
        assert view is not None
        last = (await story_of(session, view))[-1]
    return last.title, last.text


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("callback", "The gateway reported that it was sent."),
        ("late_answer", "The answer of the gateway came late: it was sent."),
        ("receipt", "Somebody got it, so it was sent."),
    ],
)
async def test_the_story_says_how_it_is_known_that_an_uncertain_message_was_sent(
    outbox: Outbox, by: Proof, words: str
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, status="uncertain", session_id=sender.session_id)
    async with outbox.database.writing() as session:
        (row,) = await fetch(session, for_change().where(MESSAGES.c.id == message_id))
        await store_evidence(session, row, ID, by=by, now=outbox.clock.now())
    assert await last_words(outbox, message_id) == ("Sent", words)


async def test_the_story_says_that_the_gateway_was_asked(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("error", route="send", times=1, carriedOut=True)
    await outbox.work()
    outbox.clock.advance(2)
    await outbox.reconciler.run_once()
    asked = "The gateway was asked, and had sent it."
    assert await last_words(outbox, message_id) == ("Sent", asked)


async def test_what_is_sent_at_once_needs_no_words(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.work()
    assert await last_words(outbox, message_id) == ("Sent", None)


async def test_a_rejection_that_comes_before_everything_else_keeps_the_id(outbox: Outbox) -> None:
    """Otherwise the callback behind it would be news about another message."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, status="uncertain", session_id=sender.session_id)

    assert await report(outbox, sender, message_id, "rejection") == "applied"
    assert await report(outbox, sender, message_id, "callback") == "outdated"

    message = await outbox.message(message_id)
    assert (message.status, message.error_code) == ("failed", "rejected_later")


async def test_another_copy_than_the_rejected_one_did_leave(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(
        sender, status="sent", session_id=sender.session_id, gateway_message_id=ID
    )
    await report(outbox, sender, message_id, "rejection")

    assert await report(outbox, sender, message_id, "callback", "3EB1") == "applied"

    message = await outbox.message(message_id)
    assert (message.status, message.gateway_message_id) == ("sent", "3EB1")


async def test_a_rejection_from_before_this_attempt_is_about_another_one(outbox: Outbox) -> None:
    """An attempt may bear the id of the one before it: both come from the same reference."""
    sender, now = await outbox.add_sender(), outbox.clock.now()
    message_id = await outbox.write(
        sender,
        status="sent",
        session_id=sender.session_id,
        gateway_message_id=ID,
        request_started_at=now,
    )
    source = Source(outbox.gateway_id, sender.gateway_session_id)
    for at, outcome in ((now - timedelta(seconds=31), "outdated"), (now, "applied")):
        async with outbox.database.writing() as session:
            told = await apply_message_error(
                session, source, About(message_id=ID), code=403, error=None, at=at, now=now
            )
        assert told == outcome
    assert (await outbox.message(message_id)).status == "failed"


async def report_at(
    outbox: Outbox, sender: Sender, message_id: UUID, word: str, at: datetime
) -> InboundOutcome:
    """What a gateway says of an attempt that began at a time: by our reference, and its id."""
    source, now = Source(outbox.gateway_id, sender.gateway_session_id), outbox.clock.now()
    about = About((await outbox.message(message_id)).client_ref, ID)
    async with outbox.database.writing() as session:
        if word == "rejection":
            return await apply_message_error(
                session, source, about, code=403, error="forbidden", at=at, now=now
            )
        return await apply_send_callback(
            session, source, about, event="sent", error=None, at=at, now=now
        )


async def test_a_rejection_between_two_attempts_outlives_the_callback_that_it_overtook(
    outbox: Outbox,
) -> None:
    """The gateway was asked before it told, so that the message waits for its next attempt."""
    sender, began = await outbox.add_sender(), outbox.clock.now()
    message_id = await outbox.write(
        sender,
        status="pending",
        session_id=sender.session_id,
        request_started_at=began,
        carried_ref=True,
        attempts=1,
        error_code="not_sent",
    )
    outbox.clock.advance(10)

    assert await report_at(outbox, sender, message_id, "rejection", began) == "applied"
    assert await report_at(outbox, sender, message_id, "rejection", began) == "repeated"
    assert await report_at(outbox, sender, message_id, "callback", began) == "outdated"
    assert (await outbox.message(message_id)).status == "pending"

    await outbox.work()

    message = await outbox.message(message_id)
    assert (message.status, message.error_code) == ("sent", None)
    assert await outbox.copies(sender.jids[0]) == 1


@pytest.mark.parametrize("status", ["sending", "accepted", "uncertain", "sent"])
@pytest.mark.parametrize("word", ["rejection", "callback"])
@pytest.mark.parametrize("ago", [timedelta(milliseconds=500), timedelta(seconds=29)])
async def test_what_is_told_of_the_attempt_before_changes_nothing_of_this_one(
    outbox: Outbox, word: str, status: str, ago: timedelta
) -> None:
    """Both bear the same reference and the same id; the gateway is asked what became of this."""
    sender, now = await outbox.add_sender(), outbox.clock.now().replace(microsecond=700_000)
    message_id = await outbox.write(
        sender,
        status=status,
        session_id=sender.session_id,
        request_started_at=now,
        claimed_until=now + timedelta(minutes=1),
        gateway_message_id=ID if status == "sent" else None,
        carried_ref=True,
        attempts=1,
    )

    told = await report_at(outbox, sender, message_id, word, now - ago)

    message = await outbox.message(message_id)
    assert told == ("repeated" if (word, status) == ("callback", "sent") else "outdated")
    assert message.status == status
    assert message.gateway_message_id == (ID if status == "sent" else None)


async def test_a_gateway_that_cannot_be_asked_is_believed_about_an_earlier_attempt(
    outbox: Outbox,
) -> None:
    sender, now = await outbox.add_sender(), outbox.clock.now()
    message_id = await outbox.write(
        sender,
        status="uncertain",
        session_id=sender.session_id,
        request_started_at=now,
        carried_ref=False,
        attempts=1,
    )
    ago = timedelta(seconds=5)
    assert await report_at(outbox, sender, message_id, "callback", now - ago) == "applied"
    assert (await outbox.message(message_id)).status == "sent"


# --- replaced


async def replaced(outbox: Outbox, sender: Sender, **replacement: Any) -> tuple[UUID, UUID]:
    """A campaign's message that was cancelled, and the one that took its place."""
    async with outbox.database.writing() as session:
        campaign = await make_campaign(
            session, organization_id=outbox.organization_id, number_id=sender.number_id
        )
    first = await outbox.write(
        sender, status="cancelled", session_id=sender.session_id, campaign_id=campaign.id
    )
    return first, await outbox.write(sender, campaign_id=campaign.id, **replacement)


@pytest.mark.parametrize("status", ["pending", "failed"])
async def test_a_cancelled_message_that_arrived_holds_back_its_copy(
    outbox: Outbox, status: str
) -> None:
    sender = await outbox.add_sender()
    first, second = await replaced(outbox, sender, status=status)

    assert await report(outbox, sender, first, "callback") == "applied"
    assert await report(outbox, sender, first, "callback") == "repeated"

    assert await outbox.statuses([first, second]) == ["sent", "cancelled"]
    assert await outbox.actions(second) == ["message.superseded"]
    assert "arrived after all" in ((await outbox.message(second)).error_message or "")


@pytest.mark.parametrize(
    "changed", [{"content": "Corrected"}, {"media_url": "https://a.test/a", "media_type": "image"}]
)
async def test_a_correction_goes_out_although_the_first_text_arrived(
    outbox: Outbox, changed: dict[str, Any]
) -> None:
    sender = await outbox.add_sender()
    first, second = await replaced(outbox, sender, **changed)

    assert await report(outbox, sender, first, "callback") == "applied"
    assert await report(outbox, sender, first, "callback") == "repeated"

    assert await outbox.statuses([first, second]) == ["cancelled", "pending"]
    assert (await outbox.message(first)).gateway_message_id == ID
    assert await outbox.actions(first) == ["message.arrived"]


@pytest.mark.parametrize("status", ["sending", "accepted", "uncertain", "sent", "expired"])
async def test_what_has_left_or_ended_in_its_place_stays_as_it_is(
    outbox: Outbox, status: str
) -> None:
    sender = await outbox.add_sender()
    first, second = await replaced(outbox, sender, status=status)

    assert await report(outbox, sender, first, "callback") == "applied"

    assert await outbox.statuses([first, second]) == ["cancelled", status]
    assert await outbox.actions(first) == ["message.arrived"]
