"""Each kind of fault shows its effect, and only where it was asked for."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.receiver import Receiver
from tests.support.clock import ManualClock
from tests.support.gateway import (
    STUDIO,
    GatewayClient,
    RunningGateway,
    gateway_process,
    running_gateway,
)


async def _raw_send(gateway: GatewayClient, jid: str, ref: str) -> tuple[int, str, str]:
    body = {"sessionId": "wa_1", "phone": jid, "message": "hello", "clientRef": ref}
    async with gateway.http.post(gateway.url + "/send", json=body) as answer:
        return answer.status, answer.content_type, await answer.text()


@pytest.mark.parametrize(
    ("kind", "given", "expected", "part"),
    [
        ("unavailable", {}, (503, "application/json"), "not connected"),
        ("error", {}, (500, "application/json"), "error"),
        ("error", {"httpStatus": 504}, (504, "application/json"), "error"),
        ("html", {}, (502, "text/html"), "<html>"),
        ("html", {"httpStatus": 200}, (200, "text/html"), "<html>"),
        ("rate_limited", {}, (429, "application/json"), "slow down"),
        ("unauthorized", {}, (401, "application/json"), "X-API-Key"),
        ("garbage", {}, (200, "application/json"), '{"success": tr'),
        ("lie", {}, (200, "application/json"), '{"success":true}'),
        ("lie", {"messageId": True}, (200, "application/json"), '"messageId":'),
        ("refuse", {}, (200, "application/json"), '"success":false'),
        ("empty", {}, (200, "application/json"), "{}"),
    ],
)
async def test_a_wrong_answer_to_a_send_that_did_not_happen(
    gateway: RunningGateway,
    kind: str,
    given: dict[str, object],
    expected: tuple[int, str],
    part: str,
) -> None:
    jid, *_ = await gateway.connect()
    await gateway.fault(kind, route="send", times=1, **given)
    answered = await _raw_send(gateway, jid, "ref-1")
    assert answered[:2] == expected
    assert part in answered[2]
    assert await gateway.deliveries() == []
    assert await gateway.message_status("ref-1") == {"found": False}
    # Once was asked for, so the next one goes through.
    assert "messageId" in await gateway.send(jid, "ref-1")


@pytest.mark.parametrize("kind", ["error", "html", "unavailable", "garbage", "empty", "refuse"])
async def test_a_wrong_answer_to_a_send_that_happened(gateway: RunningGateway, kind: str) -> None:
    jid, *_ = await gateway.connect()
    await gateway.fault(kind, route="send", times=1, carriedOut=True)
    answered = await _raw_send(gateway, jid, "ref-1")
    assert "3EB0" not in answered[2]
    assert (await gateway.message_status("ref-1"))["status"] == "sent"
    assert await gateway.copies() == {(jid, "ref-1"): 1}


async def test_a_rate_limit_can_say_when_to_come_back(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.fault("rate_limited", route="send", times=1, retryAfter=7)
    body = {"sessionId": "wa_1", "phone": jid, "message": "hello"}
    async with gateway.http.post(gateway.url + "/send", json=body) as answer:
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(("kind", "copies"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_reset_cuts_the_connection(gateway: RunningGateway, kind: str, copies: int) -> None:
    jid, *_ = await gateway.connect()
    await gateway.fault(kind, route="send", times=1)
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await gateway.send(jid, "ref-1")
    assert isinstance(caught.value, ConnectionResetError) or caught.value.errno == 104
    assert len(await gateway.deliveries()) == copies


async def test_no_answer_comes_after_the_send(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.fault("no_answer", route="send", times=1)
    body = {"sessionId": "wa_1", "phone": jid, "message": "hello", "clientRef": "ref-1"}
    sending = asyncio.create_task(gateway.post("/send", body))
    while (await gateway.message_status("ref-1")).get("status") != "sent":
        pass
    await asyncio.wait({sending}, timeout=0.5)
    assert not sending.done()
    sending.cancel()
    await asyncio.wait({sending})


async def test_a_held_request_ends_by_its_own_limit(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.fault("no_answer", route="send", times=1, seconds=0.1)
    with pytest.raises(aiohttp.ClientError):
        await gateway.send(jid, "ref-1")


async def test_a_held_request_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with asyncio.timeout(50), aiohttp.ClientSession() as outliving:
        async with running_gateway(tmp_path) as gateway:
            await gateway.connect()
            await gateway.fault("no_answer", route="status")
            held = asyncio.create_task(
                outliving.get(f"{gateway.url}/status/wa_1", headers={"X-API-Key": gateway.api_key})
            )
            while (await gateway.get("/sim/limits"))["current"] == 0:
                pass
        with pytest.raises(aiohttp.ClientError):
            await held


async def test_a_delay_is_as_long_as_asked(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    await timed_gateway.connect()
    await timed_gateway.fault("delay", route="status", seconds=30, times=1)
    asking = asyncio.create_task(timed_gateway.get("/status/wa_1"))
    # The housekeeping sleeps, the end of the pairing, and then the request.
    await clock.sleepers(3)
    clock.advance(29)
    await timed_gateway.get("/status/wa_1")
    assert not asking.done()
    clock.advance(1)
    assert (await asking)["status"] == "connected"


async def test_faults_combine(timed_gateway: RunningGateway, clock: ManualClock) -> None:
    jid, *_ = await timed_gateway.connect()
    await timed_gateway.fault("delay", route="send", seconds=30)
    await timed_gateway.fault("unavailable", route="send")
    sending = asyncio.create_task(timed_gateway.send(jid, expect=503))
    await clock.sleepers(3)
    assert not sending.done()
    clock.advance(30)
    await sending


async def test_a_fault_strikes_only_whom_it_is_about(gateway: RunningGateway) -> None:
    await gateway.connect("wa_1")
    await gateway.connect("wa_2", "919876501234")
    by_session = await gateway.fault("unavailable", sessionId="wa_1")
    await gateway.get("/status/wa_1", expect=503)
    await gateway.get("/status/wa_2")
    await gateway.delete(f"/sim/faults/{by_session}")
    await gateway.fault("unavailable", phone="+919876501234", route="groups")
    await gateway.get("/groups/wa_1")
    await gateway.get("/groups/wa_2", expect=503)
    await gateway.get("/status/wa_2")
    await gateway.get("/health")


async def test_a_fault_strikes_as_often_as_asked_after_those_it_skips(
    gateway: RunningGateway,
) -> None:
    await gateway.fault("unavailable", route="health", times=2, skip=1)
    statuses = []
    for _ in range(5):
        async with gateway.http.get(gateway.url + "/health") as answer:
            statuses.append(answer.status)
    assert statuses == [200, 503, 503, 200, 200]
    [fault] = (await gateway.get("/sim/faults"))["faults"]
    assert (fault["fired"], fault["left"]) == (2, 0)


async def test_chance_is_repeatable(gateway: RunningGateway) -> None:
    async def run(seed: int) -> list[int]:
        await gateway.fault("unavailable", route="health", probability=0.4, seed=seed)
        statuses = []
        for _ in range(60):
            async with gateway.http.get(gateway.url + "/health") as answer:
                statuses.append(answer.status)
        await gateway.delete("/sim/faults")
        return statuses

    first = await run(7)
    assert 12 <= first.count(503) <= 36
    assert await run(7) == first
    assert await run(8) != first


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "made_up"},
        {"kind": "lie", "route": "status"},
        {"kind": "delay", "route": "webhooks"},
        {"kind": "late", "route": "send"},
        {"kind": "delay", "probability": 0},
        {"kind": "delay", "probability": 1.1},
        {"kind": "delay", "times": 0},
        {"kind": "delay", "seconds": -1},
        {"kind": "delay", "surprise": 1},
        {"kind": "groups_cut", "keep": 1},
    ],
)
async def test_a_wrong_rule_is_refused(gateway: RunningGateway, rule: dict[str, object]) -> None:
    assert "error" in await gateway.post("/sim/faults", rule, expect=400)
    assert (await gateway.get("/sim/faults"))["faults"] == []


async def test_a_missing_qr_and_a_strange_word(gateway: RunningGateway) -> None:
    await gateway.post("/connect", {"sessionId": "wa_1"})
    await gateway.fault("qr_missing", times=1)
    assert set(await gateway.get("/status/wa_1")) == {"sessionId", "status", "since"}
    await gateway.fault("status_word", word="opening", times=1)
    assert (await gateway.get("/status/wa_1"))["status"] == "opening"
    assert "qr" in await gateway.get("/status/wa_1")


async def test_empty_and_cut_group_lists(gateway: RunningGateway) -> None:
    await gateway.connect(groups=20)
    await gateway.fault("groups_empty", times=1)
    assert await gateway.get("/groups/wa_1") == {"groups": [], "complete": True}
    await gateway.fault("groups_cut", keep=0.25, times=1)
    assert len((await gateway.get("/groups/wa_1"))["groups"]) == 5
    assert len((await gateway.get("/groups/wa_1"))["groups"]) == 20


@pytest.mark.parametrize(
    ("kind", "reason"), [("logout", "logged_out"), ("drop", "connection_lost")]
)
async def test_a_session_is_lost_by_a_request(
    gateway: RunningGateway, kind: str, reason: str
) -> None:
    jid, *_ = await gateway.connect()
    await gateway.fault(kind, route="send", times=1)
    await gateway.send(jid, expect=503)
    assert (await gateway.get("/status/wa_1"))["reason"] == reason


async def test_beyond_the_cap_connections_are_reset(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    gateway = timed_gateway
    jid, *_ = await gateway.connect()
    await gateway.put("/sim/limits", {"inFlight": 3})
    await gateway.fault("delay", route="send", seconds=30)
    sending = [asyncio.create_task(gateway.send(jid, f"ref-{index}")) for index in range(8)]
    while (await gateway.get("/sim/limits"))["resets"] < 5:
        pass
    # The housekeeping sleeps, the end of the pairing, and three requests.
    await clock.sleepers(5)
    clock.advance(30)
    outcomes = await asyncio.gather(*sending, return_exceptions=True)
    failed = [one for one in outcomes if isinstance(one, aiohttp.ClientError)]
    assert len(failed) == 5
    assert len(await gateway.deliveries()) == 3
    report = await gateway.get("/sim/limits")
    assert (report["peak"], report["resets"], report["current"]) == (3, 5, 0)
    await gateway.put("/sim/limits", {"inFlight": None})
    await gateway.delete("/sim/faults")
    await asyncio.gather(*(gateway.send(jid, f"more-{index}") for index in range(8)))


async def test_sends_at_once_of_a_phone_are_counted(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    gateway = timed_gateway
    jid, *_ = await gateway.connect()
    await gateway.fault("accepted", callback="early", seconds=30)
    sending = [asyncio.create_task(gateway.send(jid, f"ref-{index}")) for index in range(4)]
    # The housekeeping sleeps, the end of the pairing, and four requests.
    await clock.sleepers(6)
    clock.advance(30)
    await asyncio.gather(*sending)
    report = await gateway.get("/sim/limits")
    assert (report["peakSends"], report["peakSendsOfAPhone"]) == (4, 4)


@pytest.mark.parametrize(
    ("callback", "events"),
    [("once", 1), ("early", 1), ("late", 1), ("twice", 2), ("reordered", 1), ("never", 0)],
)
async def test_accepted_is_followed_by_its_callback(
    telling_gateway: RunningGateway, receiver: Receiver, callback: str, events: int
) -> None:
    gateway = telling_gateway
    jid, *_ = await gateway.connect()
    await gateway.fault("accepted", callback=callback, seconds=0.2, times=1)
    loop = asyncio.get_running_loop()
    start = loop.time()
    answer = await gateway.send(jid, "ref-1")
    assert answer == {"success": True, "accepted": True}
    told = await receiver.wait_for(events, "send-callback")
    took = loop.time() - start
    message_id = (await gateway.message_status("ref-1"))["messageId"]
    for event in told:
        assert event.data["event"] == "message_sent"
        assert event.data["clientRef"] == "ref-1"
        assert event.data["messageId"] == message_id
        assert event.data["groupJid"] == jid
    assert len({event.envelope["id"] for event in told}) == min(events, 1)
    if callback in ("late", "twice"):
        assert took >= 0.2
    assert await gateway.copies() == {(jid, "ref-1"): 1}
    await _nothing_more(gateway, receiver, events)


async def _nothing_more(gateway: RunningGateway, receiver: Receiver, events: int) -> None:
    """A marker event goes out after everything that was due before it."""
    await gateway.add_phone("15550100")
    await gateway.pair("marker", "15550100")
    await receiver.wait_until(
        lambda: [
            one
            for one in receiver.taken
            if one.data["sessionId"] == "marker" and one.data.get("status") == "connected"
        ],
        1,
    )
    assert len([one for one in receiver.taken if one.type == "send-callback"]) == events


async def test_an_early_callback_comes_before_the_answer(
    timed_telling_gateway: RunningGateway, receiver: Receiver, clock: ManualClock
) -> None:
    gateway = timed_telling_gateway
    jid, *_ = await gateway.connect()
    await gateway.fault("accepted", callback="early", seconds=30, times=1)
    sending = asyncio.create_task(gateway.send(jid, "ref-1"))
    await receiver.wait_for(1, "send-callback")
    # The housekeeping sleeps, the end of the pairing, and the request.
    await clock.sleepers(3)
    assert not sending.done()
    clock.advance(30)
    assert (await sending)["accepted"] is True


async def test_an_accepted_message_can_fail(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    jid, *_ = await telling_gateway.connect()
    await telling_gateway.fault("accepted", callback="failed", errorText="not today", times=1)
    assert (await telling_gateway.send(jid, "ref-1"))["accepted"] is True
    [event] = await receiver.wait_for(1, "send-callback")
    assert event.data["event"] == "message_failed"
    assert event.data["messageId"] is None
    assert event.data["error"] == "not today"
    found = await telling_gateway.message_status("ref-1")
    assert (found["status"], found["error"]) == ("failed", "not today")
    assert await telling_gateway.deliveries() == []


async def test_a_message_can_be_turned_down_after_it_was_sent(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    jid, *_ = await telling_gateway.connect()
    await telling_gateway.fault("rejected_later", errorCode=420, seconds=0.1, times=1)
    sent = await telling_gateway.send(jid, "ref-1")
    assert sent["messageId"]
    [event] = await receiver.wait_for(1, "message-error")
    assert event.data == {
        "event": "message_error",
        "sessionId": "wa_1",
        "messageId": sent["messageId"],
        "errorCode": 420,
        "errorMessage": "rate-overlimit",
        "groupJid": jid,
        "clientRef": "ref-1",
    }
    assert (await telling_gateway.message_status("ref-1"))["status"] == "failed"
    assert await telling_gateway.deliveries() == []
    assert await telling_gateway.get("/sim/deliveries/rejections") == {
        "messageIds": [sent["messageId"]]
    }


async def test_events_can_come_late_twice_and_never(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    gateway = telling_gateway
    await gateway.fault("never", eventTypes=["status"], sessionId="silent")
    await gateway.fault("twice", eventTypes=["status"], sessionId="loud", seconds=0)
    await gateway.post("/connect", {"sessionId": "silent"})
    await gateway.post("/connect", {"sessionId": "loud"})
    events = await receiver.wait_for(2)
    assert [event.data["sessionId"] for event in events] == ["loud", "loud"]
    assert len({event.envelope["id"] for event in events}) == 1


async def test_a_late_event_lets_newer_ones_pass(
    timed_telling_gateway: RunningGateway, receiver: Receiver, clock: ManualClock
) -> None:
    gateway = timed_telling_gateway
    await gateway.add_phone()
    await gateway.fault("late", eventTypes=["status"], seconds=30, times=1)
    await gateway.post("/connect", {"sessionId": "wa_1"})
    clock.advance(1)
    await gateway.post(f"/sim/phones/{STUDIO}/scan", {"sessionId": "wa_1"})
    await receiver.wait_for(1)
    # The housekeeping sleeps, the end of the pairing, and the late event.
    await clock.sleepers(3)
    clock.advance(30)
    events = await receiver.wait_for(2)
    assert [event.data["status"] for event in events] == ["connected", "qr_pending"]
    times = [event.data["timestamp"] for event in events]
    assert times == sorted(times, reverse=True)


async def test_reordered_events_all_arrive(
    timed_telling_gateway: RunningGateway, receiver: Receiver, clock: ManualClock
) -> None:
    gateway = timed_telling_gateway
    jids = await gateway.connect(groups=[{"name": f"Group {index}"} for index in range(8)])
    await gateway.fault("accepted", callback="reordered", seconds=30)
    for jid in jids:
        await gateway.send(jid, jid)
    while len([one for one in receiver.taken if one.type == "send-callback"]) < len(jids):
        clock.advance(1)
        await asyncio.sleep(0.01)  # a turn in which what is due goes out
    told = await receiver.wait_for(len(jids), "send-callback")
    order = [event.data["groupJid"] for event in told]
    assert sorted(order) == sorted(jids)
    assert order != jids


@pytest.mark.e2e
async def test_a_crash_on_another_call_and_what_is_left_of_it(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as process:
        async with process.client() as gateway:
            await gateway.connect()
            await gateway.fault("crash_before", route="groups", times=2)
            await gateway.get("/status/wa_1")
            with pytest.raises(aiohttp.ClientError):
                await gateway.get("/groups/wa_1")
        assert await process.ended() == -9
        await process.start()
        async with process.client() as gateway:
            [fault] = (await gateway.get("/sim/faults"))["faults"]
            assert fault["left"] == 1
            with pytest.raises(aiohttp.ClientError):
                await gateway.get("/groups/wa_1")
        assert await process.ended() == -9
        await process.start()
        async with process.client() as gateway:
            assert len((await gateway.get("/groups/wa_1"))["groups"]) == 3


async def test_rules_outlive_a_restart_and_can_all_be_removed(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as first:
        await first.fault("unavailable", route="health")
        await first.put("/sim/limits", {"inFlight": 50})
    async with running_gateway(tmp_path) as second:
        await second.get("/health", expect=503)
        assert (await second.get("/sim/limits"))["inFlight"] == 50
        assert await second.delete("/sim/faults") == {"success": True, "removed": 1}
        await second.get("/health")
        await second.delete("/sim/faults/99", expect=404)


async def test_faults_need_the_session_in_the_body_to_be_readable(gateway: RunningGateway) -> None:
    await gateway.fault("unavailable", sessionId="wa_1")
    async with gateway.http.post(gateway.url + "/send", data=b"{") as answer:
        assert answer.status == 400
    async with gateway.http.post(gateway.url + "/send", data=json.dumps([STUDIO])) as answer:
        assert answer.status == 400
