"""Claim, send, settle: against the simulator over HTTP, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.integration.messages.holding import HELD
from tests.integration.messages.outbox import Outbox
from tests.integration.messages.refusing import unstorable

from groupline.db import Database
from groupline.models import (
    Gateway,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)


async def test_a_due_message_is_sent_with_the_gateways_id_as_evidence(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)

    await outbox.work()

    message = await outbox.message(message_id)
    assert message.status == "sent"
    assert message.gateway_message_id
    assert message.sent_at == outbox.clock.now()
    assert message.session_id == sender.session_id
    assert message.claim_token is None
    assert await outbox.copies(sender.jids[0]) == 1
    assert await outbox.actions(message_id) == ["message.sent"]


async def test_many_messages_of_many_numbers_all_arrive_once(outbox: Outbox) -> None:
    senders = [await outbox.add_sender() for _ in range(4)]
    ids = [
        await outbox.write(sender, group, content=f"{n}")
        for sender in senders
        for group in range(3)
        for n in range(3)
    ]

    await outbox.work()

    assert set(await outbox.statuses(ids)) == {"sent"}
    copies = await outbox.gateway.copies()
    assert len(copies) == len(ids)
    assert set(copies.values()) == {1}


async def test_what_is_not_due_stays_scheduled(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    at = outbox.clock.now() + timedelta(seconds=30)
    message_id = await outbox.write(sender, scheduled_for=at)

    await outbox.work()
    assert (await outbox.message(message_id)).status == "pending"
    assert await outbox.dispatcher.next_due() == 30

    outbox.clock.advance(30)
    await outbox.work()
    assert (await outbox.message(message_id)).status == "sent"


async def test_a_lane_goes_by_priority_then_by_time(outbox: Outbox) -> None:
    sender = await outbox.add_sender(groups=1)
    now = outbox.clock.now()
    for text, priority, minutes in (
        ("campaign", 2, 30),
        ("late reminder", 1, 5),
        ("early reminder", 1, 10),
        ("send now", 0, 0),
    ):
        await outbox.write(
            sender,
            content=text,
            priority=priority,
            scheduled_for=now - timedelta(minutes=minutes),
        )

    await outbox.work()

    deliveries = await outbox.gateway.deliveries()
    assert [each["text"] for each in deliveries] == [
        "send now",
        "early reminder",
        "late reminder",
        "campaign",
    ]


async def test_the_next_message_of_a_number_waits_for_its_pace(outbox: Outbox) -> None:
    sender = await outbox.add_sender(pace_seconds=10.0)
    first, second = [await outbox.write(sender, group) for group in (0, 1)]

    await outbox.work()
    assert await outbox.statuses([first, second]) == ["sent", "pending"]
    outbox.clock.advance(9.9)
    await outbox.work()
    assert await outbox.statuses([second]) == ["pending"]
    outbox.clock.advance(1.2)
    await outbox.work()
    assert await outbox.statuses([second]) == ["sent"]


async def test_a_disconnected_number_keeps_its_messages_and_burns_no_attempt(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.disconnect(sender)

    await outbox.work()

    message = await outbox.message(message_id)
    assert (message.status, message.attempts) == ("pending", 0)


@pytest.mark.parametrize(
    ("row", "values"),
    [
        (WhatsappNumber, {"paused_at": "now"}),
        (WhatsappNumber, {"restricted_until": "later", "restriction": "spam"}),
        (Gateway, {"enabled": False}),
        (Gateway, {"unreachable_since": "now", "last_error_code": "unreachable"}),
        (Gateway, {"unreachable_since": "now", "last_error_code": "server_error"}),
        (Gateway, {"unreachable_since": "now", "last_error_code": "malformed"}),
    ],
)
async def test_nothing_leaves_while_its_number_may_not_send(
    outbox: Outbox, row: type, values: dict[str, object]
) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    times = {"now": outbox.clock.now(), "later": outbox.clock.now() + timedelta(hours=1)}
    row_id = outbox.gateway_id if row is Gateway else sender.number_id
    named = {key: times.get(str(value), value) for key, value in values.items()}
    await outbox.change(row, row_id, **named)

    await outbox.work()

    assert (await outbox.message(message_id)).status == "pending"
    assert await outbox.gateway.deliveries() == []


async def test_a_gateway_that_has_not_every_route_is_tried(outbox: Outbox) -> None:
    """It says for certain what it does not do: nothing becomes uncertain by that."""
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    ill = {"unreachable_since": outbox.clock.now(), "last_error_code": "route_missing"}
    await outbox.change(Gateway, outbox.gateway_id, **ill)

    await outbox.work()

    assert (await outbox.message(message_id)).status == "sent"


@pytest.mark.parametrize(
    ("code", "content", "group", "membership"),
    [
        ("unresolved_variable", "Hello {first_name}", {}, {}),
        ("community_parent", "Hello", {"is_community": True}, {}),
        ("not_a_member", "Hello", {}, {"is_active": False, "missing_since": "now"}),
        ("admins_only", "Hello", {"announce_only": True}, {}),
    ],
)
async def test_the_guards_of_the_last_moment(
    outbox: Outbox,
    code: str,
    content: str,
    group: dict[str, object],
    membership: dict[str, object],
) -> None:
    sender = await outbox.add_sender(groups=2)
    bad = await outbox.write(sender, 0, content=content)
    good = await outbox.write(sender, 1)
    if group:
        await outbox.change(WhatsappGroup, sender.group_ids[0], **group)
    if membership:
        facts = {**membership, "missing_since": outbox.clock.now()}
        async with outbox.database.writing() as session:
            await session.execute(
                WhatsappMembership.__table__.update()  # type: ignore[attr-defined]
                .where(WhatsappMembership.group_id == sender.group_ids[0])
                .values(**facts)
            )

    await outbox.work()

    message = await outbox.message(bad)
    assert (message.status, message.error_code) == ("failed", code)
    assert await outbox.copies(sender.jids[0]) == 0
    assert (await outbox.message(good)).status == "sent"


async def test_a_message_past_its_expiry_never_leaves(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    now = outbox.clock.now()
    message_id = await outbox.write(
        sender, scheduled_for=now - timedelta(minutes=31), expires_at=now
    )

    await outbox.work()

    assert (await outbox.message(message_id)).status == "pending"
    assert await outbox.gateway.deliveries() == []


async def test_not_connected_stops_the_lane_asks_the_verifier_and_burns_no_attempt(
    outbox: Outbox,
) -> None:
    sender = await outbox.add_sender()
    ids = [await outbox.write(sender, group) for group in range(3)]
    await outbox.gateway.fault("unavailable", route="send", times=1)

    await outbox.work()

    first = await outbox.message(ids[0])
    assert (first.status, first.attempts, first.error_code) == ("pending", 0, "not_connected")
    assert set(await outbox.statuses(ids)) == {"pending"}
    async with outbox.database.reading() as session:
        pairing = await session.get(WhatsappSession, sender.session_id)
    assert pairing is not None
    assert pairing.next_verify_at == outbox.clock.now()

    outbox.clock.advance(15)
    await outbox.work()
    assert set(await outbox.statuses(ids)) == {"sent"}
    texts = [each["groupJid"] for each in await outbox.gateway.deliveries()]
    assert texts == list(sender.jids), "waiting must not change the order"


async def test_a_reconnected_number_does_not_wait_for_the_hold(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender)
    await outbox.gateway.fault("unavailable", route="send", times=1)
    await outbox.work()

    outbox.clock.advance(1)
    await outbox.change(WhatsappSession, sender.session_id, connected_at=outbox.clock.now())
    await outbox.work()

    assert (await outbox.message(message_id)).status == "sent"


async def test_the_cap_of_a_gateway_holds_across_workers(outbox: Outbox) -> None:
    await outbox.change(Gateway, outbox.gateway_id, max_in_flight=3)
    senders = [await outbox.add_sender(groups=1) for _ in range(6)]
    ids = [await outbox.write(sender) for sender in senders]
    await outbox.gateway.fault("delay", route="send", times=3, seconds=HELD)
    other = outbox.new_worker()

    await outbox.dispatcher.run_once()
    await other.run_once()
    assert outbox.dispatcher.in_flight + other.in_flight == 3
    assert (await outbox.statuses(ids)).count("sending") == 3

    await outbox.gateway_clock.holds(3)
    outbox.gateway_clock.let_go()
    await outbox.work()
    await outbox.work(other)
    assert set(await outbox.statuses(ids)) == {"sent"}


async def test_draining_finishes_what_runs_and_claims_nothing_new(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    first, second = [await outbox.write(sender, group) for group in (0, 1)]
    await outbox.gateway.fault("delay", route="send", times=1, seconds=HELD)
    await outbox.dispatcher.run_once()
    assert await outbox.statuses([first]) == ["sending"]

    await outbox.during(outbox.dispatcher.drain(), asyncio.sleep(0))

    assert await outbox.statuses([first, second]) == ["sent", "pending"]


async def test_a_result_waits_for_others_but_not_for_a_slow_request(outbox: Outbox) -> None:
    slow, quick = await outbox.add_sender(groups=1), await outbox.add_sender(groups=1)
    ids = [await outbox.write(slow), await outbox.write(quick)]
    held_up = slow.gateway_session_id
    await outbox.gateway.fault("delay", route="send", sessionId=held_up, seconds=HELD)
    await outbox.dispatcher.run_once()

    async with asyncio.timeout(25):  # the slow one would have failed by then
        while await outbox.statuses(ids) != ["sending", "sent"]:
            await outbox.dispatcher.wake.wait()
            outbox.dispatcher.wake.clear()
            await outbox.dispatcher.run_once()

    assert outbox.dispatcher.in_flight == 1


async def test_nothing_is_claimed_while_every_lane_is_known_to_be_busy(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that is full suggests another one, but not when it filled all lanes there are."""
    senders = [await outbox.add_sender(groups=1) for _ in range(2)]
    ids = [await outbox.write(sender) for sender in senders for _ in range(2)]
    worker = outbox.new_worker(batch=2)
    await worker.run_once()
    await worker.run_once()
    await worker.answers()
    outbox.clock.advance(1)
    await outbox.gateway.fault("delay", route="send", times=2, seconds=HELD)
    await worker.run_once()
    assert worker.in_flight == 2

    with monkeypatch.context() as patched:
        patched.setattr(Database, "carry_out", _unexpected)
        assert not await worker.run_once()

    later = await outbox.write(await outbox.add_sender(groups=1))
    outbox.clock.advance(1)
    await worker.run_once()
    assert worker.in_flight == 3
    await outbox.gateway_clock.holds(2)
    outbox.gateway_clock.let_go()
    await outbox.work(worker)
    assert set(await outbox.statuses([*ids, later])) == {"sent"}


