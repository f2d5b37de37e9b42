"""Pairing, losing and coming back, with a worker process for each session."""

from pathlib import Path

import pytest
from tests.gateway.receiver import Receiver
from tests.gateway.whatsmeow.waiting import is_alive, until, until_status
from tests.support.fake_whatsapp import COMMUNITY, MORNING, NEWS, STUDIO, FakeWhatsApp, options
from tests.support.gateway import RunningGateway, running_gateway

from groupline_gateway.engines.whatsmeow import changes


async def test_a_session_from_connect_to_disconnect(
    real_gateway: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    gateway = real_gateway
    answer = await gateway.post("/connect", {"sessionId": "wa_1"})
    assert answer == {"success": True, "sessionId": "wa_1", "status": "connecting"}
    waiting = await until_status(gateway, "qr_pending")
    assert waiting["qr"] == "2@code-1"
    assert waiting["qrExpiresAt"]

    await whatsapp.scan()
    connected = await until_status(gateway, "connected")
    assert connected["phoneNumber"] == f"+{STUDIO}"
    assert "qr" not in connected
    pid = whatsapp.clients["wa_1"].pid

    assert await gateway.post("/disconnect/wa_1") == {"success": True}
    await gateway.get("/status/wa_1", expect=404)
    await gateway.post("/disconnect/wa_1", expect=404)
    await until(lambda: not is_alive(pid))


async def test_an_idle_gateway_has_no_worker(real_gateway: RunningGateway) -> None:
    health = await real_gateway.get("/health")
    assert (health["engine"], health["sessions"]) == ("whatsmeow", 0)
    assert "neonize 0.5.2" in health["version"]
    assert {"client_ref", "pairing_code", "sessions"} <= set(health["capabilities"])
    listed = await real_gateway.get("/sessions")
    assert listed == {"sessions": [], "limit": 50, "memoryLimitMb": 250}


async def test_a_pairing_code_follows_the_first_qr_code(
    real_gateway: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    gateway = real_gateway
    body = {"sessionId": "wa_1", "phone": f"+{STUDIO}", "pairingCode": True}
    await gateway.post("/connect", body)
    waiting = await until_status(gateway, "qr_pending", pairingCode="K7PM-3WXQ")
    await gateway.post("/connect", body)
    assert await gateway.get("/status/wa_1") == waiting
    await gateway.post("/connect", {"sessionId": "wa_2", "pairingCode": True}, expect=400)


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ("info query returned status 400: bad-request", changes.NO_CODE),
        ("info query returned status 404: item-not-found", changes.NO_SUCH_PHONE),
        ("info query returned status 429: rate-overlimit", changes.NO_CODE_FOR_NOW),
        ("phone number too short", changes.NO_SUCH_PHONE),
        ("info query timed out", changes.NO_CODE),
    ],
)
async def test_a_number_without_a_pairing_code_still_has_the_qr_code(
    real_gateway: RunningGateway, whatsapp: FakeWhatsApp, said: str, detail: str
) -> None:
    whatsapp.errors["pair_phone"] = said
    body = {"sessionId": "wa_1", "phone": f"+{STUDIO}", "pairingCode": True}
    await real_gateway.post("/connect", body)
    waiting = await until_status(real_gateway, "qr_pending", detail=detail)
    assert waiting["qr"]
    whatsapp.clients["wa_1"].event("qr", code="2@next")
    await until_status(real_gateway, "qr_pending", qr="2@next", detail=detail)


