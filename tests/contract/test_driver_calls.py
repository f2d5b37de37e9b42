"""All calls but the send: what they ask, what they understand, and how they fail."""

from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs
from tests.contract.conftest import KEY, MakeDriver
from tests.contract.scripted import (
    Answering,
    ScriptedGateway,
    answer,
    raw,
    refusing_port,
    reset,
    silence,
)

from groupline.errors import (
    GatewayAuthFailed,
    GatewayMalformed,
    GatewayRefused,
    GatewayRouteMissing,
    GatewaySessionUnknown,
    GatewayUnreachable,
    InvalidInput,
    UpstreamError,
)
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.drivers.groupline import GrouplineDriver
from groupline.gateways.outcomes import (
    FailureKind,
    Found,
    LookupUnknown,
    NotFound,
    QrCode,
    ReadingFailed,
    SessionConnected,
    SessionDisconnected,
    SessionQr,
    SessionUnknown,
    UnknownWord,
)
from groupline.gateways.port import (
    Capabilities,
    Capability,
    Invite,
    ListingHint,
    Pairing,
    Proxy,
    SimulatedPhone,
)

JID = "120363041234567890@g.us"
Call = Callable[[GrouplineDriver], Awaitable[object]]
CALLS: dict[str, Call] = {
    "connect": lambda driver: driver.connect("wa_1"),
    "disconnect": lambda driver: driver.disconnect("wa_1"),
    "groups": lambda driver: driver.groups("wa_1"),
    "invite": lambda driver: driver.invite("wa_1", JID),
    "participants": lambda driver: driver.participants("wa_1", JID),
    "list_phones": lambda driver: driver.list_phones(),
    "scan": lambda driver: driver.scan("919876543210", "wa_1"),
}


# --- what is asked


async def test_the_base_url_may_have_a_path_and_a_slash_and_the_key_blanks(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, {"status": "connecting"}))
    await make_driver(url=f" {gateway.url}/wa/ ", key=f" {KEY}\n").status("wa_1")
    [request] = gateway.received
    assert request.target == "/wa/status/wa_1"
    assert request.headers["x-api-key"] == KEY


async def test_a_bearer_gateway_gets_that_scheme_only(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, {"status": "connecting"}))
    await make_driver(auth=AuthScheme.BEARER).status("wa_1")
    [request] = gateway.received
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in request.headers


async def test_an_id_stays_one_segment_of_the_path(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, {"status": "connecting"}))
    await driver.status("a/../b?c#d e")
    assert gateway.received[0].target == "/status/a%2F..%2Fb%3Fc%23d%20e"


async def test_connect_tells_proxy_and_native_wishes(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, {"success": True, "pairingCode": "K7PM-3WXQ", "qr": "2@a"}))
    proxy = Proxy("proxy.example", 8080, username="me", password="pw")
    pairing = await driver.connect(
        "wa_1", proxy=proxy, expected_phone="919876543210", pairing_code=True
    )
    assert pairing == Pairing(qr=QrCode(text="2@a"), pairing_code="K7PM-3WXQ")
    assert gateway.received[0].json == {
        "sessionId": "wa_1",
        "proxy": {"host": "proxy.example", "port": 8080, "username": "me", "password": "pw"},
        "phone": "919876543210",
        "pairingCode": True,
    }


async def test_connect_does_without_what_the_gateway_does_not_list(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, b""))
    driver = make_driver(capabilities=Capabilities())
    await driver.connect("wa_1", expected_phone="919876543210", pairing_code=True)
    assert gateway.received[0].json == {"sessionId": "wa_1"}


async def test_groups_are_asked_with_or_without_links(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, []))
    await driver.groups("wa_1")
    await driver.groups("wa_1", include_invite_links=True)
    assert [request.target for request in gateway.received] == [
        "/groups/wa_1",
        "/groups/wa_1?includeInviteLinks=true",
    ]


