"""Deliveries: signed, retried over a day, never in the way of each other."""

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import UUID

import pytest
from sqlalchemy import update
from standardwebhooks import Webhook
from tests.integration.webhooks.conftest import Desk
from tests.support.receiver import Received, running_receiver

from groupline.ids import new_id
from groupline.models import WebhookDelivery
from groupline.net import is_public
from groupline.webhooks import service
from groupline.webhooks.call import Caller, signed_headers
from groupline.webhooks.rules import LEASE, PAUSES, Delivered, NotDelivered
from groupline.webhooks.send import Sender


def is_signed_with(secret: str, received: Received) -> bool:
    """As a receiver checks it, but for the age, since the clock stands still here."""
    (name, stamp) = (received.headers["webhook-id"], received.headers["webhook-timestamp"])
    expected = Webhook(secret).sign(
        name, datetime.fromtimestamp(int(stamp), UTC), received.body.decode()
    )
    return expected in received.headers["webhook-signature"].split(" ")


async def delivered(desk: Desk) -> list[str]:
    await desk.happens()
    await desk.read()
    await desk.send()
    return [each.status for each in await desk.deliveries()]


async def test_a_delivery_is_signed_and_recorded(desk: Desk) -> None:
    _, secret = await desk.endpoint()
    assert await delivered(desk) == ["delivered"]
    (received,) = desk.receiver.received
    assert is_signed_with(secret, received)
    assert not is_signed_with("whsec_" + "A" * 44, received)
    assert received.headers["content-type"] == "application/json"
    (row,) = await desk.deliveries()
    assert json.loads(received.body) == row.payload
    assert (row.attempts, row.response_status, row.delivered_at) == (1, 204, desk.clock.now())
    assert row.next_attempt_at is None


def test_a_receiver_can_verify_with_the_published_library() -> None:
    secret = "whsec_" + "Q" * 44
    body = b'{"type":"message.sent"}'
    headers = signed_headers(new_id(), body, [secret], datetime.now(UTC))
    assert Webhook(secret).verify(body, headers) == {"type": "message.sent"}


async def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(desk: Desk) -> None:
    endpoint, old = await desk.endpoint()
    async with desk.database.writing() as session:
        made = await service.rotate_secret(
            session, desk.runtime.vault, desk.owner, endpoint.id, now=desk.clock.now()
        )
    await delivered(desk)
    desk.clock.advance(86_400)
    await delivered(desk)
    during, after = desk.receiver.received
    assert is_signed_with(old, during)
    assert is_signed_with(made.secret, during)
    assert not is_signed_with(old, after)
    assert is_signed_with(made.secret, after)


async def test_a_failure_is_tried_again_for_a_day_and_then_given_up(desk: Desk) -> None:
    endpoint, _ = await desk.endpoint()
    desk.receiver.status = 500
    start = desk.clock.now()
    await delivered(desk)
    for pause in PAUSES:
        (row,) = await desk.deliveries()
        assert row.next_attempt_at is not None
        wait = row.next_attempt_at - desk.clock.now()
        assert pause <= wait <= pause * 1.1
        desk.clock.advance(wait.total_seconds() - 1)
        assert not await desk.sender.run_once()
        desk.clock.advance(1)
        await desk.send()
    (row,) = await desk.deliveries()
    assert (row.status, row.attempts, row.next_attempt_at) == ("failed", len(PAUSES) + 1, None)
    assert row.last_error == "The receiver answered 500."
    assert timedelta(hours=23) < desk.clock.now() - start < timedelta(hours=27)
    ids = {each.headers["webhook-id"] for each in desk.receiver.received}
    assert len(ids) == 1
    assert len(desk.receiver.received) == len(PAUSES) + 1
    assert await desk.actions() == ["created", "failing"]
    assert (await desk.endpoint_row(endpoint.id)).last_error == "The receiver answered 500."


async def test_recovery_is_told_and_clears_the_error(desk: Desk) -> None:
    endpoint, _ = await desk.endpoint()
    desk.receiver.status = 503
    await delivered(desk)
    desk.receiver.status = 200
    desk.clock.advance(6)
    await desk.send()
    assert await desk.actions() == ["created", "failing", "recovered"]
    assert (await desk.endpoint_row(endpoint.id)).last_error is None


async def test_a_receiver_that_is_gone_gets_no_more(desk: Desk) -> None:
    endpoint, _ = await desk.endpoint()
    desk.receiver.status = 410
    assert await delivered(desk) == ["failed"]
    assert not (await desk.endpoint_row(endpoint.id)).enabled
    await delivered(desk)
    assert len(desk.receiver.received) == 1
    assert await desk.actions() == ["created", "failing", "disabled"]


async def test_redirects_are_not_followed(desk: Desk) -> None:
    async with running_receiver() as elsewhere:
        desk.receiver.status, desk.receiver.headers = 307, {"Location": elsewhere.url}
        await desk.endpoint()
        await delivered(desk)
        assert elsewhere.received == []
    (row,) = await desk.deliveries()
    assert row.last_error == "The receiver redirects (307); redirects are not followed."