async def test_six_codes_and_the_pairing_has_expired(
    real_gateway: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    gateway = real_gateway
    await gateway.post("/connect", {"sessionId": "wa_1"})
    await until_status(gateway, "qr_pending", qr="2@code-1")
    for code in ("b", "c", "d", "e", "f"):
        whatsapp.clients["wa_1"].event("qr", code=f"2@{code}")
    await until_status(gateway, "qr_pending", qr="2@f")
    whatsapp.clients["wa_1"].event("login", status="timeout")
    ended = await until_status(gateway, "disconnected", reason="pairing_expired")
    assert "qr" not in ended
    await gateway.post("/connect", {"sessionId": "wa_1"})
    await until_status(gateway, "qr_pending", qr="2@code-2")


async def test_a_connection_that_breaks_while_pairing_shows_new_codes(
    real_gateway: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    await real_gateway.post("/connect", {"sessionId": "wa_1"})
    await until_status(real_gateway, "qr_pending", qr="2@code-1")
    whatsapp.clients["wa_1"].event("login", status="timeout")
    await until_status(real_gateway, "qr_pending", qr="2@code-2")


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted in time", "killed before"])
async def test_a_device_that_the_phone_removes_is_logged_out(
    paired: RunningGateway, whatsapp: FakeWhatsApp, deleted: bool
) -> None:
    whatsapp.clients["wa_1"].event("logged_out", reason="LOGGED_OUT", deleted=deleted)
    ended = await until_status(paired, "disconnected", reason="logged_out")
    assert ended["detail"].startswith("The linked device was removed on the phone.")
    await paired.send(MORNING, "ref", expect=503)
    await paired.post("/connect", {"sessionId": "wa_1"})
    await until_status(paired, "qr_pending")


@pytest.mark.parametrize("reason", ["MAIN_DEVICE_GONE", "UNKNOWN_LOGOUT"])
async def test_a_number_that_whatsapp_logs_out_is_told_to_look_at_the_phone(
    paired: RunningGateway, whatsapp: FakeWhatsApp, reason: str
) -> None:
    whatsapp.clients["wa_1"].event("logged_out", reason=reason)
    ended = await until_status(paired, "disconnected", reason="logged_out")
    assert ended["detail"] == changes.LOGGED_OUT


async def test_a_banned_number_says_until_when(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.clients["wa_1"].event("banned", code="BROADCAST_LIST", seconds=7200)
    ended = await until_status(paired, "disconnected", reason="banned")
    assert "has banned this number until" in ended["detail"]
    assert ended["restriction"]["kind"] == "banned"
    assert ended["restriction"]["until"] > ended["since"]


@pytest.mark.parametrize(
    ("event", "reason", "words"),
    [("outdated", "outdated", "too old"), ("replaced", "replaced", "Another program")],
)
async def test_what_ends_a_connection_is_named_and_can_be_undone(
    paired: RunningGateway, whatsapp: FakeWhatsApp, event: str, reason: str, words: str
) -> None:
    whatsapp.clients["wa_1"].event(event)
    ended = await until_status(paired, "disconnected", reason=reason)
    assert words in ended["detail"]
    await paired.post("/connect", {"sessionId": "wa_1"})
    await until_status(paired, "connected")


async def test_a_connection_that_comes_back_by_itself(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    client = whatsapp.clients["wa_1"]
    client.event("disconnected")
    await until_status(paired, "connecting")
    await paired.send(MORNING, "ref", expect=503)
    client.event("connected")
    await until_status(paired, "connected")


async def test_pairings_come_back_after_a_restart(tmp_path: Path, whatsapp: FakeWhatsApp) -> None:
    async with running_gateway(tmp_path, whatsmeow=options()) as first:
        await first.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(first, "connected")
    async with running_gateway(tmp_path, whatsmeow=options()) as second:
        connected = await until_status(second, "connected")
        assert connected["phoneNumber"] == f"+{STUDIO}"
        await second.send(MORNING, "ref")


async def test_pairings_are_for_nobody_else_to_read(tmp_path: Path, whatsapp: FakeWhatsApp) -> None:
    async with running_gateway(tmp_path, whatsmeow=options()) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        await whatsapp.scan()
        await until_status(gateway, "connected")
        directory = tmp_path / "pairings"
        assert directory.stat().st_mode & 0o777 == 0o700
        modes = {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}
        assert modes == {"wa_1.db": 0o600}
        await gateway.post("/disconnect/wa_1")
        assert list(directory.iterdir()) == []


async def test_a_session_name_cannot_leave_the_directory(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    async with running_gateway(tmp_path / "data", whatsmeow=options()) as gateway:
        for name in (".", ".."):
            refused = await gateway.post("/connect", {"sessionId": name}, expect=400)
            assert refused["error"] == f"sessionId: “{name}” cannot be the name of a session"
        await gateway.post("/connect", {"sessionId": "..."})
        await whatsapp.until(lambda: "..." in whatsapp.clients)
    found = {path.name for path in tmp_path.rglob("*.db")}  # noqa: ASYNC240
    assert found == {"gateway.db", "....db"}


async def test_more_sessions_than_the_gateway_takes(tmp_path: Path, whatsapp: FakeWhatsApp) -> None:
    async with running_gateway(tmp_path, whatsmeow=options(max_sessions=1)) as gateway:
        await gateway.post("/connect", {"sessionId": "wa_1"})
        refused = await gateway.post("/connect", {"sessionId": "wa_2"}, expect=409)
        assert "carries 1 session, which is its limit" in refused["error"]
        await gateway.post("/connect", {"sessionId": "wa_1"})


async def test_a_log_out_that_whatsapp_does_not_confirm_is_an_error(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    whatsapp.errors["logout"] = "error sending logout request: info query timed out"
    refused = await paired.post("/disconnect/wa_1", expect=503)
    assert "did not confirm" in refused["error"]
    assert (await paired.get("/status/wa_1"))["status"] == "connected"
    del whatsapp.errors["logout"]
    await paired.post("/disconnect/wa_1")


async def test_a_proxy_is_given_to_the_client_and_kept(
    tmp_path: Path, whatsapp: FakeWhatsApp
) -> None:
    proxy = {"host": "proxy.example", "port": 1080, "username": "us er", "password": "p@ss"}
    async with running_gateway(tmp_path, whatsmeow=options()) as first:
        body = {"sessionId": "wa_1", "proxy": {**proxy, "protocol": "socks5"}}
        await first.post("/connect", body)
        await whatsapp.scan()
        await until_status(first, "connected")
        expected = "socks5://us%20er:p%40ss@proxy.example:1080"
        assert whatsapp.clients["wa_1"].proxy == expected
    async with running_gateway(tmp_path, whatsmeow=options()) as second:
        await until_status(second, "connected")
        assert whatsapp.clients["wa_1"].proxy == expected


async def test_a_proxy_that_the_library_cannot_use_is_refused(real_gateway: RunningGateway) -> None:
    body = {"sessionId": "wa_1", "proxy": {"host": "ftp://proxy.example", "port": 21}}
    refused = await real_gateway.post("/connect", body, expect=400)
    assert "“ftp” cannot be used; it has to be one of http, https, socks5" in refused["error"]
    await real_gateway.get("/status/wa_1", expect=404)


async def test_a_proxy_takes_the_place_of_the_environments(
    real_gateway: RunningGateway, whatsapp: FakeWhatsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    await real_gateway.post("/connect", {"sessionId": "wa_1"})
    own = {"host": "socks5://p.example", "port": 1080}
    await real_gateway.post("/connect", {"sessionId": "wa_2", "proxy": own})
    await whatsapp.until(lambda: len(whatsapp.clients) == 2)
    assert whatsapp.clients["wa_1"].environment_proxy == "http://proxy.example:3128"
    assert whatsapp.clients["wa_2"].environment_proxy is None
    assert whatsapp.clients["wa_2"].proxy == "socks5://p.example:1080"


async def test_groups_with_all_their_facts(paired: RunningGateway) -> None:
    listed = await paired.get("/groups/wa_1")
    assert listed["complete"] is True
    groups = {one["id"]: one for one in listed["groups"]}
    assert groups[MORNING] == {
        "id": MORNING,
        "name": "Morning batch",
        "participants": 27,
        "isAdmin": True,
        "isCommunity": False,
        "isCommunityAnnounce": False,
        "announceOnly": False,
    }
    assert groups[NEWS]["announceOnly"] is True
    assert groups[NEWS]["isAdmin"] is False
    assert groups[COMMUNITY]["isCommunity"] is True


async def test_the_invite_and_the_participants_of_a_group(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    invite = await paired.get(f"/groups/wa_1/{MORNING}/invite")
    assert invite["inviteCode"] == "AbCdEfGh123"
    listed = await paired.get(f"/groups/wa_1/{MORNING}/participants")
    assert (listed["groupName"], listed["totalParticipants"]) == ("Morning batch", 27)
    assert listed["participants"][0] == {
        "id": f"{STUDIO}@s.whatsapp.net",
        "phone": STUDIO,
        "isAdmin": True,
        "isSuperAdmin": False,
    }
    assert listed["participants"][1]["id"] == "5000@lid"
    whatsapp.errors["invite"] = "you don't have the permission to get the group's invite link"
    assert "admin" in (await paired.get(f"/groups/wa_1/{MORNING}/invite", expect=403))["error"]


async def test_what_happens_is_told(
    paired: RunningGateway, whatsapp: FakeWhatsApp, receiver: Receiver
) -> None:
    sent = await paired.send(MORNING, "ref-1")
    client = whatsapp.clients["wa_1"]
    about = {"messageIds": [sent["messageId"]], "chat": MORNING, "at": 1_700_000_000}
    client.event("receipt", kind="delivered", reader="919812345678", **about)
    client.event("receipt", kind="read", reader="5000@lid", **about)
    client.event("membership", change="left", jid=NEWS, name=None, at=1_700_000_000)
    receipts = [one.data for one in await receiver.wait_for(2, "read-receipt")]
    assert {(one["event"], one["readerPhone"]) for one in receipts} == {
        ("delivered", "919812345678"),
        ("read", "5000@lid"),
    }
    assert receipts[0]["timestamp"] == "2023-11-14T22:13:20.000Z"
    [left] = [one.data for one in await receiver.wait_for(1, "membership")]
    assert (left["event"], left["groupJid"]) == ("left", NEWS)
    states = [one.data["status"] for one in await receiver.wait_for(4, "status")]
    assert states[:2] == ["connecting", "qr_pending"]
    assert states[-1] == "connected"


async def test_the_sessions_with_their_processes(
    paired: RunningGateway, whatsapp: FakeWhatsApp
) -> None:
    [session] = (await paired.get("/sessions"))["sessions"]
    assert session["status"] == "connected"
    assert session["phoneNumber"] == "…10"
    assert session["memoryMb"] > 5
    assert session["restarts"] == 0
