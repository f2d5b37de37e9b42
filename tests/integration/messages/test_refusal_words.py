"""What a gateway says to a send, and what of it is kept: its words, once, and no text or key."""

from datetime import timedelta

from sqlalchemy import select
from tests.integration.messages.outbox import Outbox

from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.gateways.watch import GatewayWatch
from groupline.models import (
    Gateway,
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
