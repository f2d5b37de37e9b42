"""Frames, mapping, redaction and the secret: what needs no process."""

import asyncio
import json
import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_whatsapp import MORNING, STUDIO, group, jid, person

from groupline_gateway.contract import Proxy
from groupline_gateway.engines.whatsmeow import library, mapping, overheard
from groupline_gateway.engines.whatsmeow.changes import (
    NO_FILE,
    NOT_OPENED,
    PROXY_FAILS,
    UNREACHABLE,
    UNTRUSTED,
    connect_sentence,
)
from groupline_gateway.engines.whatsmeow.process import read_frame
from groupline_gateway.engines.whatsmeow.protocol import (
    MAX_FRAME,
    BadFrame,
    Channel,
    decode,
    encode,
    frame_length,
)
from groupline_gateway.engines.whatsmeow.proxies import proxy_url
from groupline_gateway.engines.whatsmeow.redaction import redact
from groupline_gateway.engines.whatsmeow.secret import message_secret

ME = ["919876543210@s.whatsapp.net", "100200300@lid"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(st.dictionaries(st.text(), json_values), max_size=5))
def test_frames_survive_the_way_in_any_pieces(frames: list[dict[str, Any]]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        data = b"".join(map(encode, frames))
        writing = threading.Thread(target=_in_pieces, args=(theirs, data))
        writing.start()
        channel = Channel(ours)
        assert [channel.read() for _ in frames] == frames
        writing.join()
        assert channel.read() is None


def _in_pieces(connection: socket.socket, data: bytes) -> None:
    for start in range(0, len(data), 7):
        connection.sendall(data[start : start + 7])
    connection.shutdown(socket.SHUT_WR)


async def test_a_frame_that_is_cut_is_the_end() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(encode({"a": 1}) + encode({"b": 2})[:-1])
    reader.feed_eof()
    assert await read_frame(reader) == {"a": 1}
    assert await read_frame(reader) is None


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b'"x"'])
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(body)


def test_a_frame_has_a_largest_size() -> None:
    with pytest.raises(BadFrame):
        frame_length((MAX_FRAME + 1).to_bytes(4, "big"))
    with pytest.raises(BadFrame):
        encode({"text": "x" * MAX_FRAME})


def test_a_secret_is_32_bytes_and_always_the_same() -> None:
    assert message_secret("ref-1") == message_secret("ref-1")
    assert len(message_secret("ref-1")) == 32
    assert len({message_secret(f"ref-{number}") for number in range(1000)}) == 1000


@pytest.mark.parametrize("known_as", ["jid", "lid", "phone"])
def test_an_admin_is_found_by_any_of_its_names(known_as: str) -> None:
    raw = group(MORNING, "Morning batch", 3, admin=True)
    nobody = jid("")
    for name in {"jid", "lid", "phone"} - {known_as}:
        raw["participants"][0][name] = nobody
    raw["participants"][0][known_as] = jid(ME[0] if known_as == "phone" else ME[1])
    assert mapping.group(raw, ME)["isAdmin"] is True
    assert mapping.group(raw, [])["isAdmin"] is False


def test_a_group_of_a_community_and_its_announcements() -> None:
    assert mapping.group(group(MORNING, "C", isParent=True), ME)["isCommunity"] is True
    announcements = mapping.group(group(MORNING, "A", isDefaultSub=True, isAnnounce=True), ME)
    assert announcements["isCommunityAnnounce"] is True
    assert announcements["announceOnly"] is True
    plain = mapping.group(group(MORNING, ""), ME)
    assert (plain["isCommunity"], plain["isCommunityAnnounce"], plain["name"]) == (False, False, "")


def test_a_participant_is_a_phone_where_it_is_known() -> None:
    assert mapping.participant(person("919812345678", "55"))["id"] == "919812345678@s.whatsapp.net"
    hidden = mapping.participant(person(None, "55", admin=True))
    assert (hidden["id"], hidden["phone"], hidden["isAdmin"]) == ("55@lid", None, True)


def _receipt(kind: str | None, sender: str, **facts: Any) -> dict[str, Any] | None:
    raw = {
        "type": kind,
        "chat": jid(MORNING),
        "sender": jid(sender),
        "senderAlt": jid(""),
        "isFromMe": False,
        "messageIds": ["3EB0AA"],
        "timestamp": 1_700_000_000,
        **facts,
    }
    return mapping.receipt(raw, ME)


@pytest.mark.parametrize(
    ("kind", "word"), [("DELIVERED", "delivered"), ("READ", "read"), ("PLAYED", "read")]
)
def test_receipts_of_others_are_told(kind: str, word: str) -> None:
    told = _receipt(kind, "55@lid", senderAlt=jid("919812345678@s.whatsapp.net"))
    assert told is not None
    assert (told["kind"], told["reader"], told["chat"]) == (word, "919812345678", MORNING)
    hidden = _receipt(kind, "55@lid")
    assert hidden is not None
    assert hidden["reader"] == "55@lid"


@pytest.mark.parametrize("kind", ["SENDER", "RETRY", "READ_SELF", "PEER_MSG", "INACTIVE", None])
def test_receipts_between_devices_are_nobodys_business(kind: str | None) -> None:
    assert _receipt(kind, "55@lid") is None


def test_our_own_devices_are_no_readers() -> None:
    assert _receipt("DELIVERED", ME[0]) is None
    assert _receipt("DELIVERED", "5@lid", senderAlt=jid(ME[1])) is None
    assert _receipt("SERVER_ERROR", "5@lid", isFromMe=True) is None
    assert _receipt("DELIVERED", "5@lid", messageIds=[]) is None


