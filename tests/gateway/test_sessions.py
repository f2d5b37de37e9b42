"""Pairing, losing and coming back, by the clock and by what people do on their phones."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.gateway import STUDIO, RunningGateway, running_gateway


async def test_the_code_rotates_and_then_the_pairing_ends(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    gateway = timed_gateway
    await gateway.post("/connect", {"sessionId": "wa_1"})
    codes = []
    for seconds in (60, 20, 20, 20, 20, 20):
        status = await gateway.get("/status/wa_1")
        assert status["status"] == "qr_pending"
        codes.append(status["qr"])
        clock.advance(seconds - 0.5)
        assert (await gateway.get("/status/wa_1"))["qr"] == status["qr"]
        clock.advance(0.5)
    assert len(set(codes)) == 6
    ended = await gateway.get("/status/wa_1")
    assert (ended["status"], ended["reason"]) == ("disconnected", "pairing_expired")
    assert "qr" not in ended


async def test_the_end_of_a_code_is_told_with_it(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    gateway = timed_gateway
    await gateway.post("/connect", {"sessionId": "wa_1"})
    assert (await gateway.get("/status/wa_1"))["qrExpiresAt"] == "2026-03-02T12:01:00.000Z"
    clock.advance(60)
    assert (await gateway.get("/status/wa_1"))["qrExpiresAt"] == "2026-03-02T12:01:20.000Z"


async def test_an_expired_pairing_starts_anew_with_connect(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    gateway = timed_gateway
    await gateway.add_phone()
    await gateway.post("/connect", {"sessionId": "wa_1"})
    old = await gateway.get("/status/wa_1")
    clock.advance(161)
    await gateway.post(f"/sim/phones/{STUDIO}/scan", {"sessionId": "wa_1"}, expect=409)
    await gateway.post("/connect", {"sessionId": "wa_1"})
    new = await gateway.get("/status/wa_1")
    assert new["qr"] != old["qr"]
    await gateway.post(f"/sim/phones/{STUDIO}/scan", {"sessionId": "wa_1"})


async def test_a_second_connect_keeps_the_code_that_is_shown(gateway: RunningGateway) -> None:
    await gateway.post("/connect", {"sessionId": "wa_1"})
    before = await gateway.get("/status/wa_1")
    await gateway.post("/connect", {"sessionId": "wa_1"})
    assert await gateway.get("/status/wa_1") == before


async def test_a_stale_code_is_refused_by_the_phone(
    timed_gateway: RunningGateway, clock: ManualClock
) -> None:
    gateway = timed_gateway
    await gateway.add_phone()
    await gateway.post("/connect", {"sessionId": "wa_1"})
    code = (await gateway.get("/status/wa_1"))["qr"]
    clock.advance(61)
    scan = {"sessionId": "wa_1", "qr": code}
    await gateway.post(f"/sim/phones/{STUDIO}/scan", scan, expect=409)
    assert (await gateway.get("/status/wa_1"))["status"] == "qr_pending"


async def test_a_pairing_code_is_typed_on_the_phone_it_is_for(gateway: RunningGateway) -> None:
    await gateway.add_phone()
    await gateway.add_phone("919876501234")
    request = {"sessionId": "wa_1", "phone": f"+{STUDIO}", "pairingCode": True}
    await gateway.post("/connect", request)
    code = (await gateway.get("/status/wa_1"))["pairingCode"]
    typed = {"code": code.lower().replace("-", "")}
    await gateway.post("/sim/phones/919876501234/pairing-code", typed, expect=400)
    await gateway.post(f"/sim/phones/{STUDIO}/pairing-code", {"code": "WRONG-000"}, expect=400)
    await gateway.post(f"/sim/phones/{STUDIO}/pairing-code", typed)
    status = await gateway.get("/status/wa_1")
    assert (status["status"], status["phoneNumber"]) == ("connected", f"+{STUDIO}")
    assert "pairingCode" not in status


async def test_another_phone_than_expected_may_scan_and_is_told(gateway: RunningGateway) -> None:
    await gateway.add_phone()
    await gateway.post("/connect", {"sessionId": "wa_1", "phone": "+919876501234"})
    await gateway.post(f"/sim/phones/{STUDIO}/scan", {"sessionId": "wa_1"})
    assert (await gateway.get("/status/wa_1"))["phoneNumber"] == f"+{STUDIO}"


async def test_unlinking_on_the_phone_logs_the_session_out(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.post(f"/sim/phones/{STUDIO}/unlink")
    status = await gateway.get("/status/wa_1")
    assert (status["status"], status["reason"]) == ("disconnected", "logged_out")
    await gateway.send(jid, expect=503)
    # The pairing is gone: coming back takes a new code.
    assert (await gateway.post("/connect", {"sessionId": "wa_1"}))["status"] == "qr_pending"


async def test_a_cut_connection_comes_back_without_a_code(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.post(f"/sim/phones/{STUDIO}/drop", {"sessionId": "wa_1"})
    status = await gateway.get("/status/wa_1")
    assert (status["status"], status["reason"]) == ("disconnected", "connection_lost")
    assert (await gateway.post("/connect", {"sessionId": "wa_1"}))["status"] == "connected"
    await gateway.send(jid)

    await gateway.post(f"/sim/phones/{STUDIO}/drop")
    restored = await gateway.post(f"/sim/phones/{STUDIO}/restore")
    assert restored["sessions"] == ["wa_1"]
    await gateway.send(jid)


async def test_a_phone_carries_four_sessions_and_no_fifth(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect("wa_1")
    for session_id in ("wa_2", "wa_3", "wa_4"):
        await gateway.pair(session_id)
        await gateway.send(jid, session_id=session_id)
    await gateway.post("/connect", {"sessionId": "wa_5"})
    await gateway.post(f"/sim/phones/{STUDIO}/scan", {"sessionId": "wa_5"}, expect=409)
    await gateway.post(f"/sim/phones/{STUDIO}/unlink", {"sessionId": "wa_1"})
    await gateway.post(f"/sim/phones/{STUDIO}/scan", {"sessionId": "wa_5"})
    phone = await gateway.get(f"/sim/phones/{STUDIO}")
    linked = {session["sessionId"]: session["status"] for session in phone["sessions"]}
    assert linked == dict.fromkeys(("wa_2", "wa_3", "wa_4", "wa_5"), "connected")


async def test_pairings_and_phones_live_through_a_restart(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as first:
        jid, *_ = await first.connect()
        before = await first.get("/status/wa_1")
    async with running_gateway(tmp_path) as second:
        assert await second.get("/status/wa_1") == before
        await second.send(jid)


async def test_a_pairing_under_way_lives_through_a_restart(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with running_gateway(tmp_path, clock=clock) as first:
        await first.add_phone()
        await first.post("/connect", {"sessionId": "wa_1"})
        before = await first.get("/status/wa_1")
    async with running_gateway(tmp_path, clock=clock) as second:
        assert await second.get("/status/wa_1") == before
        clock.advance(161)
        assert (await second.get("/status/wa_1"))["reason"] == "pairing_expired"


@pytest.mark.parametrize(("kind", "refusal"), [("restricted", 429), ("banned", 400)])
async def test_a_restriction_ends_by_itself_when_its_time_is_over(
    timed_gateway: RunningGateway, clock: ManualClock, kind: str, refusal: int
) -> None:
    jid, *_ = await timed_gateway.connect()
    until = (clock.now() + timedelta(minutes=5)).replace(tzinfo=None).isoformat()
    phone = f"/sim/phones/{STUDIO}"
    await timed_gateway.put(f"{phone}/restriction", {"kind": kind, "until": until})
    clock.advance(299)
    assert (await timed_gateway.get("/status/wa_1"))["restriction"]["until"] == until
    await timed_gateway.send(jid, expect=refusal)
    clock.advance(1)
    assert "restriction" not in await timed_gateway.get("/status/wa_1")
    assert (await timed_gateway.get(phone))["restriction"] is None
    await timed_gateway.send(jid)


async def test_a_restriction_is_told_and_slows_sends(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    until = "2041-03-03T12:00:00+00:00"
    await gateway.put(f"/sim/phones/{STUDIO}/restriction", {"kind": "restricted", "until": until})
    assert (await gateway.get("/status/wa_1"))["restriction"] == {
        "kind": "restricted",
        "until": until,
    }
    assert "restricts" in (await gateway.send(jid, expect=429))["error"]
    await gateway.put(f"/sim/phones/{STUDIO}/restriction", {"kind": "banned"})
    assert "banned" in (await gateway.send(jid, expect=400))["error"]
    await gateway.delete(f"/sim/phones/{STUDIO}/restriction")
    assert "restriction" not in await gateway.get("/status/wa_1")
    await gateway.send(jid)


async def test_phones_join_leave_and_change_groups(gateway: RunningGateway) -> None:
    await gateway.connect(groups=5)
    path = f"/sim/phones/{STUDIO}/groups"
    [first, *_] = [group["id"] for group in (await gateway.get("/groups/wa_1"))["groups"]]
    await gateway.delete(f"{path}/{first}")
    joined = (await gateway.post(path, {"groups": 2}, expect=201))["joined"]
    await gateway.put(f"{path}/{joined[0]}", {"isAdmin": True})
    await gateway.call("PATCH", f"/sim/groups/{joined[0]}", {"name": "Renamed", "participants": 7})
    groups = {group["id"]: group for group in (await gateway.get("/groups/wa_1"))["groups"]}
    assert len(groups) == 6
    assert first not in groups
    changed = groups[joined[0]]
    assert (changed["name"], changed["participants"], changed["isAdmin"]) == ("Renamed", 7, True)
    await gateway.post(path, {"groups": [{"id": first}]}, expect=201)
    assert len((await gateway.get("/groups/wa_1"))["groups"]) == 7


async def test_two_phones_can_share_a_group(gateway: RunningGateway) -> None:
    [jid] = await gateway.connect(groups=[{"name": "Shared"}])
    await gateway.add_phone("919876501234", groups=[{"id": jid}])
    await gateway.pair("wa_2", "919876501234")
    [group] = (await gateway.get("/groups/wa_2"))["groups"]
    assert group["name"] == "Shared"
    await gateway.send(jid, session_id="wa_2")


async def test_a_removed_phone_logs_its_sessions_out(gateway: RunningGateway) -> None:
    await gateway.connect()
    await gateway.delete(f"/sim/phones/{STUDIO}")
    assert (await gateway.get("/status/wa_1"))["reason"] == "logged_out"
    await gateway.get(f"/sim/phones/{STUDIO}", expect=404)


async def test_wrong_phones_are_refused(gateway: RunningGateway) -> None:
    await gateway.add_phone()
    await gateway.post("/sim/phones", {"number": STUDIO, "name": "Twice"}, expect=409)
    for body in (
        {"number": "12", "name": "Short"},
        {"number": "919876501234", "name": "Many", "groups": 5001},
        {"number": "919876501234", "name": ""},
        {"number": "919876501234", "name": "A", "surprise": 1},
    ):
        await gateway.post("/sim/phones", body, expect=400)
    await gateway.post("/sim/phones/15550100/scan", {"sessionId": "wa_1"}, expect=404)