async def test_a_slow_receiver_does_not_hold_up_another(desk: Desk) -> None:
    desk.receiver.answers.clear()
    await desk.endpoint()
    async with running_receiver() as quick:
        for _ in range(12):
            await desk.happens()
        await desk.read()
        assert await desk.sender.run_once()
        await desk.endpoint(url=quick.url)
        await desk.happens()
        await desk.read()
        while await desk.sender.run_once():
            pass
        await quick.arrived.wait()
        await desk.receiver.arrived.wait()
        assert len(desk.receiver.received) <= 4
        assert await desk.sender.next_due() != 0
        desk.receiver.answers.set()
        await desk.sender.drain()
    await desk.send()
    assert len(desk.receiver.received) == 13
    assert {each.status for each in await desk.deliveries()} == {"delivered"}


async def test_a_crash_during_the_call_repeats_it_with_the_same_id(desk: Desk) -> None:
    """At least once: nobody recorded the first attempt, so it is made again after its lease."""
    await desk.endpoint()
    await desk.happens()
    await desk.read()
    async with desk.database.writing() as session:  # claimed by a process that is gone
        until = desk.clock.now() + LEASE
        await session.execute(
            update(WebhookDelivery).values(next_attempt_at=until, claimed_until=until)
        )
    await desk.send()
    assert desk.receiver.received == []
    desk.clock.advance(LEASE.total_seconds())
    await desk.send()
    assert len(desk.receiver.received) == 1
    assert [each.status for each in await desk.deliveries()] == ["delivered"]


async def test_the_result_of_an_attempt_whose_lease_ended_changes_nothing(desk: Desk) -> None:
    await desk.endpoint()
    await desk.happens()
    await desk.read()
    desk.receiver.answers.clear()
    assert await desk.sender.run_once()
    await desk.receiver.arrived.wait()
    async with desk.database.writing() as session:  # another process has taken it over
        theirs = desk.clock.now() + 2 * LEASE
        await session.execute(update(WebhookDelivery).values(claimed_until=theirs))
    desk.receiver.answers.set()
    await desk.sender.drain()
    (row,) = await desk.deliveries()
    assert (row.status, row.attempts) == ("pending", 0)


async def test_send_again_makes_one_more_attempt_at_once(desk: Desk) -> None:
    endpoint, _ = await desk.endpoint()
    await delivered(desk)
    (row,) = await desk.deliveries()
    async with desk.database.writing() as session:
        await service.send_again(session, desk.owner, endpoint.id, row.id, now=desk.clock.now())
    await desk.send()
    first, second = desk.receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    (row,) = await desk.deliveries()
    assert (row.status, row.attempts) == ("delivered", 2)


async def test_a_test_is_a_delivery_that_nobody_subscribed_to(desk: Desk) -> None:
    endpoint, secret = await desk.endpoint()
    async with desk.database.writing() as session:
        await service.send_test(session, desk.owner, endpoint.id, now=desk.clock.now())
    await desk.send()
    (received,) = desk.receiver.received
    assert json.loads(received.body)["type"] == "webhook.test"
    assert is_signed_with(secret, received)


async def test_a_removed_endpoint_gets_nothing_that_was_open(desk: Desk) -> None:
    endpoint, _ = await desk.endpoint()
    await desk.happens()
    await desk.read()
    async with desk.database.writing() as session:
        await service.remove_endpoint(session, desk.owner, endpoint.id, now=desk.clock.now())
    await desk.send()
    assert desk.receiver.received == []
    assert [each.status for each in await desk.deliveries()] == ["failed"]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/", "http://[::ffff:7f00:1]:1/"],
)
async def test_a_private_address_is_not_called(desk: Desk, url: str) -> None:
    port = desk.receiver.url.split(":")[2].split("/")[0]
    async with Caller(is_public) as strict:
        outcome = await strict.call(url.replace(":1/", f":{port}/"), b"{}", {})
    assert outcome == NotDelivered("The address leads into a private network.")
    assert desk.receiver.received == []


async def nobody_knows(host: str, *_: object, **__: object) -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, f"{host} is not known")


async def test_what_goes_wrong_on_the_way_has_a_sentence(
    desk: Desk, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await caller.call(desk.receiver.url, b"{}", {}) == Delivered(204)
    closed = await caller.call("http://127.0.0.1:9/", b"{}", {})
    assert closed == NotDelivered("The receiver cannot be reached.")
    # What this machine's resolver would say, and how long it would take, is not known here.
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nobody_knows)
    unknown = await caller.call("http://nobody.invalid/", b"{}", {})
    assert unknown == NotDelivered("The name of the receiver is not known.")
    desk.receiver.answers.clear()
    async with Caller(caller._allows, seconds=0.2) as hasty:
        late = await hasty.call(desk.receiver.url, b"{}", {})
    assert late == NotDelivered("The receiver did not answer within 0.2 s.")


async def test_several_senders_attempt_each_delivery_once(desk: Desk, caller: Caller) -> None:
    await desk.endpoint()
    for _ in range(20):
        await desk.happens()
    await desk.read()
    senders = [Sender(desk.database, desk.runtime.vault, caller, desk.clock) for _ in range(3)]
    while any([await each.run_once() for each in senders]):
        for each in senders:
            await each.drain()
    seen = [
        UUID(each.headers["webhook-id"].removeprefix("msg_")) for each in desk.receiver.received
    ]
    assert sorted(seen) == [each.id for each in await desk.deliveries()]