async def test_calls_on_a_group_name_it_in_the_path(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(
        answer(200, {"inviteCode": "AbCdEf", "inviteLink": "https://chat.whatsapp.com/AbCdEf"}),
        answer(200, {"participants": [{"id": "1@lid"}]}),
    )
    assert await driver.invite("wa_1", JID) == Invite("https://chat.whatsapp.com/AbCdEf", "AbCdEf")
    assert (await driver.participants("wa_1", JID)).total == 1
    assert [request.target for request in gateway.received] == [
        f"/groups/wa_1/{JID}/invite",
        f"/groups/wa_1/{JID}/participants",
    ]


async def test_what_is_no_group_is_never_asked_about(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    with pytest.raises(InvalidInput):
        await driver.invite("wa_1", "919876543210@s.whatsapp.net")
    assert gateway.received == []


async def test_simulated_phones_are_listed_and_scan(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    phones = [{"number": "919876543210", "name": "Reception", "groups": 27}]
    gateway.says(answer(200, {"phones": phones}), answer(200, {"success": True}))
    assert await driver.list_phones() == [SimulatedPhone("919876543210", "Reception", 27)]
    await driver.scan("919876543210", "wa_1")
    assert gateway.received[1].target == "/sim/phones/919876543210/scan"
    assert gateway.received[1].json == {"sessionId": "wa_1"}


# --- status: values only


@pytest.mark.parametrize(
    ("answering", "reading"),
    [
        (
            answer(200, {"status": "connected", "phoneNumber": "+91 98765 43210"}),
            SessionConnected("919876543210"),
        ),
        (answer(200, {"status": "qr", "qrcode": "2@a"}), SessionQr(QrCode("2@a"))),
        (
            answer(200, b'{"status": "disconnected"}', {"Content-Type": "text/plain"}),
            SessionDisconnected(),
        ),
        (answer(200, {"status": "hibernating"}), UnknownWord("hibernating")),
        (
            answer(404, {"error": "Session not found"}),
            SessionUnknown("The gateway answered 404: Session not found"),
        ),
    ],
)
async def test_a_reading(
    driver: GrouplineDriver, gateway: ScriptedGateway, answering: Answering, reading: object
) -> None:
    gateway.says(answering)
    assert await driver.status("wa_1") == reading


@pytest.mark.parametrize(
    ("answering", "kind"),
    [
        (silence, FailureKind.UNREACHABLE),
        (reset(), FailureKind.UNREACHABLE),
        (answer(401, {"error": "Invalid API key"}), FailureKind.AUTH),
        (answer(403, b"no"), FailureKind.AUTH),
        (answer(404, b"<html>404</html>"), FailureKind.ROUTE_MISSING),
        (answer(404, b""), FailureKind.ROUTE_MISSING),
        (answer(404, {"message": "Not Found"}), FailureKind.ROUTE_MISSING),
        (
            answer(404, {"message": "Cannot GET /status/wa_1", "error": "Not Found"}),
            FailureKind.ROUTE_MISSING,
        ),
        (answer(301, b"", {"Location": "https://a.example/"}), FailureKind.ROUTE_MISSING),
        (answer(500, {"error": "boom"}), FailureKind.SERVER_ERROR),
        (answer(503, b"<html>503</html>"), FailureKind.SERVER_ERROR),
        (answer(429, b""), FailureKind.REFUSED),
        (answer(400, {"error": "sessionId?"}), FailureKind.REFUSED),
        (answer(200, b"<html>Welcome</html>"), FailureKind.MALFORMED),
        (answer(200, b""), FailureKind.MALFORMED),
        (answer(200, {}), FailureKind.MALFORMED),
        (answer(200, []), FailureKind.MALFORMED),
        (answer(200, b'{"status": "conn'), FailureKind.MALFORMED),
        (answer(200, b" " * 100_000), FailureKind.MALFORMED),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), FailureKind.MALFORMED),
        (raw(b"nonsense\r\n\r\n"), FailureKind.MALFORMED),
    ],
)
async def test_no_reading_is_a_value_that_says_why(
    driver: GrouplineDriver, gateway: ScriptedGateway, answering: Answering, kind: FailureKind
) -> None:
    gateway.says(answering)
    reading = await driver.status("wa_1")
    assert isinstance(reading, ReadingFailed)
    assert reading.kind is kind
    assert reading.detail


async def test_a_gateway_that_is_down_is_no_reading(make_driver: MakeDriver) -> None:
    async with refusing_port() as port:
        reading = await make_driver(url=f"http://127.0.0.1:{port}").status("wa_1")
    assert isinstance(reading, ReadingFailed)
    assert reading.kind is FailureKind.UNREACHABLE


# --- the other calls: errors for people


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize(
    ("answering", "error"),
    [
        (reset(), GatewayUnreachable),
        (silence, GatewayUnreachable),
        (answer(401, {"error": "Invalid API key"}), GatewayAuthFailed),
        (answer(404, b"<html>404</html>"), GatewayRouteMissing),
        (answer(307, b"", {"Location": "/elsewhere"}), GatewayRouteMissing),
        (answer(409, {"error": "busy"}), GatewayRefused),
        (answer(200, {"success": False, "error": "no"}), GatewayRefused),
        (answer(500, {"error": "boom"}), UpstreamError),
        (answer(200, b"<html>Welcome</html>"), GatewayMalformed),
        (answer(200, b'{"groups": [{"id": '), GatewayMalformed),
        (answer(200, b" " * 5_000_000), GatewayMalformed),
    ],
)
async def test_a_failure_is_the_error_that_names_it(
    driver: GrouplineDriver,
    gateway: ScriptedGateway,
    call: Call,
    answering: Answering,
    error: type[UpstreamError],
) -> None:
    gateway.says(answering)
    with pytest.raises(UpstreamError) as raised:
        await call(driver)
    assert type(raised.value) is error
    assert raised.value.detail
    assert raised.value.problem()["upstream"] == "gateway"


@pytest.mark.parametrize("name", ["connect", "groups", "invite", "participants", "scan"])
async def test_a_session_that_the_gateway_does_not_know(
    driver: GrouplineDriver, gateway: ScriptedGateway, name: str
) -> None:
    gateway.says(answer(404, {"error": "Session not found"}))
    with pytest.raises(GatewaySessionUnknown):
        await CALLS[name](driver)


@pytest.mark.parametrize("name", ["invite", "participants"])
async def test_a_group_that_the_gateway_does_not_know(
    driver: GrouplineDriver, gateway: ScriptedGateway, name: str
) -> None:
    gateway.says(answer(404, {"error": "Group not found"}))
    with pytest.raises(GatewayRefused, match="Group not found"):
        await CALLS[name](driver)


async def test_a_simulated_phone_that_does_not_exist(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(404, {"error": "There is no simulated phone with this number"}))
    with pytest.raises(GatewayRefused, match="no simulated phone"):
        await driver.scan("919876543210", "wa_1")


async def test_a_forbidden_invite_is_about_our_rights_and_not_about_our_key(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(403, {"error": "You are not an admin of this group"}))
    with pytest.raises(GatewayRefused, match="not an admin"):
        await driver.invite("wa_1", JID)


async def test_a_session_that_is_not_connected_is_told_apart(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(503, {"error": "Session not connected"}))
    with pytest.raises(GatewayRefused) as raised:
        await driver.groups("wa_1")
    assert raised.value.extra["gatewayReason"] == "not_connected"
    assert raised.value.upstream_status == 503


@pytest.mark.parametrize(
    "answering",
    [
        answer(200, {"success": True}),
        answer(200, b""),
        raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
        answer(404, {"error": "Session not found"}),
    ],
)
async def test_disconnecting_what_is_gone_is_a_success(
    driver: GrouplineDriver, gateway: ScriptedGateway, answering: Answering
) -> None:
    gateway.says(answering)
    await driver.disconnect("wa_1")
    assert gateway.received[0].target == "/disconnect/wa_1"


@pytest.mark.parametrize("body", [{}, {"groups": None}, None, "none", {"groups": "none"}])
async def test_an_answer_without_a_list_is_never_an_empty_list(
    driver: GrouplineDriver, gateway: ScriptedGateway, body: object
) -> None:
    gateway.says(answer(200, body))
    with pytest.raises(GatewayMalformed):
        await driver.groups("wa_1")


async def test_a_list_at_the_gateways_own_cap_is_marked(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, [{"id": JID}]))
    listing = await make_driver(capabilities=Capabilities(max_groups=1)).groups("wa_1")
    assert listing.hints == (ListingHint.AT_CAP,)