def test_a_phone_that_cannot_load_the_media_has_the_message() -> None:
    told = _receipt("SERVER_ERROR", "55@lid")
    assert told is not None
    assert (told["kind"], told["reader"]) == ("delivered", "55@lid")


BAN = 'Temporary ban connect failure: <failure code="105" expire="600" reason="402"/>'
REFUSAL = 'Unknown connect failure: <failure location="a" reason="{}"><x code="1"/></failure>'


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (BAN, {"event": "banned", "code": "105", "seconds": 600}),
        (BAN.replace('expire="600" ', ""), {"event": "banned", "code": "105", "seconds": 0}),
        (REFUSAL.format(418), {"event": "refused", "reason": "reason 418"}),
        (REFUSAL.format(409), {"event": "refused", "reason": "BAD_USER_AGENT"}),
        ("Failed to store message secret key for 3EB0: full", {"event": "untraceable"}),
        (f"Failed to send: {BAN}", None),
        ("Got 503/ connect failure, assuming automatic reconnect will handle it", None),
    ],
)
def test_facts_that_the_library_only_logs(text: str, fact: dict[str, Any] | None) -> None:
    assert overheard.fact_of(text) == fact


def test_changes_of_a_group_that_concern_this_account() -> None:
    raw = {
        "jid": jid(MORNING),
        "timestamp": 5,
        "name": "New name",
        "deleted": False,
        "join": [jid("77@lid")],
        "leave": [jid(ME[1])],
        "promote": [jid(ME[0])],
        "demote": [],
    }
    changes = mapping.group_changes(raw, ME)
    assert [change["change"] for change in changes] == ["left", "promoted", "renamed"]
    assert {change["jid"] for change in changes} == {MORNING}
    assert mapping.group_changes({"jid": jid(MORNING), "deleted": True}, ME)[0]["change"] == "left"
    settings = mapping.group_changes({"jid": jid(MORNING), "settings": True}, ME)
    assert [change["change"] for change in settings] == ["settings"]
    [joined] = mapping.joined_group({"jid": jid(MORNING), "name": "X"})
    assert (joined["change"], joined["name"]) == ("joined", "X")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("no LID for 919812345678@s.whatsapp.net", "919812345678"),
        ("device 919812345678.0:12@lid", "919812345678"),
        ("code 2@abcDEF/+==,xyz,123", "abcDEF"),
        ("key aGVsbG8gd29ybGQsIHRoaXMgaXMgYSBzZWNyZXQga2V5", "aGVsbG8"),
        ("dial http://user:pass@proxy.example:1080", "pass"),
        ("one\nline", "\n"),
    ],
)
def test_what_identifies_or_opens_is_removed(text: str, hidden: str) -> None:
    assert hidden in text
    assert hidden not in redact(text)


def test_what_helps_to_find_a_fault_stays() -> None:
    assert redact("websocket closed with error 1006") == "websocket closed with error 1006"
    assert len(redact("word " * 200)) <= 300


@pytest.mark.parametrize(
    ("proxy", "url"),
    [
        (None, None),
        (Proxy(host="p.example", port=8080), "http://p.example:8080"),
        (Proxy(host="socks5://p.example", port=1080), "socks5://p.example:1080"),
        (
            Proxy(host="p", port=1, username="a:b", password="c@d", protocol="socks5"),
            "socks5://a%3Ab:c%40d@p:1",
        ),
    ],
)
def test_a_proxy_as_the_library_takes_it(proxy: Proxy | None, url: str | None) -> None:
    assert proxy_url(proxy) == url


SENDING = "failed to dial whatsapp web websocket: failed to send handshake request: Get …: "


def test_why_a_connection_could_not_be_opened() -> None:
    assert connect_sentence(f"{SENDING}no such host") == UNREACHABLE
    assert connect_sentence(f"{SENDING}proxyconnect tcp: connection refused") == UNREACHABLE
    refused = "failed to dial whatsapp web websocket: expected status 101 but got 503"
    assert connect_sentence(refused, own_proxy=True) == UNREACHABLE
    assert connect_sentence(f"{SENDING}tls: failed to verify certificate: x509") == UNTRUSTED


@pytest.mark.parametrize(
    "words",
    [
        "proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
        "proxyconnect tcp: dial tcp: lookup proxy.example on 10.0.0.2:53: no such host",
        "socks connect tcp 10.0.0.9:1080->web:443: username/password authentication failed",
        "socks connect tcp 10.0.0.9:1080->web:443: unknown error connection not allowed",
        "Proxy Authentication Required",
        "Service Unavailable",
        'malformed HTTP status code "I"',
        "tls: first record does not look like a TLS handshake",
        "unexpected EOF",
    ],
)
def test_a_proxy_that_fails_is_named(words: str) -> None:
    """The library's words, as each kind of failing proxy brings them about."""
    assert connect_sentence(SENDING + words, own_proxy=True) == PROXY_FAILS


def test_the_librarys_own_words_are_shown_to_nobody() -> None:
    assert connect_sentence("attempt to write a readonly database") == NO_FILE
    assert connect_sentence("panic: nil map") == NOT_OPENED


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "neonize-linux-amd64.so"),
        ("Linux", "aarch64", "neonize-linux-arm64.so"),
        ("Darwin", "arm64", "neonize-darwin-arm64.dylib"),
        ("Windows", "AMD64", "neonize-windows-amd64.dll"),
    ],
)
def test_the_name_of_the_library(system: str, machine: str, name: str) -> None:
    assert library.library_name(system, machine) == name


def test_frames_are_json_that_people_can_read() -> None:
    assert json.loads(encode({"text": "Grüße", "phone": STUDIO})[4:]) == {
        "text": "Grüße",
        "phone": STUDIO,
    }
