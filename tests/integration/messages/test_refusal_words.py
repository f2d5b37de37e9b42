"""What a gateway says to a send, and what of it is kept: its words, once, and no text or key."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.integration.messages.outbox import Outbox, Sender
from tests.integration.messages.test_feedback import accepted, source

from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.outcomes import NotFound
from groupline.gateways.service import write_credentials
from groupline.gateways.watch import GatewayWatch
from groupline.inbound.apply import apply_event
from groupline.messages.reconcile import Question, apply_answer
from groupline.messages.rules import Policy
from groupline.messages.variables import escape
from groupline.models import (
    Gateway,
    InboundEvent,
    InboundKind,
    JournalEntry,
    ScheduledWhatsappMessage,
    WhatsappNumber,
    WhatsappSession,
)


async def _sent_by_a_banned_number(outbox: Outbox, text: str) -> ScheduledWhatsappMessage:
    sender = await outbox.add_sender(groups=1)
    phone = (await outbox.number(sender)).phone_number
    await outbox.gateway.put(f"/sim/phones/{phone}/restriction", {"kind": "banned"})
    message_id = await outbox.write(sender, content=text)
    await outbox.work()
    assert await outbox.actions(message_id) == ["message.waiting"]
    return await outbox.message(message_id)


async def test_a_banned_number_waits_whatever_its_message_says(outbox: Outbox) -> None:
    other = await _sent_by_a_banned_number(outbox, "We start at ten.")
    same = await _sent_by_a_banned_number(outbox, "banned")

    for message in (other, same):
        assert (message.status, message.attempts) == ("pending", 0)
        assert message.error_code == "restricted"
    assert other.vps_error == "HTTP 400: WhatsApp has banned this number"
    assert same.vps_error == "HTTP 400: WhatsApp has ••• this number"


async def test_a_number_that_may_not_send_waits_for_its_next_try_and_its_gateway_is_asked(
    outbox: Outbox,
) -> None:
    await _sent_by_a_banned_number(outbox, "We start at ten.")
    now = outbox.clock.now()
    async with outbox.database.reading() as session:
        number = (await session.scalars(select(WhatsappNumber))).one()
        pairing = (await session.scalars(select(WhatsappSession))).one()
        journal = select(JournalEntry.data).where(JournalEntry.action == "number.restricted")
        [told] = (await session.scalars(journal)).all()
    assert (number.restriction, number.lane_hold_reason) == ("restricted", "restricted")
    assert number.lane_free_at == number.restricted_until == now + timedelta(minutes=15)
    assert number.last_send_at == pairing.next_verify_at == now
    assert told == {"restriction": "restricted", "until": None}


async def test_a_refused_key_is_told_at_the_gateway_with_its_status(outbox: Outbox) -> None:
    sender = await outbox.add_sender(groups=1)
    message_id = await outbox.write(sender)
    watch = GatewayWatch(outbox.database, outbox.gateways, outbox.clock)
    key = "another-key-entirely"
    credentials = write_credentials(outbox.vault, key, AuthScheme.API_KEY)
    await outbox.change(Gateway, outbox.gateway_id, credentials=credentials)

    await outbox.work(outbox.new_worker(doubt=watch.doubt))
    await watch.run_once()

    message = await outbox.message(message_id)
    async with outbox.database.reading() as session:
        gateway = await session.get(Gateway, outbox.gateway_id)
    assert gateway is not None
    assert gateway.last_error_code == "auth"
    assert str(message.vps_error).startswith("HTTP 401: ")
    assert "The gateway answered" not in str(message.vps_error)


# --- what it says later

TEXT = "Ask Asha\nat +91 98765 43210, please. " + "We start at ten. " * 30 + "Bye"
LINE = " ".join(TEXT.split())


async def report(outbox: Outbox, sender: Sender, kind: InboundKind, **payload: object) -> str:
    now = outbox.clock.now()
    event = InboundEvent(
        gateway_id=outbox.gateway_id,
        kind=kind,
        gateway_session_id=source(outbox, sender).gateway_session_id,
        payload=payload,
        occurred_at=now,
        received_at=now,
    )
    async with outbox.database.writing() as session:
        return await apply_event(session, event, now, pace_seconds=1)


async def kept(outbox: Outbox, message: ScheduledWhatsappMessage) -> list[str | None]:
    """At the message and in its story."""
    statement = select(JournalEntry.data).where(JournalEntry.subject_id == message.id)
    async with outbox.database.reading() as session:
        return [message.vps_error, *(each["upstream"] for each in await session.scalars(statement))]


@pytest.mark.parametrize("repeated", [TEXT, LINE])
async def test_a_report_is_kept_without_the_text_that_it_repeats(
    outbox: Outbox, repeated: str
) -> None:
    sender = await outbox.add_sender()
    failed = await outbox.message(await accepted(outbox, sender, content=TEXT))
    rejected = await outbox.message(
        await outbox.write(sender, 1, status="sent", gateway_message_id="3EB0", content=TEXT)
    )
    error = f"no route for {repeated} to 919876543210"
    named = {"event": "message_failed", "clientRef": failed.client_ref}

    assert await report(outbox, sender, "send_callback", **named, error=error) == "applied"
    late = await report(
        outbox, sender, "message_error", messageId="3EB0", errorCode=479, errorMessage=error
    )

    assert late == "applied"
    words = "no route for ••• to •••210"
    assert await kept(outbox, await outbox.message(failed.id)) == [words, words]
    words = f"error 479: {words}"
    assert await kept(outbox, await outbox.message(rejected.id)) == [words, words]


async def test_a_report_that_fits_several_is_told_without_the_text_of_any(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    ids = [await accepted(outbox, sender, content=each) for each in ("We start at ten.", TEXT)]
    error = f"no route for {TEXT}, We start at ten."
    event = {"event": "message_failed", "groupJid": sender.jids[0], "error": error}

    assert await report(outbox, sender, "send_callback", **event) == "ambiguous"

    for message_id in ids:
        message = await outbox.message(message_id)
        assert await kept(outbox, message) == [None, "no route for •••, •••"]


async def test_a_look_up_is_kept_without_the_text_that_it_repeats(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await accepted(outbox, sender, content=escape("{We} start at ten."))
    message = await outbox.message(message_id)
    question = Question(
        id=message_id,
        started_at=message.request_started_at,
        client_ref=message.client_ref,
        carried_ref=True,
        gateway_id=outbox.gateway_id,
        gateway_session_id=None,
        group_jid=sender.jids[0],
    )
    answer = NotFound("“{We} start at ten.” was refused")
    later = outbox.clock.now() + timedelta(minutes=3)

    async with outbox.database.writing() as session:
        await apply_answer(session, question, answer, now=later, policy=Policy())

    message = await outbox.message(message_id)
    assert (message.status, message.attempts) == ("pending", 1)
    assert await kept(outbox, message) == ["“•••” was refused"] * 2