async def test_a_long_list_is_within_the_limit_of_its_call(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    groups = [{"id": f"12036304{n:010d}@g.us", "name": "x" * 60} for n in range(2_000)]
    gateway.says(answer(200, {"groups": groups, "complete": True}))
    listing = await driver.groups("wa_1")
    assert len(listing.groups) == 2_000
    assert listing.complete is True


async def test_no_error_and_no_log_repeats_the_key(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(400, {"error": f"{KEY} is not a session of 919876543210"}))
    with capture_logs() as logs, pytest.raises(GatewayRefused) as raised:
        await driver.groups("wa_1")
    for secret in (KEY, "919876543210"):
        assert secret not in str(raised.value.problem())
        assert secret not in repr(logs)


# --- look-ups


async def test_a_look_up_by_reference_is_exact(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(
        answer(200, {"found": True, "messageId": "A", "status": "sent"}),
        answer(200, {"found": False}),
    )
    first = await driver.message_status("wa_1", client_ref="ref-1", group_jid=JID)
    assert first == Found("A", status="sent", by_client_ref=True)
    assert await driver.message_status("wa_1", client_ref="ref-1") == NotFound()
    assert gateway.received[0].json == {"sessionId": "wa_1", "clientRef": "ref-1"}


async def test_a_look_up_by_group_proves_no_absence(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, {"found": False}))
    driver = make_driver(capabilities=Capabilities())
    answered = await driver.message_status("wa_1", client_ref="ref-1", group_jid=JID)
    assert isinstance(answered, LookupUnknown)
    assert gateway.received[0].json == {"sessionId": "wa_1", "groupJid": JID}


async def test_a_gateway_that_cannot_be_asked_is_not_asked(
    make_driver: MakeDriver, gateway: ScriptedGateway
) -> None:
    driver = make_driver(capabilities=Capabilities())
    answered = await driver.message_status("wa_1", client_ref="ref-1")
    assert isinstance(answered, LookupUnknown)
    assert gateway.received == []


@pytest.mark.parametrize(
    ("answering", "failure"),
    [
        (silence, FailureKind.UNREACHABLE),
        (answer(401, b""), FailureKind.AUTH),
        (answer(500, b""), FailureKind.SERVER_ERROR),
        (answer(404, b""), FailureKind.ROUTE_MISSING),
        (answer(404, {"error": "Session not found"}), None),
        (answer(200, b"<html>"), None),
    ],
)
async def test_a_look_up_that_fails_is_no_conclusion(
    driver: GrouplineDriver,
    gateway: ScriptedGateway,
    answering: Answering,
    failure: FailureKind | None,
) -> None:
    gateway.says(answering)
    answered = await driver.message_status("wa_1", client_ref="ref-1")
    assert isinstance(answered, LookupUnknown)
    assert answered.failure is failure


# --- the gateway itself


async def test_a_probe_of_a_healthy_gateway(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    health = {"status": "ok", "version": "1.2", "engine": "simulator"}
    gateway.says(
        answer(200, {**health, "capabilities": ["client_ref", "new"]}),
        answer(404, {"error": "Session not found"}),
    )
    probe = await driver.probe()
    assert (probe.reachable, probe.authenticated, probe.error) == (True, True, None)
    assert (probe.version, probe.engine) == ("1.2", "simulator")
    assert probe.capabilities == Capabilities(frozenset({Capability.CLIENT_REF}))
    assert probe.latency_ms is not None


async def test_a_probe_sees_a_wrong_key_behind_an_open_health_route(
    driver: GrouplineDriver, gateway: ScriptedGateway
) -> None:
    gateway.says(answer(200, b"OK"), answer(401, {"error": "Invalid API key"}))
    probe = await driver.probe()
    assert (probe.reachable, probe.authenticated) == (True, False)
    assert probe.failure is FailureKind.AUTH
    assert probe.error == "The gateway answered 401: Invalid API key"


@pytest.mark.parametrize(
    ("answering", "seen", "failure"),
    [
        (silence, (False, None), FailureKind.UNREACHABLE),
        (answer(502, b""), (False, None), FailureKind.SERVER_ERROR),
        (answer(401, b""), (True, False), FailureKind.AUTH),
        (answer(404, b""), (True, None), FailureKind.ROUTE_MISSING),
        (answer(404, {"error": "nothing here"}), (True, None), FailureKind.ROUTE_MISSING),
        (answer(429, b""), (True, None), FailureKind.REFUSED),
    ],
)
async def test_a_probe_of_a_gateway_that_is_not_well(
    driver: GrouplineDriver,
    gateway: ScriptedGateway,
    answering: Answering,
    seen: tuple[bool, bool | None],
    failure: FailureKind,
) -> None:
    gateway.says(answering)
    probe = await driver.probe()
    assert (probe.reachable, probe.authenticated) == seen
    assert probe.failure is failure
    assert probe.error
