"""With a clientRef a message is sent at most once, whatever happens."""

import asyncio
from collections import Counter
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
from tests.support.clock import ManualClock
from tests.support.gateway import GatewayClient, RunningGateway, gateway_process, running_gateway


async def test_a_repetition_answers_the_same_message(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    first = await gateway.send(jid, "ref-1")
    again = await gateway.send(jid, "ref-1")
    assert "existing" not in first
    assert again == {**first, "existing": True}
    assert await gateway.copies() == {(jid, "ref-1"): 1}


async def test_concurrent_duplicates_send_one_copy(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    answers = await asyncio.gather(*(gateway.send(jid, "ref-1") for _ in range(40)))
    assert len({answer["messageId"] for answer in answers}) == 1
    assert sum("existing" not in answer for answer in answers) == 1
    assert await gateway.copies() == {(jid, "ref-1"): 1}


async def test_many_messages_at_once_each_arrive_once(gateway: RunningGateway) -> None:
    jids = await gateway.connect(groups=30)
    await asyncio.gather(*(gateway.send(jid, f"ref/{jid}") for jid in jids))
    assert await gateway.copies() == {(jid, f"ref/{jid}"): 1 for jid in jids}


@pytest.mark.parametrize("change", ["text", "recipient"])
async def test_a_reference_cannot_be_used_for_another_message(
    gateway: RunningGateway, change: str
) -> None:
    jid, other, *_ = await gateway.connect()
    await gateway.send(jid, "ref-1", text="one")
    target, text = (other, "one") if change == "recipient" else (jid, "two")
    refused = await gateway.send(target, "ref-1", text=text, expect=409)
    assert "clientRef" in refused["error"]
    assert await gateway.copies() == {(jid, "ref-1"): 1}


async def test_a_concurrent_duplicate_with_another_text_is_refused(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    gateway = timed_gateway
    jid, *_ = await gateway.connect()
    await gateway.fault("accepted", callback="early", seconds=30, times=1)
    first = asyncio.create_task(gateway.send(jid, "ref-1", text="one"))
    await _first_delivery(gateway)
    await gateway.send(jid, "ref-1", text="two", expect=409)
    await _until_it_waits(clock)
    clock.advance(30)
    assert (await first)["accepted"] is True


async def test_without_a_reference_each_request_sends(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    first, second = await gateway.send(jid), await gateway.send(jid)
    assert first["messageId"] != second["messageId"]
    assert await gateway.copies(by="text") == {(jid, "hello"): 2}


async def test_a_repetition_through_a_new_session_finds_the_message(
    gateway: RunningGateway,
) -> None:
    jid, *_ = await gateway.connect()
    first = await gateway.send(jid, "ref-1")
    await gateway.post("/disconnect/wa_1")
    await gateway.pair("wa_2")
    again = await gateway.send(jid, "ref-1", session_id="wa_2")
    assert again == {**first, "existing": True}
    assert await gateway.copies() == {(jid, "ref-1"): 1}


async def test_a_message_that_was_refused_can_be_tried_again(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.post("/sim/phones/919876543210/drop")
    await gateway.send(jid, "ref-1", expect=503)
    found = await gateway.message_status("ref-1")
    assert (found["found"], found["status"]) == (True, "failed")
    await gateway.post("/sim/phones/919876543210/restore")
    sent = await gateway.send(jid, "ref-1")
    assert "existing" not in sent
    assert (await gateway.message_status("ref-1"))["status"] == "sent"
    assert await gateway.copies() == {(jid, "ref-1"): 1}


async def test_the_fate_of_a_message_is_told_exactly(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    sent = await gateway.send(jid, "ref-1")
    found = await gateway.message_status("ref-1")
    assert found["messageId"] == sent["messageId"]
    assert found["status"] == "sent"
    assert await gateway.message_status("ref-2") == {"found": False}


async def test_a_message_on_its_way_is_pending(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    gateway = timed_gateway
    jid, *_ = await gateway.connect()
    await gateway.fault("accepted", callback="early", seconds=30, times=1)
    sending = asyncio.create_task(gateway.send(jid, "ref-1"))
    await _first_delivery(gateway)
    assert await gateway.message_status("ref-1") == {"found": True, "status": "pending"}
    await _until_it_waits(clock)
    clock.advance(30)
    await sending
    assert (await gateway.message_status("ref-1"))["status"] == "sent"


async def test_a_lost_answer_is_found_again(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.fault("reset_after", route="send", times=1)
    with pytest.raises(aiohttp.ClientError):
        await gateway.send(jid, "ref-1")
    found = await gateway.message_status("ref-1")
    again = await gateway.send(jid, "ref-1")
    assert again == {"success": True, "messageId": found["messageId"], "existing": True}
    assert await gateway.copies() == {(jid, "ref-1"): 1}


async def test_the_reference_is_known_after_a_restart(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as first:
        jid, *_ = await first.connect()
        sent = await first.send(jid, "ref-1")
    async with running_gateway(tmp_path) as second:
        assert (await second.message_status("ref-1"))["messageId"] == sent["messageId"]
        assert await second.send(jid, "ref-1") == {**sent, "existing": True}
        assert await second.copies() == {(jid, "ref-1"): 1}


async def test_a_gateway_that_lost_its_records_does_not_deny_what_is_older_than_they_are(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    before, after = _made_at(clock, -1), _made_at(clock, 1)
    async with running_gateway(tmp_path, clock=clock) as gateway:
        (jid, *_) = await gateway.connect()
        assert await gateway.message_status(after) == {"found": False}
        asked = {"sessionId": "wa_1", "clientRef": before}
        answer = await gateway.post("/message-status", asked, expect=504)
        assert "begin after this message" in answer["error"]
        await gateway.send(jid, before)
        assert (await gateway.message_status(before))["status"] == "sent"
    clock.advance(60)
    async with running_gateway(tmp_path, clock=clock) as gateway:
        assert await gateway.message_status(after) == {"found": False}


@pytest.mark.e2e
async def test_a_crash_before_the_network_sends_nothing(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as process:
        async with process.client() as gateway:
            jid, *_ = await gateway.connect()
            await gateway.fault("crash_before", route="send", times=1)
            with pytest.raises(aiohttp.ClientError):
                await gateway.send(jid, "ref-1")
        assert await process.ended() == -9
        await process.start()
        async with process.client() as gateway:
            assert await gateway.message_status("ref-1") == {"found": False}
            sent = await gateway.send(jid, "ref-1")
            assert "existing" not in sent
            assert await gateway.copies() == {(jid, "ref-1"): 1}


@pytest.mark.e2e
async def test_a_crash_after_the_network_is_not_repeated(tmp_path: Path) -> None:
    async with gateway_process(tmp_path) as process:
        async with process.client() as gateway:
            jid, *_ = await gateway.connect()
            await gateway.fault("crash_after", route="send", times=1)
            with pytest.raises(aiohttp.ClientError):
                await gateway.send(jid, "ref-1")
        assert await process.ended() == -9
        await process.start()
        async with process.client() as gateway:
            found = await gateway.message_status("ref-1")
            assert found["status"] == "sent"
            again = await gateway.send(jid, "ref-1")
            assert again["existing"] is True
            assert again["messageId"] == found["messageId"]
            assert await gateway.copies() == {(jid, "ref-1"): 1}


@pytest.mark.e2e
async def test_killed_at_any_moment_no_message_is_doubled_or_lost(tmp_path: Path) -> None:
    """Forty references, retried through three kills: one copy of each in the end."""
    async with gateway_process(tmp_path) as process:
        async with process.client() as gateway:
            jids = await gateway.connect(groups=20)
        refs = {f"ref-{index}": jids[index % len(jids)] for index in range(40)}
        for fraction in (5, 15, 30):
            async with process.client() as gateway:
                await _send_until(gateway, refs, fraction)
                await process.kill()
            await process.start()
        async with process.client() as gateway:
            answers = [await gateway.send(jid, ref) for ref, jid in refs.items()]
            assert len({answer["messageId"] for answer in answers}) == len(refs)
            assert Counter(await gateway.copies()) == {(jid, ref): 1 for ref, jid in refs.items()}


async def _until_it_waits(clock: ManualClock) -> None:
    """The housekeeping sleeps, the end of the pairing, and the request."""
    await clock.sleepers(3)


async def _first_delivery(gateway: GatewayClient) -> None:
    """Return once something has reached the network."""
    while not await gateway.deliveries():
        pass


async def _send_until(gateway: GatewayClient, refs: dict[str, str], count: int) -> None:
    """Send all at once and come back, with the others under way, when ``count`` are answered."""
    tasks = [asyncio.create_task(gateway.send(jid, ref)) for ref, jid in refs.items()]
    for number, finished in enumerate(asyncio.as_completed(tasks), start=1):
        await finished
        if number >= count:
            break
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _made_at(clock: ManualClock, seconds: float) -> str:
    """A reference of that time, relative to now."""
    at = int((clock.now().timestamp() + seconds) * 1000)
    return str(UUID(int=at << 80 | 0x7 << 76 | 0x2 << 62))