async def _unexpected(*_: object) -> None:
    raise AssertionError("it claimed")


async def test_a_result_that_the_database_refuses_holds_up_nothing_else(outbox: Outbox) -> None:
    """It is tried again, and then left to its lease: by that it is found out what became of it."""
    refused, other = [await outbox.add_sender(groups=2) for _ in range(2)]
    lost = await outbox.write(refused)
    await outbox.dispatcher.run_once()
    await outbox.dispatcher.answers()
    async with unstorable(outbox.database, lost):
        beside = [await outbox.write(other, group) for group in (0, 1)]
        with capture_logs() as logs:
            await outbox.work()
        assert await outbox.statuses([lost, *beside]) == ["sending", "sent", "sent"]
        told = [each for each in logs if each["event"] == "message.result_lost"]
        assert [each["message_id"] for each in told] == [str(lost)]

    outbox.clock.advance(61)
    await outbox.recoverer.run_once()
    outbox.clock.advance(2)
    await outbox.reconciler.run_once()
    assert await outbox.statuses([lost]) == ["sent"]
    assert set((await outbox.gateway.copies()).values()) == {1}


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
async def test_what_was_sent_waits_for_as_long_as_the_database_cannot_store_anything(
    outbox: Outbox,
) -> None:
    """Only an error that lies in a result is held against it."""
    message_id = await outbox.write(await outbox.add_sender(groups=1))
    await outbox.dispatcher.run_once()
    await outbox.dispatcher.answers()
    async with unstorable(outbox.database, message_id, condition="disk_full"):
        for _ in range(5):
            with pytest.raises(Exception, match="refused"):
                await outbox.dispatcher.run_once()

    await outbox.work()

    assert await outbox.statuses([message_id]) == ["sent"]
    assert await outbox.actions(message_id) == ["message.sent"]


