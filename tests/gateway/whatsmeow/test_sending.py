"""A message goes to WhatsApp at most once, and what is said about it is true."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from aiohttp import web
from tests.gateway.receiver import Received, Receiver
from tests.gateway.whatsmeow.waiting import is_alive, until_status
from tests.support.fake_whatsapp import MORNING, NEWS, FakeWhatsApp, options
from tests.support.gateway import RunningGateway, running_gateway

A_WHILE = 5.0
"""How long a send may take here: another one goes out meanwhile, also on a busy machine."""
ANSWERS = [
    # words of the library, status and words of the answer
    ("server returned error 420", 502, "community"),
    ("server returned error 479", 502, "error 479"),
    ("server returned error 463", 429, "restricts"),
    ("server returned error 429", 429, "too many"),
    ("server returned error 403", 400, "not a member"),
    ("failed to get group members: you're not participating in that group", 400, "not a member"),
    ("failed to send message node: websocket not connected", 503, "not connected"),
]


async def test_the_same_reference_is_sent_once(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    first = await paired.send(MORNING, "ref-1", text="once")
    again = await paired.send(MORNING, "ref-1", text="once")
    assert again == {**first, "existing": True}
    assert whatsapp.sent("once") == 1
    assert await paired.message_status("ref-1") == {
        **(await paired.message_status("ref-1")),
        "found": True,
        "status": "sent",
        "messageId": first["messageId"],
    }
    assert await paired.message_status("ref-2") == {"found": False}


async def test_messages_of_a_session_go_one_after_the_other(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.hold_at = "wire"
    sending = [asyncio.create_task(paired.send(MORNING, f"ref-{n}")) for n in range(3)]
    await whatsapp.until(lambda: whatsapp.held)
    await paired.get("/groups/wa_1")  # a question does not wait for a message
    assert len(whatsapp.wire) == 1
    whatsapp.release()
    await asyncio.gather(*sending)
    assert len(whatsapp.wire) == 3


@pytest.mark.parametrize(("said", "status", "words"), ANSWERS, ids=str)
async def test_what_whatsapp_refuses_was_not_sent_and_can_be_tried_again(
    paired: RunningGateway, whatsapp: FakeWhatsApp, said: str, status: int, words: str
) -> None:
    whatsapp.errors["wire"] = said
    refused = await paired.send(MORNING, "ref-1", expect=status)
    assert words in refused["error"]
    assert (await paired.message_status("ref-1"))["status"] == "failed"
    whatsapp.errors.clear()
    sent = await paired.send(MORNING, "ref-1")
    assert "existing" not in sent
    assert (await paired.message_status("ref-1"))["messageId"] == sent["messageId"]


@pytest.mark.parametrize(
    "said",
    [
        "timed out waiting for message send response",
        "websocket disconnected before message send returned response",
        "server returned error 503",
        "words that nobody has ever seen",
    ],
)
async def test_words_that_prove_nothing_leave_it_open(
    paired: RunningGateway, whatsapp: FakeWhatsApp, receiver: Receiver, said: str
) -> None:
    whatsapp.errors["wire"] = said
    unknown = await paired.send(MORNING, "ref-1", text="once", expect=504)
    assert unknown["messageId"] == whatsapp.wire[0]["messageId"]
    whatsapp.errors.clear()
    open_one = await paired.message_status("ref-1")
    assert (open_one["status"], open_one["messageId"]) == ("pending", unknown["messageId"])
    await paired.send(MORNING, "ref-1", text="once", expect=504)
    assert whatsapp.sent("once") == 1

    about = {"messageIds": [unknown["messageId"]], "chat": MORNING, "at": None}
    whatsapp.clients["wa_1"].event("receipt", kind="delivered", reader="5000@lid", **about)
    [told] = [one.data for one in await receiver.wait_for(1, "send-callback")]
    assert (told["event"], told["clientRef"]) == ("message_sent", "ref-1")
    assert told["messageId"] == unknown["messageId"]
    assert (await paired.message_status("ref-1"))["status"] == "sent"
    again = await paired.send(MORNING, "ref-1", text="once")
    assert again == {"success": True, "messageId": unknown["messageId"], "existing": True}
    assert whatsapp.sent("once") == 1


async def test_the_same_words_without_a_stored_message_mean_not_sent(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.errors["before_store"] = "words that nobody has ever seen"
    refused = await paired.send(MORNING, "ref-1", expect=502)
    assert refused["success"] is False
    whatsapp.errors.clear()
    await paired.send(MORNING, "ref-1")
    assert len(whatsapp.wire) == 1


async def test_a_restricted_number_says_so_until_a_message_goes_out(
    paired: RunningGateway, whatsapp: FakeWhatsApp, receiver: Receiver
) -> None:
    def told() -> list[Received]:
        return [one for one in receiver.taken if "restriction" in one.data]

    await receiver.wait_until(
        lambda: [one for one in told() if one.data["status"] == "connected"], 1
    )
    known = len(told())
    whatsapp.errors["wire"] = "server returned error 463"
    await paired.send(MORNING, "ref-1", expect=429)
    assert (await paired.get("/status/wa_1"))["restriction"]["kind"] == "restricted"
    restricted = (await receiver.wait_until(told, known + 1))[-1].data
    assert restricted["restriction"]["kind"] == "restricted"
    status = await paired.get("/status/wa_1")
    assert (restricted["status"], restricted["timestamp"] > status["since"]) == ("connected", True)
    whatsapp.errors.clear()
    await paired.send(MORNING, "ref-1")
    lifted = (await receiver.wait_until(told, known + 2))[-1].data
    assert lifted["restriction"] is None
    assert "restriction" not in await paired.get("/status/wa_1")


async def test_a_send_without_an_answer_ends_in_time_and_stalls_nobody(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    async with running_gateway(tmp_path, whatsmeow=options(send_seconds=A_WHILE)) as gateway:
        for session in ("wa_1", "wa_2"):
            await gateway.post("/connect", {"sessionId": session})
            await whatsapp.scan(session)
            await until_status(gateway, "connected", session)
        whatsapp.hold_at = "wire"
        stuck = asyncio.create_task(gateway.send(MORNING, "ref-1", text="stuck", expect=504))
        await whatsapp.until(lambda: whatsapp.held)
        whatsapp.hold_at = None
        pid = whatsapp.clients["wa_1"].pid
        await gateway.send(NEWS, "ref-2", session_id="wa_2")
        assert not stuck.done()
        unknown = await stuck
        assert unknown["messageId"] == whatsapp.wire[0]["messageId"]
        assert not is_alive(pid)
        # The next message of the same number goes through a fresh connection.
        await until_status(gateway, "connected")
        await gateway.send(MORNING, "ref-3")
        assert whatsapp.sent("stuck") == 1


BEHIND_ONE_THAT_HANGS = (
    # Its own time is over first, or so little of it is left that no process is there yet.
    "Another message of this session is still on its way",
    "The session is not connected: it broke before the message left",
    (
        "The session is not connected: its process was ended and starts again; "
        "this message was not sent"
    ),
)


async def test_a_send_behind_one_that_hangs_was_not_sent_and_says_so(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    async with running_gateway(tmp_path, whatsmeow=options(send_seconds=A_WHILE)) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(gateway, "connected")
        whatsapp.hold_at = "wire"
        stuck = asyncio.create_task(gateway.send(MORNING, "ref-1", expect=504))
        await whatsapp.until(lambda: whatsapp.held)
        whatsapp.hold_at = None
        answer = await gateway.send(NEWS, "ref-2", text="behind", expect=None)
        await stuck
        found = await gateway.message_status("ref-2")
        if answer.get("success"):  # it came so late that its own time sufficed for both
            assert whatsapp.sent("behind") == 1
        else:
            assert answer["error"] in BEHIND_ONE_THAT_HANGS
            assert found.get("status", "failed") == "failed"
            assert whatsapp.sent("behind") == 0
        await until_status(gateway, "connected")
        await gateway.send(NEWS, "ref-2", text="behind")
        assert whatsapp.sent("behind") == 1


async def test_a_send_that_hangs_before_it_is_stored_was_not_sent(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    async with running_gateway(tmp_path, whatsmeow=options(send_seconds=A_WHILE)) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(gateway, "connected")
        whatsapp.hold_at = "before_store"
        await gateway.send(MORNING, "ref-1", expect=503)
        whatsapp.hold_at = None
        await until_status(gateway, "connected")
        await gateway.send(MORNING, "ref-1")
        assert len(whatsapp.wire) == 1


STEPS = [
    # step at which the worker is killed, its answer, copies in the end
    ("before_store", 503, 1),
    ("stored", 504, 0),
    ("wire", 504, 1),
    ("answered", 504, 1),
]


@pytest.mark.parametrize(("step", "status", "copies"), STEPS)
async def test_a_worker_that_is_killed_in_a_send(
    paired: RunningGateway, whatsapp: FakeWhatsApp, step: str, status: int, copies: int
) -> None:
    """Never two copies; and only what certainly did not leave is sent when asked again."""
    whatsapp.hold_at = step
    sending = asyncio.create_task(paired.send(MORNING, "ref-1", text="x", expect=status))
    await whatsapp.until(lambda: whatsapp.held)
    os.kill(whatsapp.clients["wa_1"].pid, signal.SIGKILL)
    answer = await sending
    whatsapp.hold_at = None
    await until_status(paired, "connected")
    found = await paired.message_status("ref-1")
    if status == 503:
        assert found["status"] == "failed"
        await paired.send(MORNING, "ref-1", text="x")
    else:
        _, stored_id = whatsapp.held[0]
        assert answer["messageId"] == stored_id
        assert (found["status"], found["messageId"]) == ("pending", stored_id)
        await paired.send(MORNING, "ref-1", text="x", expect=504)
    assert whatsapp.sent("x") == copies


async def test_a_pairing_that_is_removed_in_a_send_leaves_it_open_for_good(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.hold_at = "wire"
    sending = asyncio.create_task(paired.send(MORNING, "ref-1", text="x", expect=504))
    await whatsapp.until(lambda: whatsapp.held)
    whatsapp.clients["wa_1"].event("logged_out", reason="LOGGED_OUT")
    assert "messageId" not in await sending
    await paired.post("/message-status", {"sessionId": "wa_1", "clientRef": "ref-1"}, expect=504)
    whatsapp.hold_at = None
    await paired.post("/connect", {"sessionId": "wa_1"})
    await whatsapp.scan()
    await until_status(paired, "connected")
    await paired.send(MORNING, "ref-1", text="x", expect=504)
    assert whatsapp.sent("x") == 1


async def test_what_could_not_be_noted_down_is_never_called_not_sent(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.disk_is_full = True
    whatsapp.hold_at = "wire"
    sending = asyncio.create_task(paired.send(MORNING, "ref-1", text="x", expect=504))
    await whatsapp.until(lambda: whatsapp.held)
    os.kill(whatsapp.clients["wa_1"].pid, signal.SIGKILL)
    assert "messageId" not in await sending
    whatsapp.hold_at = None
    await until_status(paired, "connected")
    await paired.send(MORNING, "ref-1", text="x", expect=504)
    assert whatsapp.sent("x") == 1


@pytest.fixture
async def media_url() -> object:
    async def serve(request: web.Request) -> web.Response:
        if "missing" in request.path:
            return web.Response(status=404)
        return web.Response(body=b"x" * 1000, content_type="image/png")

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _send_media(gateway: RunningGateway, url: str, kind: str, expect: int = 200) -> object:
    body = {"sessionId": "wa_1", "phone": MORNING, "message": "Look", "clientRef": f"{url}{expect}"}
    return await gateway.post("/send", {**body, "mediaUrl": url, "mediaType": kind}, expect=expect)


async def test_media_are_fetched_and_handed_over(
    tmp_path: Path, whatsapp: FakeWhatsApp, media_url: str
) -> None:
    async with running_gateway(tmp_path, whatsmeow=options(private_media=True)) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(gateway, "connected")
        await _send_media(gateway, f"{media_url}/missing.png", "image", expect=400)
        await _send_media(gateway, f"{media_url}/a%20plan.png", "image")
    [sent] = whatsapp.wire
    assert sent["media"] == ["image", "image/png", "a plan.png", "x" * 1000]
    assert list((tmp_path / "media").iterdir()) == []


async def test_media_that_cannot_be_handed_over_in_time_were_not_sent(
    tmp_path: Path, whatsapp: FakeWhatsApp, media_url: str
) -> None:
    chosen = options(private_media=True, send_seconds=A_WHILE)
    async with running_gateway(tmp_path, whatsmeow=chosen) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(gateway, "connected")
        whatsapp.hold_at = "before_store"
        refused = await _send_media(gateway, f"{media_url}/a.png", "image", expect=502)
        assert "was not sent" in str(refused)
    assert whatsapp.wire == []


async def test_media_never_come_from_a_private_network(
    paired: RunningGateway, whatsapp: FakeWhatsApp, media_url: str
) -> None:
    for url in (media_url, media_url.replace("127.0.0.1", "localhost"), "http://[::1]/x"):
        refused = await _send_media(paired, f"{url}/a.png", "image", expect=400)
        assert "private network" in str(refused)
    assert whatsapp.wire == []


async def test_media_that_are_too_large_are_not_sent(
    tmp_path: Path, whatsapp: FakeWhatsApp, media_url: str
) -> None:
    chosen = options(private_media=True, max_media_mb=0)
    async with running_gateway(tmp_path, whatsmeow=chosen) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(gateway, "connected")
        refused = await _send_media(gateway, f"{media_url}/a.png", "image", expect=400)
        assert "larger" in str(refused)
    assert whatsapp.wire == []
