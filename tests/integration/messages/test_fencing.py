"""A claim is its worker's own until its lease ends, and nobody's answer counts for another's."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.integration.messages.outbox import Outbox

from groupline.gateways.outcomes import (
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
    UncertainReason,
    not_sent,
)
from groupline.messages.claim import Claim, claim
from groupline.messages.dispatch import START_WITHIN
from groupline.messages.results import Result
from groupline.messages.sent import store_sent
from groupline.messages.settle import settle
from groupline.models import ScheduledWhatsappMessage

LEASE = timedelta(seconds=60)


async def claim_one(outbox: Outbox, worker: str) -> Claim:
    [claimed] = await claim(
        outbox.database, worker=worker, now=outbox.clock.now(), lease=LEASE, limit=10, roll=0.0
    )
    return claimed


async def claimed_twice(outbox: Outbox) -> tuple[UUID, Claim, Claim]:
    """A message whose first worker was given up, and which another one is sending now."""
    message_id = await outbox.write(await outbox.add_sender())
    first = await claim_one(outbox, "first")
    outbox.clock.advance(120)
    await outbox.change(ScheduledWhatsappMessage, message_id, status="pending", claim_token=None)
    second = await claim_one(outbox, "second")
    assert (first.id, second.id) == (message_id, message_id)
    return message_id, first, second


@pytest.mark.parametrize(
    "outcome",
    [
        not_sent(NotSentReason.NOT_CONNECTED, ""),
        not_sent(NotSentReason.REJECTED, ""),
        Uncertain(UncertainReason.NO_ANSWER, http_status=None, detail=""),
    ],
    ids=["to be sent later", "not to be sent", "not known"],
)
async def test_a_late_answer_does_not_end_the_claim_of_another(
    outbox: Outbox, outcome: SendOutcome
) -> None:
    message_id, first, second = await claimed_twice(outbox)

    async with outbox.database.writing() as session:
        late = Result(first, outcome, roll=0.5)
        await settle(session, [late], now=outbox.clock.now(), policy=outbox.policy)

    message = await outbox.message(message_id)
    assert (message.status, message.claim_token) == ("sending", second.token)
    assert message.attempts == 0
    assert await outbox.actions(message_id) == []


async def test_late_evidence_does_not_free_the_lane_of_another(outbox: Outbox) -> None:
    message_id, first, second = await claimed_twice(outbox)
    late, own = (Result(each, Sent("3EB0"), roll=0.5) for each in (first, second))

    assert await store_sent(outbox.database, [late], outbox.clock.now()) is False
    message = await outbox.message(message_id)
    assert (message.status, message.claim_token) == ("sending", second.token)

    assert await store_sent(outbox.database, [own], outbox.clock.now()) is True
    assert await outbox.statuses([message_id]) == ["sent"]


async def test_a_claim_is_left_alone_until_its_lease_ends(outbox: Outbox) -> None:
    message_id = await outbox.write(await outbox.add_sender())
    await claim_one(outbox, "slow")

    outbox.clock.advance(LEASE.total_seconds() - 1)
    await outbox.recoverer.run_once()
    assert await outbox.statuses([message_id]) == ["sending"]

    outbox.clock.advance(2)
    await outbox.recoverer.run_once()
    assert await outbox.statuses([message_id]) == ["uncertain"]


async def test_of_two_claims_only_that_whose_lease_has_ended_is_given_up(outbox: Outbox) -> None:
    ended = await outbox.write(await outbox.add_sender())
    await claim_one(outbox, "gone")
    outbox.clock.advance(LEASE.total_seconds() - 1)
    runs = await outbox.write(await outbox.add_sender())
    await claim_one(outbox, "alive")

    outbox.clock.advance(2)
    await outbox.recoverer.run_once()

    assert await outbox.statuses([ended, runs]) == ["uncertain", "sending"]


async def test_a_request_that_would_begin_too_late_is_not_made(outbox: Outbox) -> None:
    """Its answer might come when others have taken the message for lost already."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.dispatcher.run_once()
    outbox.clock.advance(START_WITHIN.total_seconds() + 1)
    await outbox.work()

    message = await outbox.message(message_id)
    assert (message.status, message.attempts) == ("pending", 0)
    assert await outbox.copies(sender.jids[0]) == 0
    outbox.clock.advance(outbox.policy.wait_withheld.total_seconds())
    await outbox.work()
    assert await outbox.statuses([message_id]) == ["sent"]
