"""What counts as proof that a message was not sent: who was asked, by what name, and how soon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete
from tests.integration.messages.holding import HELD
from tests.integration.messages.outbox import OWN_CAPABILITIES, PERSON, Outbox, Sender
from tests.support.factories import make_gateway

from groupline.gateways.drivers.base import HttpPool, Limit, Limits
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways, note_probe
from groupline.messages import service
from groupline.messages.dispatch import Dispatcher
from groupline.messages.feedback import About, Source, apply_send_callback
from groupline.messages.reconcile import Reconciler
from groupline.messages.rules import Policy
from groupline.models import Gateway, InboundOutcome, ScheduledWhatsappMessage, WhatsappSession

OVER = Policy().unsent_after.total_seconds() + 1


async def look(outbox: Outbox, seconds: float = 2.0) -> None:
    outbox.clock.advance(seconds)
    await outbox.reconciler.run_once()


async def unanswered(outbox: Outbox, sender: Sender, group: int = 0) -> UUID:
    """A message that was sent, and whose answer was lost."""
    message_id = await outbox.write(sender, group)
    await outbox.gateway.fault("reset_after", route="send", times=1)
    await outbox.work()
    assert (await outbox.message(message_id)).status == "uncertain"
    return message_id


# --- a gateway says no only about what it was told


@pytest.mark.parametrize("how", ["accepted", "lost worker"])
async def test_a_gateway_that_learns_references_later_cannot_deny_what_came_before(
    outbox: Outbox, how: str
) -> None:
    await outbox.change(Gateway, outbox.gateway_id, capabilities=[])
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    if how == "accepted":
        await outbox.gateway.fault("accepted", route="send", times=1, callback="never")
        await outbox.work()
    else:
        lost = outbox.new_worker()
        await lost.run_once()
        await lost.answers()
    await outbox.change(Gateway, outbox.gateway_id, capabilities=OWN_CAPABILITIES)

    outbox.clock.advance(Policy().callback_within.total_seconds() + 1)
    await outbox.recoverer.run_once()
    await look(outbox)
    outbox.clock.advance(10)
    await outbox.work()

    assert (await outbox.message(message_id)).status == "uncertain"
    assert await outbox.copies(sender.jids[0]) == 1


async def probed(outbox: Outbox) -> None:
    """The watch looks at the gateway."""
    async with outbox.database.reading() as session:
        gateway = await session.get_one(Gateway, outbox.gateway_id)
    probe = await outbox.gateways.probe(gateway)
    async with outbox.database.writing() as session:
        await note_probe(session, outbox.gateway_id, probe, outbox.clock.now())


async def test_a_gateway_that_had_lost_its_references_cannot_deny_what_came_meanwhile(
    outbox: Outbox,
) -> None:
    """For a while it is believed to know references, and ignores them."""
    sender = await outbox.add_sender()
    await probed(outbox)
    before = await unanswered(outbox, sender)
    outbox.clock.advance(100)
    await outbox.gateway.put("/sim/dialect", {"ownParts": False})
    message_id = await unanswered(outbox, sender, 1)
    await probed(outbox)
    await outbox.gateway.put("/sim/dialect", {})
    await probed(outbox)

    outbox.clock.advance(OVER)
    await look(outbox)
    await outbox.work()

    assert (await outbox.message(message_id)).status == "uncertain"
    assert await outbox.copies(sender.jids[1]) == 1
    assert (await outbox.message(before)).status == "sent", "it was told that one's reference"


async def test_an_attempt_keeps_where_it_went(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message = await outbox.message(await unanswered(outbox, sender))

    assert message.gateway_id == outbox.gateway_id
    assert message.gateway_session_id == sender.gateway_session_id
    assert message.carried_ref is True


async def test_a_message_is_found_when_its_session_has_left_the_history(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await unanswered(outbox, sender)
    async with outbox.database.writing() as session:
        await session.execute(
            delete(WhatsappSession).where(WhatsappSession.id == sender.session_id)
        )

    await look(outbox)

    assert (await outbox.message(message_id)).status == "sent"


# --- a gateway that cannot be asked now is asked later


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ({"enabled": False}, {"enabled": True}),
        ({"capabilities": []}, {"capabilities": OWN_CAPABILITIES}),
    ],
)
async def test_a_message_is_not_forgotten_while_its_gateway_cannot_be_asked(
    outbox: Outbox, away: dict[str, object], back: dict[str, object]
) -> None:
    sender = await outbox.add_sender()
    message_id = await unanswered(outbox, sender)
    await outbox.change(Gateway, outbox.gateway_id, **away)
    await look(outbox)
    await look(outbox, 90)
    assert (await outbox.message(message_id)).status == "uncertain"

    await outbox.change(Gateway, outbox.gateway_id, **back)
    await look(outbox, 600)

    assert (await outbox.message(message_id)).status == "sent"


async def test_a_message_is_not_forgotten_when_its_gateway_was_away_at_the_crash(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    lost = outbox.new_worker()
    await lost.run_once()
    await lost.answers()
    await outbox.change(Gateway, outbox.gateway_id, capabilities=[])
    outbox.clock.advance(61)
    await outbox.recoverer.run_once()

    await outbox.change(Gateway, outbox.gateway_id, capabilities=OWN_CAPABILITIES)
    await look(outbox)

    assert (await outbox.message(message_id)).status == "sent"


async def test_one_gateway_that_cannot_be_used_does_not_hold_up_the_others(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await unanswered(outbox, sender)
    async with outbox.database.writing() as session:
        unreadable = await make_gateway(session, credentials="x", capabilities=OWN_CAPABILITIES)
    now = outbox.clock.now()
    other_id = await outbox.write(
        sender,
        1,
        status="uncertain",
        session_id=sender.session_id,
        gateway_id=unreadable.id,
        gateway_session_id=sender.gateway_session_id,
        carried_ref=True,
        request_started_at=now,
        next_check_at=now,
    )

    await look(outbox)

    assert (await outbox.message(message_id)).status == "sent"
    other = await outbox.message(other_id)
    assert other.status == "uncertain"
    assert other.next_check_at is not None
    assert other.next_check_at > outbox.clock.now()


# --- a no that comes too soon


@asynccontextmanager
async def impatient(outbox: Outbox) -> AsyncIterator[tuple[Dispatcher, Reconciler]]:
    """A worker that gives up on a request while the gateway still holds it."""
    async with HttpPool() as pool:
        limits = Limits(send=Limit(2))
        gateways = Gateways(DriverRegistry(pool, limits), outbox.vault)
        worker = Dispatcher(outbox.database, gateways, outbox.clock, policy=outbox.policy)
        yield worker, Reconciler(outbox.database, gateways, outbox.clock, policy=outbox.policy)


async def arrival(outbox: Outbox, sender: Sender) -> None:
    async with asyncio.timeout(60):
        while True:
            if await outbox.copies(sender.jids[0]):
                return
            await asyncio.sleep(0.05)


async def test_a_no_before_the_request_can_be_over_proves_nothing(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    soon = outbox.clock.now() + timedelta(seconds=4)
    message_id = await outbox.write(sender, expires_at=soon)
    await outbox.gateway.fault("delay", route="send", times=1, seconds=HELD)
    async with impatient(outbox) as (worker, reconciler):
        await outbox.work(worker)
        await outbox.gateway_clock.holds()
        outbox.clock.advance(2)
        await reconciler.run_once()
        assert (await outbox.message(message_id)).status == "uncertain"
        outbox.gateway_clock.let_go()
        await arrival(outbox, sender)
        outbox.clock.advance(OVER)
        await reconciler.run_once()

    assert (await outbox.message(message_id)).status == "sent"
    assert await outbox.actions(message_id) == ["message.uncertain", "message.sent"]


async def test_a_no_after_that_is_a_no(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("reset_before", route="send", times=1)
    await outbox.work()
    await look(outbox, OVER - 2)
    assert (await outbox.message(message_id)).status == "uncertain"
    await look(outbox, 2)
    assert (await outbox.message(message_id)).status == "pending"


async def callback(outbox: Outbox, sender: Sender, about: About) -> InboundOutcome:
    now = outbox.clock.now()
    source = Source(outbox.gateway_id, sender.gateway_session_id)
    async with outbox.database.writing() as session:
        return await apply_send_callback(
            session, source, about, event="sent", error=None, at=now, now=now
        )


@pytest.mark.parametrize("end", ["cancelled", "failed", "expired"])
async def test_evidence_counts_after_any_end(outbox: Outbox, end: str) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, status=end, session_id=sender.session_id)
    about = About((await outbox.message(message_id)).client_ref, "3EB0")

    assert await callback(outbox, sender, about) == "applied"

    message = await outbox.message(message_id)
    assert (message.status, message.gateway_message_id) == ("sent", "3EB0")
    assert await outbox.actions(message_id) == ["message.sent"]


# --- sent again, elsewhere


async def test_a_new_attempt_at_another_gateway_waits_until_the_first_can_be_over(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await unanswered(outbox, sender)
    async with outbox.database.writing() as session:
        other = await make_gateway(session, capabilities=OWN_CAPABILITIES)
    await outbox.change(ScheduledWhatsappMessage, message_id, gateway_id=other.id)
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
    assert (await outbox.message(message_id)).status == "pending"
    outbox.clock.advance(OVER)
    await outbox.work()
    assert (await outbox.message(message_id)).status == "sent"


async def test_what_a_gateway_refused_may_go_through_another_at_once(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("refuse", route="send", times=1)

    await outbox.work()

    message = await outbox.message(message_id)
    assert (message.status, message.gateway_id) == ("pending", None)


async def test_a_reference_with_another_text_at_the_gateway_is_looked_up(outbox: Outbox) -> None:
    """The text was changed after an attempt that arrived: nothing is lost, and nothing twice."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.work()
    await outbox.change(
        ScheduledWhatsappMessage,
        message_id,
        status="pending",
        sent_at=None,
        gateway_message_id=None,
        content="Changed",
    )

    await outbox.work()
    message = await outbox.message(message_id)
    assert (message.status, message.error_code) == ("uncertain", "reference_used")
    await look(outbox)

    assert (await outbox.message(message_id)).status == "sent"
    assert await outbox.copies(sender.jids[0]) == 1