async def test_a_claim_whose_answer_is_lost_is_sent_all_the_same(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks when it is committed: nobody else may send it until its lease ends."""
    one, two = [await outbox.add_sender(groups=2) for _ in range(2)]
    ids = [await outbox.write(one), await outbox.write(one, 1), await outbox.write(two)]
    outbox.clock.advance(1)
    await outbox.dispatcher.run_once()
    await outbox.dispatcher.answers()

    with monkeypatch.context() as patched:
        patched.setattr(Database, "carry_out", _answers_get_lost(Database.carry_out))
        with pytest.raises(ConnectionError):
            await outbox.dispatcher.run_once()
    assert await outbox.statuses(ids) == ["sent", "sending", "sent"]

    await outbox.work()
    assert await outbox.statuses(ids) == ["sent", "sent", "sent"]
    assert set((await outbox.gateway.copies()).values()) == {1}


def _answers_get_lost(carry_out: Callable[..., Awaitable[object]]) -> Callable[..., Any]:
    async def lost(*asked: Any) -> None:
        await carry_out(*asked)
        raise ConnectionError("the server closed the connection")

    return lost


async def test_a_claim_that_was_not_committed_is_made_again(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = await outbox.write(await outbox.add_sender(groups=1))
    with monkeypatch.context() as patched:
        patched.setattr(Database, "carry_out", _no_connection)
        with pytest.raises(ConnectionError):
            await outbox.dispatcher.run_once()
    await outbox.work()
    assert await outbox.statuses([message_id]) == ["sent"]


async def _no_connection(*_: object) -> None:
    raise ConnectionError("no connection")


async def test_a_claim_that_fails_takes_no_result_with_it(outbox: Outbox) -> None:
    """Both are one transaction, but what was sent is stored however often the claim fails."""
    sender = await outbox.add_sender(groups=2)
    first, second = [await outbox.write(sender, group) for group in (0, 1)]
    await outbox.dispatcher.run_once()
    await outbox.dispatcher.answers()
    async with unstorable(outbox.database, second):
        with pytest.raises(Exception, match="refused"):
            await outbox.dispatcher.run_once()
        assert await outbox.statuses([first, second]) == ["sent", "pending"]

    await outbox.work()

    assert await outbox.statuses([first, second]) == ["sent", "sent"]
    assert set((await outbox.gateway.copies()).values()) == {1}
