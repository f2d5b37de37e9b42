"""What the driver claims about a message, whatever happens on the wire."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from structlog.testing import capture_logs
from tests.contract.conftest import IMPATIENT, KEY, MakeDriver, limits_of
from tests.contract.scripted import (
    Answering,
    ScriptedGateway,
    answer,
    raw,
    refusing_port,
    reset,
    silence,
)

from groupline.gateways.drivers.base import HttpPool
from groupline.gateways.drivers.groupline import GrouplineDriver
from groupline.gateways.outcomes import (
    Accepted,
    NotSent,
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
    UncertainReason,
)
from groupline.gateways.port import Capabilities

JID = "120363041234567890@g.us"
TEXT = "We start in 10 minutes: bring a mat."
SUCCESS = answer(200, {"success": True, "messageId": "3EB0A1"})


async def test_the_loop_is_the_one_that_is_meant(request: pytest.FixtureRequest) -> None:
    expected = "uvloop" in request.node.name
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop) is expected


async def send(driver: GrouplineDriver, client_ref: str | None = "ref-1") -> SendOutcome:
    return await driver.send("wa_1", JID, TEXT, client_ref=client_ref)


def not_sent_because(outcome: SendOutcome) -> NotSentReason:
    assert isinstance(outcome, NotSent), outcome
    return outcome.reason


def uncertain_because(outcome: SendOutcome) -> UncertainReason:
    assert isinstance(outcome, Uncertain), outcome
    return outcome.reason


async def test_a_message_is_sent_as_the_contract_says(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(SUCCESS)
    outcome = await driver.send(
        "wa_1",
        JID,
        TEXT,
        media_url="https://media.example/a.png",
        media_type="image",
        client_ref="ref-1",
    )
    assert outcome == Sent("3EB0A1")
    [request] = gateway.received
    assert (request.method, request.target) == ("POST", "/send")
    assert request.headers["x-api-key"] == KEY
    assert "authorization" not in request.headers
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "sessionId": "wa_1",
        "phone": JID,
        "message": TEXT,
        "mediaUrl": "https://media.example/a.png",
        "mediaType": "image",
        "clientRef": "ref-1",
    }


async def test_a_gateway_that_does_not_list_client_ref_is_not_sent_one(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(SUCCESS)
    await send(make_driver(capabilities=Capabilities()))
    assert "clientRef" not in gateway.received[0].json


@pytest.mark.parametrize(
    ("answering", "outcome"),
    [
        (answer(200, {"key": {"id": "3EB0A1"}}), Sent("3EB0A1")),
        (answer(200, {"success": True, "messageId": "A", "existing": True}), Sent("A", True)),
        (answer(200, {"success": True, "accepted": True}), Accepted()),
        (answer(200, b'\xef\xbb\xbf{"messageId": "A"}', {"Content-Type": "text/html"}), Sent("A")),
        (
            raw(b'HTTP/1.0 200 OK\r\n\r\n{"success": true, "messageId": "A"}'),
            Sent("A"),
        ),
    ],
)
async def test_variants_of_a_success(
    driver: GrouplineDriver, gateway: ScriptedGateway, answering: Answering, outcome: SendOutcome
) -> None:
    gateway.says(answering)
    assert await send(driver) == outcome


@pytest.mark.parametrize(
    ("answering", "reason"),
    [
        (answer(200, {"success": False}), NotSentReason.REJECTED),
        (answer(200, {}), NotSentReason.REJECTED),
        (answer(400, {"error": "bad media"}), NotSentReason.BAD_REQUEST),
        (answer(401, b"who are you?"), NotSentReason.UNAUTHORIZED),
        (answer(404, b"<html>404</html>"), NotSentReason.ROUTE_MISSING),
        (answer(404, {"error": "Session not found"}), NotSentReason.NOT_CONNECTED),
        (answer(429, b"", {"Retry-After": "7"}), NotSentReason.RATE_LIMITED),
        (answer(503, {"error": "Session not connected"}), NotSentReason.NOT_CONNECTED),
        (
            answer(308, b"", {"Location": "https://a.example/send"}),
            NotSentReason.ROUTE_MISSING,
        ),
    ],
)
async def test_variants_of_a_refusal(
    driver: GrouplineDriver, gateway: ScriptedGateway, answering: Answering, reason: NotSentReason
) -> None:
    gateway.says(answering)
    assert not_sent_because(await send(driver)) is reason
    assert len(gateway.received) == 1


async def test_a_wait_that_the_gateway_asks_for_is_passed_on(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(429, b"", {"Retry-After": "7"}))
    outcome = await send(driver)
    assert isinstance(outcome, NotSent)
    assert outcome.retry_after == 7


_CUT = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"success": tr'


@pytest.mark.parametrize(
    ("answering", "reason"),
    [
        (silence, UncertainReason.NO_ANSWER),
        (reset(), UncertainReason.CONNECTION_LOST),
        (reset(after=b"HTTP/1.1 200 OK\r\n"), UncertainReason.CONNECTION_LOST),
        (raw(b""), UncertainReason.CONNECTION_LOST),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\n"), UncertainReason.CONNECTION_LOST),
        (raw(_CUT), UncertainReason.MALFORMED),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), UncertainReason.MALFORMED),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}"), UncertainReason.MALFORMED),
        (
            answer(200, b"not gzip", {"Content-Encoding": "gzip"}),
            UncertainReason.MALFORMED,
        ),
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            UncertainReason.MALFORMED,
        ),
        (answer(200, b'{"success": tr'), UncertainReason.MALFORMED),
        (answer(200, b"<html>Welcome</html>"), UncertainReason.MALFORMED),
        (answer(200, b""), UncertainReason.MALFORMED),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n", keep=True), UncertainReason.MALFORMED),
        (answer(200, b" " * 200_000), UncertainReason.MALFORMED),
        (answer(200, {"success": True}), UncertainReason.NO_EVIDENCE),
        (answer(500, b"<html>500</html>"), UncertainReason.SERVER_ERROR),
        (
            answer(504, {"error": "WhatsApp has not confirmed this message; it may have gone out"}),
            UncertainReason.UNCONFIRMED,
        ),
        (answer(502, b"Bad Gateway"), UncertainReason.SERVER_ERROR),
        (answer(503, b"<html>503</html>"), UncertainReason.SERVER_ERROR),
        (answer(302, b"", {"Location": "/login"}), UncertainReason.SERVER_ERROR),
    ],
)
async def test_what_is_not_known_is_uncertain_and_is_never_repeated(
    driver: GrouplineDriver,
    gateway: ScriptedGateway,
    answering: Answering,
    reason: UncertainReason,
) -> None:
    gateway.says(answering)
    assert uncertain_because(await send(driver)) is reason
    assert len(gateway.received) == 1


async def test_a_kept_connection_that_breaks_after_the_request_is_uncertain_and_not_retried(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(SUCCESS, reset())
    assert await send(driver) == Sent("3EB0A1")
    assert uncertain_because(await send(driver)) is UncertainReason.CONNECTION_LOST
    assert gateway.connections == 1
    assert len(gateway.received) == 2


async def test_a_connection_that_the_gateway_closed_while_it_was_idle_is_not_used_again(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    complete = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"messageId": "A"}'
    gateway.says(raw(complete))
    for _ in range(3):
        assert await send(driver) == Sent("A")
        for _ in range(10):
            await asyncio.sleep(0.01)  # one turn; in one of them the close arrives
    assert gateway.connections == 3


async def test_connections_are_kept(driver: GrouplineDriver, gateway: ScriptedGateway) -> None:
    gateway.says(SUCCESS)
    for _ in range(20):
        await send(driver)
    assert gateway.connections == 1


async def test_a_refused_connection_is_not_sent(make_driver: MakeDriver) -> None:
    async with refusing_port() as port:
        outcome = await send(make_driver(url=f"http://127.0.0.1:{port}"))
    assert not_sent_because(outcome) is NotSentReason.UNREACHABLE
    assert isinstance(outcome, NotSent)
    assert "refused" in outcome.detail


async def test_an_unknown_host_is_not_sent(make_driver: MakeDriver) -> None:
    outcome = await send(make_driver(url="http://gateway.invalid", limits=IMPATIENT))
    assert isinstance(outcome, NotSent)


async def test_a_handshake_that_breaks_is_not_sent(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.reset_on_accept = True
    outcome = await send(make_driver(url=gateway.url.replace("http:", "https:")))
    assert not_sent_because(outcome) is NotSentReason.UNREACHABLE


async def test_a_handshake_that_never_ends_is_not_sent(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.deaf = True
    url = gateway.url.replace("http:", "https:")
    outcome = await send(make_driver(url=url, limits=IMPATIENT))
    assert not_sent_because(outcome) is NotSentReason.TIMEOUT_BEFORE_WRITE


async def test_an_exhausted_pool_is_not_sent(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(silence)
    async with HttpPool(connections=1, per_gateway=1) as narrow:
        first = asyncio.create_task(send(make_driver(http=narrow, limits=limits_of(3))))
        await gateway.arrived.wait()
        second = await send(make_driver(http=narrow, limits=limits_of(0.3)))
        assert not_sent_because(second) is NotSentReason.POOL_EXHAUSTED
        assert uncertain_because(await first) is UncertainReason.NO_ANSWER
    assert len(gateway.received) == 1


async def test_a_connection_reset_on_arrival_is_never_called_sent(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.reset_on_accept = True
    outcome = await send(driver)
    assert isinstance(outcome, NotSent | Uncertain)
    assert gateway.received == []


async def test_a_large_message_that_the_gateway_does_not_read_is_uncertain(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.deaf = True
    outcome = await make_driver(limits=IMPATIENT).send("wa_1", JID, "x" * 900_000)
    assert uncertain_because(outcome) is UncertainReason.NO_ANSWER


@pytest.mark.parametrize(
    "answering",
    [
        answer(400, {"error": f"bad key {KEY} for +91 98765 43210: {TEXT}"}),
        answer(500, f"{KEY} 919876543210 {TEXT}".encode()),
        answer(200, {"success": False, "error": f"{KEY} {TEXT} 919876543210"}),
        reset(),
        silence,
    ],
)
async def test_neither_outcome_nor_log_repeats_a_secret(
    driver: GrouplineDriver, gateway: ScriptedGateway, answering: Answering
) -> None:
    gateway.says(answering)
    with capture_logs() as logs:
        outcome = await send(driver)
    for secret in (KEY, TEXT, "98765 43210", "919876543210"):
        assert secret not in repr(outcome)
        assert secret not in repr(logs)


@pytest.mark.parametrize(
    ("status", "error", "text", "reason"),
    [
        (400, "WhatsApp has banned this number", "banned", NotSentReason.RESTRICTED),
        (429, "This number is restricted", "restricted", NotSentReason.RESTRICTED),
        (400, "The session is not connected", "not connected", NotSentReason.NOT_CONNECTED),
        (400, "It is not a member of the group", "not a member", NotSentReason.NOT_IN_GROUP),
        (400, f"This number is banned by {KEY}", "banned", NotSentReason.RESTRICTED),
    ],
)
async def test_what_a_message_says_does_not_change_what_the_answer_means(
    make_driver: MakeDriver, status: int, error: str, text: str, reason: NotSentReason
) -> None:
    async with ScriptedGateway() as gateway:
        gateway.says(answer(status, {"error": error}))
        outcome = await make_driver(url=gateway.url).send("wa_1", JID, text)
    assert isinstance(outcome, NotSent)
    assert outcome.reason is reason
    assert outcome.detail == error.replace(text, "•••").replace(KEY, "•••")


async def test_the_words_of_a_plain_answer_are_understood_as_they_came(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(429, b"This number is restricted"))
    outcome = await driver.send("wa_1", JID, "restricted")
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.detail) == (NotSentReason.RESTRICTED, "This number is •••")


@pytest.mark.parametrize("body", [lambda said: {"error": said}, lambda said: said.encode()])
@pytest.mark.parametrize(
    "text",
    ["Bring a mat.\nBring  water.\n", "Our plan: " + "we walk and rest, " * 40, " \n \n \n"],
)
async def test_a_text_is_not_kept_on_one_line_or_cut_either(
    driver: GrouplineDriver, gateway: ScriptedGateway, text: str, body: Callable[[str], object]
) -> None:
    gateway.says(answer(400, body(f"Bad text: {text}")))
    outcome = await driver.send("wa_1", JID, text)
    assert isinstance(outcome, NotSent)
    assert outcome.detail == ("Bad text: •••" if text.strip() else "Bad text:")


async def test_cancelling_a_send_cancels_it(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(silence)
    task = asyncio.create_task(send(driver))
    await gateway.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_asked_before_anything_is_written_can_prevent_it(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    def prevent() -> None:
        raise LookupError("too late")

    asked: list[int] = []
    gateway.says(SUCCESS)
    with pytest.raises(LookupError, match="too late"):
        await driver.send("wa_1", JID, TEXT, before_write=prevent)
    outcome = await driver.send(
        "wa_1", JID, TEXT, before_write=lambda: asked.append(len(gateway.received))
    )
    assert outcome == Sent("3EB0A1")
    assert (asked, len(gateway.received)) == ([0], 1)
