"""Each call of the contract, as it stands in the table."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.support.gateway import API_KEY, STUDIO, RunningGateway, running_gateway

UNKNOWN_SESSION = {"error": "Session not found"}


async def test_health_with_the_key_tells_what_the_gateway_can(gateway: RunningGateway) -> None:
    await gateway.post("/connect", {"sessionId": "wa_1"})
    health = await gateway.get("/health")
    assert health["status"] == "ok"
    assert health["engine"] == "simulator"
    assert {"client_ref", "signed_webhooks", "status_events"} <= set(health["capabilities"])
    assert health["sessions"] == 1
    assert health["version"]


async def test_health_without_a_key_only_says_that_it_is_alive(gateway: RunningGateway) -> None:
    async with aiohttp.ClientSession() as stranger, stranger.get(gateway.url + "/health") as answer:
        assert answer.status == 200
        assert await answer.json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("POST", "/connect"),
        ("GET", "/status/wa_1"),
        ("POST", "/disconnect/wa_1"),
        ("GET", "/groups/wa_1"),
        ("POST", "/send"),
        ("POST", "/message-status"),
        ("GET", "/sim/phones"),
        ("GET", "/no/such/route"),
    ],
)
async def test_a_wrong_key_is_refused_everywhere(
    gateway: RunningGateway, method: str, path: str
) -> None:
    for key in ("wrong", API_KEY + "x", API_KEY[:-1], ""):
        refused = await gateway.call(method, path, expect=401, headers={"X-API-Key": key})
        assert list(refused) == ["error"]


async def test_everything_but_health_and_the_documentation_needs_a_key(
    gateway: RunningGateway,
) -> None:
    async with aiohttp.ClientSession(gateway.url) as stranger:
        statuses = {}
        for path in ("/health", "/docs", "/openapi.json", "/status/wa_1", "/sim/phones"):
            async with stranger.get(path) as answer:
                statuses[path] = answer.status
    assert statuses == {
        "/health": 200,
        "/docs": 200,
        "/openapi.json": 200,
        "/status/wa_1": 401,
        "/sim/phones": 401,
    }


@pytest.mark.parametrize("path", ["/nothing", "/status", "/status/a/b", "/sim/nothing", "/send/"])
async def test_a_missing_route_answers_404_without_json(gateway: RunningGateway, path: str) -> None:
    async with gateway.http.get(gateway.url + path) as answer:
        assert answer.status == 404
        assert answer.content_type == "text/plain"


async def test_a_missing_session_answers_404_with_json(gateway: RunningGateway) -> None:
    jid = "120363041234567890@g.us"
    for path in ("/status/wa_9", "/groups/wa_9", f"/groups/wa_9/{jid}/invite"):
        assert await gateway.get(path, expect=404) == UNKNOWN_SESSION
    assert await gateway.post("/disconnect/wa_9", expect=404) == UNKNOWN_SESSION
    assert await gateway.send(jid, session_id="wa_9", expect=404) == UNKNOWN_SESSION


async def test_a_wrong_method_is_an_error_with_json(gateway: RunningGateway) -> None:
    assert "error" in await gateway.get("/send", expect=405)


async def test_connecting_shows_a_qr_code_until_it_is_scanned(gateway: RunningGateway) -> None:
    await gateway.add_phone()
    answer = await gateway.post("/connect", {"sessionId": "wa_1"})
    assert answer == {"success": True, "sessionId": "wa_1", "status": "qr_pending"}

    waiting = await gateway.get("/status/wa_1")
    assert waiting["status"] == "qr_pending"
    assert waiting["qr"].startswith("2@")
    assert "phoneNumber" not in waiting

    await gateway.post(f"/sim/phones/{STUDIO}/scan", {"sessionId": "wa_1", "qr": waiting["qr"]})
    connected = await gateway.get("/status/wa_1")
    assert connected["status"] == "connected"
    assert connected["phoneNumber"] == f"+{STUDIO}"
    assert "qr" not in connected
    assert connected["since"] >= waiting["since"]


async def test_connecting_again_changes_nothing(gateway: RunningGateway) -> None:
    await gateway.connect()
    before = await gateway.get("/status/wa_1")
    answer = await gateway.post("/connect", {"sessionId": "wa_1"})
    assert answer["status"] == "connected"
    assert await gateway.get("/status/wa_1") == before


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "sessionId"),
        ({"sessionId": ""}, "sessionId"),
        ({"sessionId": "a b"}, "sessionId"),
        ({"sessionId": "wa_1", "phone": "call me"}, "phone"),
        ({"sessionId": "wa_1", "pairingCode": True}, "phone"),
        ({"sessionId": "wa_1", "proxy": {"host": "p"}}, "proxy.port"),
        ({"sessionId": "wa_1", "proxy": {"host": "p", "port": 70000}}, "proxy.port"),
    ],
)
async def test_a_wrong_connect_is_refused_by_name(
    gateway: RunningGateway, body: dict[str, object], named: str
) -> None:
    refused = await gateway.post("/connect", body, expect=400)
    assert named in refused["error"]
    assert (await gateway.get("/health"))["sessions"] == 0


async def test_a_proxy_is_taken(gateway: RunningGateway) -> None:
    proxy = {"host": "proxy.example", "port": 1080, "username": "u", "password": "p"}
    await gateway.post("/connect", {"sessionId": "wa_1", "proxy": proxy})


async def test_disconnecting_forgets_the_session(gateway: RunningGateway) -> None:
    await gateway.connect()
    assert await gateway.post("/disconnect/wa_1") == {"success": True}
    assert await gateway.get("/status/wa_1", expect=404) == UNKNOWN_SESSION
    assert await gateway.post("/disconnect/wa_1", expect=404) == UNKNOWN_SESSION


async def test_groups_are_listed_whole(gateway: RunningGateway) -> None:
    await gateway.add_phone(groups=27)
    await gateway.pair()
    listed = await gateway.get("/groups/wa_1")
    assert listed["complete"] is True
    groups = listed["groups"]
    assert len(groups) == len({group["id"] for group in groups}) == 27
    assert len({group["name"] for group in groups}) == 27
    assert sum(group["isCommunity"] for group in groups) == 1
    assert [group["announceOnly"] for group in groups if group["isCommunityAnnounce"]] == [True]
    assert any(group["isAdmin"] for group in groups)
    assert not all(group["isAdmin"] for group in groups)
    assert not any("inviteLink" in group for group in groups)


async def test_invite_links_come_on_request_and_only_for_admins(gateway: RunningGateway) -> None:
    await gateway.add_phone(groups=27)
    await gateway.pair()
    listed = await gateway.get("/groups/wa_1?includeInviteLinks=true")
    for group in listed["groups"]:
        assert ("inviteLink" in group) is group["isAdmin"]

    admin = next(group for group in listed["groups"] if group["isAdmin"])
    other = next(group for group in listed["groups"] if not group["isAdmin"])
    invite = await gateway.get(f"/groups/wa_1/{admin['id']}/invite")
    assert invite["inviteLink"] == admin["inviteLink"]
    assert invite["inviteLink"].endswith(invite["inviteCode"])
    assert "admin" in (await gateway.get(f"/groups/wa_1/{other['id']}/invite", expect=403))["error"]


async def test_participants_are_phones_and_lids(gateway: RunningGateway) -> None:
    [jid] = await gateway.connect(groups=[{"name": "Yoga", "participants": 12, "isAdmin": True}])
    listed = await gateway.get(f"/groups/wa_1/{jid}/participants")
    assert listed["groupName"] == "Yoga"
    assert listed["totalParticipants"] == len(listed["participants"]) == 12
    me = [one for one in listed["participants"] if one.get("phone") == STUDIO]
    assert [one["isAdmin"] for one in me] == [True]
    lids = [one for one in listed["participants"] if one["id"].endswith("@lid")]
    assert lids
    assert not any("phone" in one for one in lids)


async def test_five_thousand_groups_come_in_one_answer(gateway: RunningGateway) -> None:
    await gateway.add_phone(groups=5000)
    await gateway.pair()
    groups = (await gateway.get("/groups/wa_1"))["groups"]
    assert len({group["id"] for group in groups}) == 5000
    assert len({group["name"] for group in groups}) == 5000


async def test_a_message_is_sent_and_reaches_the_group(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    sent = await gateway.send(jid, text="We start in 10 minutes.")
    assert sent["success"] is True
    [delivery] = await gateway.deliveries()
    assert delivery["groupJid"] == jid
    assert delivery["text"] == "We start in 10 minutes."
    assert delivery["messageId"] == sent["messageId"]
    assert delivery["phone"] == STUDIO


@pytest.mark.parametrize(
    "recipient", ["919812345678", "+919812345678", "919812345678:12@s.whatsapp.net"]
)
async def test_a_number_can_be_written_to_in_every_spelling(
    gateway: RunningGateway, recipient: str
) -> None:
    await gateway.connect()
    await gateway.send(recipient)
    [delivery] = await gateway.deliveries()
    assert delivery["groupJid"] == "919812345678@s.whatsapp.net"


async def test_media_travel_by_address(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    media = {"mediaUrl": "https://media.example/a.png", "mediaType": "image"}
    await gateway.post("/send", {"sessionId": "wa_1", "phone": jid, "message": "", **media})
    [delivery] = await gateway.deliveries()
    assert {name: delivery[name] for name in media} == media


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sessionId": None}, "sessionId"),
        ({"sessionId": 7}, "sessionId"),
        ({"phone": None}, "phone"),
        ({"phone": "somebody"}, "phone"),
        ({"message": None}, "message"),
        ({"message": "   "}, "message"),
        ({"message": 5}, "message"),
        ({"message": "x" * 65_537}, "message"),
        ({"mediaUrl": "https://media.example/a.png"}, "mediaType"),
        ({"mediaUrl": "https://media.example/a.png", "mediaType": "song"}, "mediaType"),
        ({"mediaUrl": "file:///etc/passwd", "mediaType": "image"}, "mediaUrl"),
        ({"clientRef": 7}, "clientRef"),
        ({"clientRef": "x" * 201}, "clientRef"),
    ],
)
async def test_a_wrong_send_is_refused_by_name_and_nothing_is_sent(
    gateway: RunningGateway, change: dict[str, object], named: str
) -> None:
    jid, *_ = await gateway.connect()
    body = {"sessionId": "wa_1", "phone": jid, "message": "hello", **change}
    assert named in (await gateway.post("/send", body, expect=400))["error"]
    assert await gateway.deliveries() == []


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'"text"'])
async def test_what_is_no_json_object_is_refused(gateway: RunningGateway, raw: bytes) -> None:
    for path in ("/send", "/message-status", "/connect"):
        async with gateway.http.post(gateway.url + path, data=raw) as answer:
            assert answer.status == 400
            assert list(await answer.json()) == ["error"]


async def test_a_session_that_is_not_connected_answers_503(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.post(f"/sim/phones/{STUDIO}/drop")
    assert "not connected" in (await gateway.send(jid, "ref", expect=503))["error"]
    assert "not connected" in (await gateway.get("/groups/wa_1", expect=503))["error"]
    assert await gateway.deliveries() == []


async def test_groups_that_cannot_be_written_to_refuse_the_message(gateway: RunningGateway) -> None:
    groups = [
        {"id": "1201@g.us", "isCommunity": True, "isAdmin": True},
        {"id": "1202@g.us", "announceOnly": True},
    ]
    await gateway.add_phone(groups=groups)
    await gateway.pair()
    reasons = {"1201@g.us": "community", "1202@g.us": "admins", "1203@g.us": "not a member"}
    for jid, reason in reasons.items():
        assert reason in (await gateway.send(jid, "ref" + jid, expect=400))["error"]
        assert (await gateway.message_status("ref" + jid))["status"] == "failed"
    assert await gateway.deliveries() == []


async def test_the_last_message_to_a_group_is_remembered(gateway: RunningGateway) -> None:
    jid, other, *_ = await gateway.connect()
    await gateway.send(jid)
    sent = await gateway.send(jid)
    question = {"sessionId": "wa_1", "groupJid": jid}
    found = await gateway.post("/message-status", question)
    assert found["found"] is True
    assert found["messageId"] == sent["messageId"]
    assert found["status"] == "sent"
    nothing = await gateway.post("/message-status", {**question, "groupJid": other})
    assert nothing == {"found": False}
    assert (
        "groupJid"
        in (await gateway.post("/message-status", {"sessionId": "wa_1"}, expect=400))["error"]
    )


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path, demo_phones=True) as running:
        yield running


async def test_a_new_user_finds_two_phones(demo: RunningGateway) -> None:
    phones = (await demo.get("/sim/phones"))["phones"]
    assert [(phone["name"], phone["groups"]) for phone in phones] == [
        ("Studio phone", 27),
        ("Academy phone", 64),
    ]


async def test_removed_demo_phones_stay_away(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, demo_phones=True) as first:
        for phone in (await first.get("/sim/phones"))["phones"]:
            await first.delete(f"/sim/phones/{phone['number'].lstrip('+')}")
    async with running_gateway(tmp_path, demo_phones=True) as second:
        assert (await second.get("/sim/phones"))["phones"] == []
