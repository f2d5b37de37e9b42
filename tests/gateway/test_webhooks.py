"""Events reach their receiver signed, in order, and sooner or later."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tests.gateway.receiver import Receiver, running_receiver
from tests.support.clock import NOW, ManualClock
from tests.support.gateway import (
    STUDIO,
    WEBHOOK_SECRET,
    RunningGateway,
    gateway_process,
    running_gateway,
)

from groupline_gateway.contract import WebhookType
from groupline_gateway.store import Store
from groupline_gateway.webhooks import Webhooks, retry_pause


async def test_an_event_is_one_signed_envelope(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    await telling_gateway.connect()
    [_, event] = await receiver.wait_for(2, "status")
    event.verify()
    assert event.path == "/hooks/1"
    assert set(event.envelope) == {"id", "type", "at", "data"}
    assert event.headers["webhook-id"] == event.envelope["id"]
    status = await telling_gateway.get("/status/wa_1")
    assert event.data == {
        "sessionId": "wa_1",
        "status": "connected",
        "phoneNumber": f"+{STUDIO}",
        "timestamp": status["since"],
    }


async def test_a_changed_body_does_not_verify(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    await telling_gateway.post("/connect", {"sessionId": "wa_1"})
    [event] = await receiver.wait_for(1)
    with pytest.raises(WebhookVerificationError):
        Webhook(WEBHOOK_SECRET).verify(event.raw.replace("wa_1", "wa_2"), event.headers)


async def test_a_session_is_told_of_in_order(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    gateway = telling_gateway
    await gateway.connect()
    await gateway.post(f"/sim/phones/{STUDIO}/drop")
    await gateway.post(f"/sim/phones/{STUDIO}/restore")
    await gateway.post(f"/sim/phones/{STUDIO}/unlink")
    events = await receiver.wait_for(5, "status")
    assert [(event.data["status"], event.data.get("reason")) for event in events] == [
        ("qr_pending", None),
        ("connected", None),
        ("disconnected", "connection_lost"),
        ("connected", None),
        ("disconnected", "logged_out"),
    ]


async def test_an_expired_pairing_is_told_by_itself(
    tmp_path: Path, clock: ManualClock, receiver: Receiver
) -> None:
    async with running_gateway(tmp_path, clock=clock, webhook_url=receiver.url) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        # The housekeeping sleeps, and the end of the pairing.
        await clock.sleepers(2)
        clock.advance(160)
        _, ended = await receiver.wait_for(2)
        assert ended.data["reason"] == "pairing_expired"


async def test_receipts_come_per_reader_and_anonymously(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    gateway = telling_gateway
    jid, *_ = await gateway.connect()
    sent = await gateway.send(jid, "ref-1")
    wanted = {"clientRef": "ref-1", "event": "read", "readers": 3, "anonymous": 2}
    assert (await gateway.post("/sim/receipts", wanted))["events"] == 5
    await gateway.post(
        "/sim/receipts",
        {"messageId": sent["messageId"], "event": "delivered", "readers": ["77@lid"]},
    )
    events = [event.data for event in await receiver.wait_for(6, "read-receipt")]
    assert {event["messageId"] for event in events} == {sent["messageId"]}
    read = [event["readerPhone"] for event in events if event["event"] == "read"]
    assert read.count("") == 2
    assert len(set(read)) == 4
    assert any(reader.endswith("@lid") for reader in read)
    assert [e["readerPhone"] for e in events if e["event"] == "delivered"] == ["77@lid"]


async def test_receipts_can_come_by_themselves(
    tmp_path: Path, clock: ManualClock, receiver: Receiver
) -> None:
    async with running_gateway(tmp_path, clock=clock, webhook_url=receiver.url) as gateway:
        receipts = {"readers": 2, "anonymous": 1, "deliveredAfter": 1, "readAfter": 4}
        [jid] = await gateway.add_phone(groups=[{"name": "Yoga"}], receipts=receipts)
        await gateway.pair()
        await gateway.send(jid, "ref-1")
        await receiver.wait_for(2, "status")
        await clock.sleepers(3)
        clock.advance(2)
        told = await receiver.wait_for(2, "read-receipt")
        assert [event.data["event"] for event in told] == ["delivered", "delivered"]
        await clock.sleepers(3)
        clock.advance(3)
        told = await receiver.wait_for(4, "read-receipt")
        assert [event.data["event"] for event in told[2:]] == ["read", "read"]


async def test_reactions_errors_and_memberships_are_told(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    gateway = telling_gateway
    jid, *_ = await gateway.connect()
    sent = await gateway.send(jid, "ref-1")
    reaction = {"messageId": sent["messageId"], "emoji": "👍", "reactor": "919812345678"}
    await gateway.post("/sim/reactions", reaction)
    await gateway.post("/sim/message-errors", {"clientRef": "ref-1"})
    await gateway.post("/sim/message-errors", {"clientRef": "unknown"}, expect=404)
    await gateway.delete(f"/sim/phones/{STUDIO}/groups/{jid}")
    [reacted] = await receiver.wait_for(1, "reaction")
    assert (reacted.data["emoji"], reacted.data["reactorPhone"]) == ("👍", "919812345678")
    [error] = await receiver.wait_for(1, "message-error")
    assert (error.data["errorCode"], error.data["clientRef"]) == (420, "ref-1")
    [left] = await receiver.wait_for(1, "membership")
    assert (left.data["event"], left.data["groupJid"]) == ("left", jid)
    assert (await gateway.message_status("ref-1"))["status"] == "failed"


async def test_what_is_refused_is_tried_again(tmp_path: Path, clock: ManualClock) -> None:
    async with (
        running_receiver() as receiver,
        running_gateway(tmp_path, clock=clock, webhook_url=receiver.url) as gateway,
    ):
        receiver.answer = 500
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await receiver.wait_until(lambda: receiver.refused, 1)
        receiver.answer = 200
        # The housekeeping, the end of the pairing, and the next attempt.
        await clock.sleepers(3)
        clock.advance(2)
        [event] = await receiver.wait_for(1)
        assert event.envelope["id"] == receiver.refused[0].envelope["id"]
        assert event.headers["webhook-id"] == event.envelope["id"]


async def test_a_receiver_that_was_away_gets_everything_in_order(tmp_path: Path) -> None:
    async with running_receiver() as receiver:
        pass
    async with running_gateway(tmp_path, webhook_url=receiver.url) as gateway:
        await gateway.connect()
        await gateway.post(f"/sim/phones/{STUDIO}/unlink")
        async with running_receiver(receiver):
            events = await receiver.wait_for(3)
    assert [event.data["status"] for event in events] == [
        "qr_pending",
        "connected",
        "disconnected",
    ]


@pytest.mark.e2e
async def test_undelivered_events_survive_a_kill(tmp_path: Path) -> None:
    async with running_receiver() as receiver:
        pass
    async with gateway_process(tmp_path, GROUPLINE_GATEWAY_WEBHOOK_URL=receiver.url) as process:
        async with process.client() as gateway:
            await gateway.connect()
        await process.kill()
        async with running_receiver(receiver):
            await process.start()
            events = await receiver.wait_for(2)
    assert [event.data["status"] for event in events] == ["qr_pending", "connected"]
    for event in events:
        event.verify()


async def test_nothing_is_kept_where_nobody_listens(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    await gateway.connect()
    store = Store(tmp_path / "gateway.db")
    await store.open()
    count = await store.read(
        lambda connection: connection.execute(
            "SELECT count(*) AS n FROM webhook_events"
        ).fetchone()["n"]
    )
    await store.close()
    assert count == 0


async def test_an_event_is_given_up_after_a_day(tmp_path: Path, clock: ManualClock) -> None:
    store = Store(tmp_path / "gateway.db")
    await store.open()
    async with running_receiver() as receiver:
        webhooks = Webhooks(store, clock, url=receiver.url, secret=WEBHOOK_SECRET)
        receiver.answer = 400
        await webhooks.emit(WebhookType.STATUS, {"sessionId": "wa_1"}, lane="status/wa_1")
        await webhooks.emit(WebhookType.STATUS, {"sessionId": "wa_2"}, lane="status/wa_1")
        while clock.now() - NOW <= timedelta(days=1):
            assert await webhooks.pending() == 2
            await webhooks.run_once()
            clock.advance(3600)
        await webhooks.run_once()
        assert await webhooks.pending() == 1
        assert {event.data["sessionId"] for event in receiver.refused} == {"wa_1"}
        await webhooks.stop()
    await store.close()


async def test_one_event_waits_while_the_others_go(tmp_path: Path, clock: ManualClock) -> None:
    """Only the lane of a refused event waits for it."""
    store = Store(tmp_path / "gateway.db")
    await store.open()
    async with running_receiver() as receiver:
        webhooks = Webhooks(store, clock, url=receiver.url, secret=WEBHOOK_SECRET)
        receiver.answer = 400
        await webhooks.emit(WebhookType.STATUS, {"n": 1}, lane="status/wa_1")
        await webhooks.run_once()
        receiver.answer = 200
        await webhooks.emit(WebhookType.STATUS, {"n": 2}, lane="status/wa_1")
        await webhooks.emit(WebhookType.STATUS, {"n": 3}, lane="status/wa_2")
        await webhooks.emit(WebhookType.REACTION, {"n": 4})
        await webhooks.run_once()
        assert [event.data["n"] for event in receiver.taken] == [3, 4]
        clock.advance(3)
        while await webhooks.run_once():
            pass
        assert [event.data["n"] for event in receiver.taken] == [3, 4, 1, 2]
        await webhooks.stop()
    await store.close()


def test_pauses_grow_and_stay_below_an_hour() -> None:
    longest = [retry_pause(attempts, 1.0) for attempts in range(40)]
    shortest = [retry_pause(attempts, 0.0) for attempts in range(40)]
    assert longest[:4] == [2, 4, 8, 16]
    assert longest == sorted(longest)
    assert max(longest) == 3600
    assert shortest == [pause / 2 for pause in longest]


async def test_the_envelope_is_valid_json_for_every_text(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    name = 'Quote " and \\ and योग 🔔 \u2028'
    [jid] = await telling_gateway.connect(groups=[{"name": "Old"}])
    await telling_gateway.call("PATCH", f"/sim/groups/{jid}", {"name": name})
    [event] = await receiver.wait_for(1, "membership")
    event.verify()
    assert json.loads(event.raw)["data"]["groupName"] == name
