"""Whoever changes several messages locks them by id: two who meet wait for each other's end, and
never for each other."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from tests.integration.messages.outbox import Outbox
from tests.integration.messages.test_claim_races import until_one_waits

from groupline.gateways.outcomes import Sent, Uncertain, UncertainReason
from groupline.gateways.port import Capabilities, Probe
from groupline.gateways.service import note_probe
from groupline.ids import new_id
from groupline.messages.claim import Claim
from groupline.messages.results import Result
from groupline.messages.rules import Policy
from groupline.messages.settle import settle
from groupline.models import Gateway, ScheduledWhatsappMessage

FORGETFUL = Probe(
    reachable=True, authenticated=True, latency_ms=1, version="2", capabilities=Capabilities()
)


async def in_flight(outbox: Outbox) -> tuple[UUID, UUID]:
    """Two messages; the one with the later id lies first in the table."""
    first, second = sorted((new_id(), new_id()))
    for message_id in (second, first):
        sender = await outbox.add_sender(1)
        await outbox.write(
            sender,
            id=message_id,
            status="sending",
            claimed_by="w",
            claimed_until=outbox.clock.now(),
            claim_token=new_id(),
            session_id=sender.session_id,
            gateway_id=outbox.gateway_id,
            gateway_session_id=sender.gateway_session_id,
            carried_ref=True,
            request_started_at=outbox.clock.now(),
        )
    return first, second


async def begins_with_the_first(
    outbox: Outbox, first: UUID, second: UUID, work: Coroutine[Any, Any, Any]
) -> None:
    """While somebody holds the first message, this work waits for it and holds no other."""
    message = ScheduledWhatsappMessage
    async with outbox.database.writing() as session:
        await session.execute(select(message.id).where(message.id == first).with_for_update())
        working = asyncio.create_task(work)
        await until_one_waits(outbox.database, at="row", waiter=working)
        free = select(message.id).where(message.id == second).with_for_update(nowait=True)
        assert await session.scalar(free) == second
    await working


async def sent(outbox: Outbox, message_id: UUID) -> Result:
    message = await outbox.message(message_id)
    assert message.claim_token is not None
    claim = Claim(
        id=message_id,
        organization_id=message.organization_id,
        number_id=message.number_id,
        gateway_id=outbox.gateway_id,
        token=message.claim_token,
        started_at=outbox.clock.now(),
        until=outbox.clock.now(),
        gateway_session_id=str(message.gateway_session_id),
        group_jid="120363@g.us",
        content=message.content,
        media_url=None,
        media_type=None,
        client_ref=message.client_ref,
        carries_ref=True,
        attempts=0,
        expires_at=None,
        too_soon=False,
        refusal=None,
    )
    return Result(claim, Sent(f"3EB0{message_id.hex}"), 0.0)


async def note_lost_memory(outbox: Outbox) -> None:
    async with outbox.database.writing() as session:
        await note_probe(session, outbox.gateway_id, FORGETFUL, outbox.clock.now())


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_doubts_about_what_a_gateway_was_sent(outbox: Outbox) -> None:
    first, second = await in_flight(outbox)
    await begins_with_the_first(outbox, first, second, note_lost_memory(outbox))
    assert [(await outbox.message(each)).carried_ref for each in (first, second)] == [False, False]


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_the_gateway_comes_after_its_messages(
    outbox: Outbox,
) -> None:
    first, _ = await in_flight(outbox)
    message, gateway = ScheduledWhatsappMessage, Gateway
    async with outbox.database.writing() as session:
        await session.execute(select(message.id).where(message.id == first).with_for_update())
        noting = asyncio.create_task(note_lost_memory(outbox))
        await until_one_waits(outbox.database, at="row", waiter=noting)
        free = select(gateway.id).where(gateway.id == outbox.gateway_id)
        assert await session.scalar(free.with_for_update(nowait=True)) == outbox.gateway_id
    await noting


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_results_of_both_kinds_that_are_stored_together(outbox: Outbox) -> None:
    first, second = await in_flight(outbox)
    unknown = Uncertain(UncertainReason.NO_ANSWER, http_status=None, detail="")
    results = [await sent(outbox, second), replace(await sent(outbox, first), outcome=unknown)]

    async def store_both() -> None:
        async with outbox.database.writing() as session:
            await settle(session, results, now=outbox.clock.now(), policy=Policy())

    await begins_with_the_first(outbox, first, second, store_both())
    statuses = [(await outbox.message(each)).status for each in (first, second)]
    assert statuses == ["uncertain", "sent"]


async def test_only_what_was_sent_since_the_last_look_is_in_doubt(outbox: Outbox) -> None:
    """On both databases, whatever they know of locks."""
    recent, other = await in_flight(outbox)
    outbox.clock.advance(60)
    await outbox.change(ScheduledWhatsappMessage, recent, request_started_at=outbox.clock.now())
    outbox.clock.advance(60)
    await note_lost_memory(outbox)
    assert (await outbox.message(recent)).carried_ref is False
    assert (await outbox.message(other)).carried_ref is True
