"""The simulator can speak every variant that the contract's table allows."""

import base64
from typing import Any

import pytest
from tests.gateway.receiver import Receiver
from tests.support.gateway import STUDIO, WEBHOOK_SECRET, RunningGateway

GROUPS = [
    {"id": "1201@g.us", "name": "Admin here", "participants": 6, "isAdmin": True},
    {"id": "1202@g.us", "name": "Guest here", "participants": 4},
]


async def _groups(gateway: RunningGateway, **dialect: str) -> Any:
    await gateway.connect(groups=GROUPS)
    await gateway.put("/sim/dialect", dialect)
    return await gateway.get("/groups/wa_1?includeInviteLinks=true")


@pytest.mark.parametrize("field", ["qr", "qrCode", "qrcode"])
async def test_the_code_has_several_names(gateway: RunningGateway, field: str) -> None:
    await gateway.post("/connect", {"sessionId": "wa_1"})
    code = (await gateway.get("/status/wa_1"))["qr"]
    await gateway.put("/sim/dialect", {"qrField": field, "pendingWord": "qr"})
    status = await gateway.get("/status/wa_1")
    assert status["status"] == "qr"
    assert {name: part for name, part in status.items() if name.startswith("q")} == {
        field: code,
        "qrExpiresAt": status["qrExpiresAt"],
    }


async def test_the_code_can_be_a_picture(gateway: RunningGateway) -> None:
    await gateway.post("/connect", {"sessionId": "wa_1"})
    await gateway.put("/sim/dialect", {"qrField": "qrCode", "qrFormat": "data_url"})
    head, _, data = (await gateway.get("/status/wa_1"))["qrCode"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("style", "number"),
    [("plus", f"+{STUDIO}"), ("digits", STUDIO), ("jid", f"{STUDIO}:12@s.whatsapp.net")],
)
async def test_a_number_is_written_in_several_ways(
    gateway: RunningGateway, style: str, number: str
) -> None:
    await gateway.connect()
    await gateway.put("/sim/dialect", {"phoneFormat": style})
    assert (await gateway.get("/status/wa_1"))["phoneNumber"] == number


async def test_groups_can_be_a_bare_list(gateway: RunningGateway) -> None:
    groups = await _groups(gateway, groupsShape="list")
    assert [group["name"] for group in groups] == ["Admin here", "Guest here"]


@pytest.mark.parametrize("field", ["id", "jid", "groupId"])
async def test_a_group_is_identified_in_several_ways(gateway: RunningGateway, field: str) -> None:
    listed = await _groups(gateway, groupId=field, groupName="subject")
    assert [group[field] for group in listed["groups"]] == ["1201@g.us", "1202@g.us"]
    assert [group["subject"] for group in listed["groups"]] == ["Admin here", "Guest here"]
    others = {"id", "jid", "groupId", "name"} - {field}
    assert not others & set(listed["groups"][0])


@pytest.mark.parametrize("field", ["participants", "participantsCount", "size"])
async def test_a_size_has_several_names(gateway: RunningGateway, field: str) -> None:
    listed = await _groups(gateway, groupSize=field)
    assert [group[field] for group in listed["groups"]] == [6, 4]


@pytest.mark.parametrize(
    ("style", "words"), [("bool", [True, False]), ("text", ["true", "false"]), ("number", [1, 0])]
)
async def test_an_admin_is_told_in_several_ways(
    gateway: RunningGateway, style: str, words: list[object]
) -> None:
    listed = await _groups(gateway, groupAdmin=style)
    assert [group["isAdmin"] for group in listed["groups"]] == words


async def test_an_admin_can_stand_among_the_participants(gateway: RunningGateway) -> None:
    listed = await _groups(gateway, groupSize="list", groupAdmin="participants")
    me = f"{STUDIO}@s.whatsapp.net"
    assert [len(group["participants"]) for group in listed["groups"]] == [6, 4]
    assert [
        next(one["admin"] for one in group["participants"] if one["id"] == me)
        for group in listed["groups"]
    ] == ["admin", None]
    assert not any("isAdmin" in group for group in listed["groups"])


@pytest.mark.parametrize("field", ["inviteLink", "invite_link", "inviteCode", "absent"])
async def test_an_invitation_has_several_names(gateway: RunningGateway, field: str) -> None:
    listed = await _groups(gateway, groupInvite=field)
    found = {name: text for name, text in listed["groups"][0].items() if "invite" in name.lower()}
    assert list(found) == ([] if field == "absent" else [field])
    assert all(text.startswith("https://") == (field != "inviteCode") for text in found.values())


async def test_an_unknown_session_can_look_disconnected(gateway: RunningGateway) -> None:
    await gateway.put("/sim/dialect", {"unknownSession": "disconnected"})
    assert await gateway.get("/status/wa_9") == {"status": "disconnected"}


async def test_a_message_id_can_be_a_key(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.put("/sim/dialect", {"sent": "key"})
    answer = await gateway.send(jid, "ref-1")
    [delivery] = await gateway.deliveries()
    assert answer == {"key": {"id": delivery["messageId"]}}


async def test_a_gateway_without_our_own_parts(gateway: RunningGateway) -> None:
    jid, *_ = await gateway.connect()
    await gateway.put("/sim/dialect", {"ownParts": False})
    assert await gateway.get("/health") == {"status": "ok"}
    assert await gateway.get("/status/wa_1") == {
        "status": "connected",
        "phoneNumber": f"+{STUDIO}",
    }
    listed = await gateway.get("/groups/wa_1")
    assert set(listed) == {"groups"}
    assert "announceOnly" not in listed["groups"][0]
    # It does not understand clientRef: each request sends, and it cannot be asked by it.
    await gateway.send(jid, "ref-1")
    assert "existing" not in await gateway.send(jid, "ref-1")
    assert len(await gateway.deliveries()) == 2
    question = {"sessionId": "wa_1", "clientRef": "ref-1"}
    await gateway.post("/message-status", question, expect=400)
    assert (await gateway.post("/message-status", {**question, "groupJid": jid}))["found"] is True


async def test_events_can_go_to_a_path_each(
    telling_gateway: RunningGateway, receiver: Receiver
) -> None:
    gateway = telling_gateway
    await gateway.put("/sim/dialect", {"webhooks": "paths"})
    await gateway.post("/connect", {"sessionId": "wa_1"})
    [event] = await receiver.wait_until(lambda: receiver.taken, 1)
    assert event.path == "/hooks/1/whatsapp-status-webhook"
    assert event.headers["X-API-Key"] == WEBHOOK_SECRET
    assert event.envelope["sessionId"] == "wa_1"


async def test_native_is_what_is_not_said_otherwise(gateway: RunningGateway) -> None:
    native = await gateway.get("/sim/dialect")
    await gateway.put("/sim/dialect", {"sent": "key", "groupsShape": "list"})
    assert (await gateway.get("/sim/dialect"))["sent"] == "key"
    assert await gateway.put("/sim/dialect", {}) == native
    await gateway.put("/sim/dialect", {"sent": "pigeon"}, expect=400)
