"""Session documents: every variant of the contract, and junk."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateways.junk import JSON

from groupline.gateways.drivers import groupline_session as wire
from groupline.gateways.drivers.parsing import as_object
from groupline.gateways.outcomes import (
    QrCode,
    Restriction,
    SessionConnected,
    SessionConnecting,
    SessionDisconnected,
    SessionQr,
    SessionReading,
    UnknownWord,
)
from groupline.gateways.port import (
    Capabilities,
    Capability,
    HeldSession,
    HeldSessions,
    SimulatedPhone,
)

PICTURE = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    ("document", "reading"),
    [
        ({"status": "qr", "qr": "2@abc"}, SessionQr(QrCode(text="2@abc"))),
        ({"status": "qr_pending", "qrCode": "2@abc"}, SessionQr(QrCode(text="2@abc"))),
        ({"status": "qr_pending", "qrcode": PICTURE}, SessionQr(QrCode(image_data_url=PICTURE))),
        ({"status": "qr", "qr": None, "qrCode": "2@abc"}, SessionQr(QrCode(text="2@abc"))),
        ({"status": "QR-Pending", "qr": " 2@abc\n"}, SessionQr(QrCode(text="2@abc"))),
        ({"status": "qr"}, SessionQr(None)),
        ({"status": "qr", "qr": ""}, SessionQr(None)),
        ({"status": "qr", "qr": {"code": "2@abc"}}, SessionQr(None)),
        ({"status": "qr", "qr": "data:text/html,<script>"}, SessionQr(None)),
        ({"status": "qr", "pairingCode": "K7PM-3WXQ"}, SessionQr(None, "K7PM-3WXQ")),
        ({"status": "qr", "detail": "No code."}, SessionQr(detail="No code.")),
        ({"status": "connecting"}, SessionConnecting()),
        (
            {"status": "connected", "phoneNumber": "+91 98765 43210"},
            SessionConnected("919876543210"),
        ),
        (
            {"status": "connected", "phoneNumber": "919876543210:12@s.whatsapp.net"},
            SessionConnected("919876543210"),
        ),
        ({"status": "Connected ", "phoneNumber": 919876543210}, SessionConnected("919876543210")),
        ({"status": "connected"}, SessionConnected(None)),
        ({"status": "connected", "phoneNumber": ""}, SessionConnected(None)),
        ({"status": "connected", "phoneNumber": "12"}, SessionConnected(None, raw_phone="12")),
        (
            {"status": "connected", "phoneNumber": "1@lid"},
            SessionConnected(None, raw_phone="1@lid"),
        ),
        ({"status": "disconnected"}, SessionDisconnected()),
        (
            {"status": "disconnected", "reason": "connection_lost"},
            SessionDisconnected("connection_lost"),
        ),
        (
            {"status": "disconnected", "reason": "logged_out"},
            SessionDisconnected("logged_out", logged_out=True),
        ),
        (
            {"status": "disconnected", "reason": "Logged out"},
            SessionDisconnected("logged_out", logged_out=True),
        ),
        ({"status": "logged_out"}, SessionDisconnected("logged_out", logged_out=True)),
        (
            {"status": "disconnected", "error": "phone is off"},
            SessionDisconnected(detail="phone is off"),
        ),
        ({"status": "hibernating"}, UnknownWord("hibernating")),
        ({"status": "SYNC\x00ING"}, UnknownWord("SYNCING")),
        ({"status": 3}, UnknownWord("3")),
    ],
)
def test_a_status_document_is_read(document: dict[str, object], reading: SessionReading) -> None:
    assert wire.reading(document) == reading


@pytest.mark.parametrize(
    "document", [{}, {"status": None}, {"status": ""}, {"status": ["qr"]}, {"status": True}]
)
def test_a_document_without_a_word_is_no_reading(document: dict[str, object]) -> None:
    assert wire.reading(document) is None


@pytest.mark.parametrize(
    "since",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T08:34:05+05:30",
        "2026-01-02T03:04:05",
        1767323045,
        1767323045000,
        "1767323045",
    ],
)
def test_a_time_is_understood_in_every_form(since: object) -> None:
    reading = wire.reading({"status": "connected", "since": since})
    assert isinstance(reading, SessionConnected)
    assert reading.since == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_restriction_of_an_account_is_read() -> None:
    until = datetime(2026, 1, 2, tzinfo=UTC)
    restriction = {"kind": "restricted", "until": "2026-01-02T00:00:00Z", "detail": "too fast"}
    assert wire.restriction(restriction) == Restriction("restricted", until, "too fast")
    assert wire.restriction("banned") == Restriction("banned")
    assert wire.restriction({}) is None
    assert wire.restriction(None) is None


def test_the_expiry_of_a_qr_code_is_read() -> None:
    reading = wire.reading({"status": "qr", "qr": "2@a", "qrExpiresAt": "2026-01-02T00:00:20Z"})
    assert isinstance(reading, SessionQr)
    assert reading.expires_at == datetime(2026, 1, 2, 0, 0, 20, tzinfo=UTC)


def test_neither_qr_nor_pairing_code_is_in_a_representation() -> None:
    reading = wire.reading({"status": "qr", "qr": "2@secret", "pairingCode": "K7PM-3WXQ"})
    assert "secret" not in repr(reading)
    assert "K7PM" not in repr(reading)


def test_what_health_says_is_read_and_unknown_capabilities_are_left_out() -> None:
    version, engine, capabilities = wire.health(
        {"version": "1.2", "engine": "simulator", "capabilities": ["client_ref", "telepathy", 3]}
    )
    assert (version, engine) == ("1.2", "simulator")
    assert capabilities == Capabilities(frozenset({Capability.CLIENT_REF}))


def test_capabilities_survive_the_table() -> None:
    capabilities = Capabilities(frozenset({Capability.CLIENT_REF, Capability.RECEIPTS}), 500)
    assert Capabilities.parse(capabilities.as_json()) == capabilities
    assert Capability.CLIENT_REF in capabilities
    assert Capability.SIMULATOR not in capabilities


def test_simulated_phones_are_read() -> None:
    phones = [{"number": "+919876543210", "name": "Reception", "groups": 27}, {"number": "x"}, 3]
    expected = [SimulatedPhone("919876543210", "Reception", 27)]
    assert wire.simulated_phones({"phones": phones}) == expected
    assert wire.simulated_phones(phones) == expected
    assert wire.simulated_phones({}) is None


@given(JSON)
def test_no_document_breaks_the_reading(value: object) -> None:
    document = as_object(value) or {"status": value}
    for status in (document.get("status"), "connected", "qr", "disconnected"):
        wire.reading({**document, "status": status})
    wire.pairing(document)
    wire.health(document)
    wire.simulated_phones(value)


_KNOWN = {"qr", "qr_pending", "connecting", "connected", "disconnected"} | {
    "logged_out",
    "loggedout",
    "logout",
}


@given(st.text("abcdeglnoqrtu_", min_size=1, max_size=12).filter(lambda word: word not in _KNOWN))
def test_no_unknown_word_becomes_a_state(word: str) -> None:
    assert wire.reading({"status": word}) == UnknownWord(word)


@pytest.mark.parametrize(
    "document", [{"sessions": [{"sessionId": "wa_1"}, 7, {}, {"sessionId": ""}]}, [{"id": "wa_1"}]]
)
def test_what_a_gateway_holds_is_read_without_what_has_no_name(document: object) -> None:
    assert wire.held_sessions(document) == HeldSessions((HeldSession("wa_1"),))


def test_the_limits_of_a_gateway_are_read_where_they_are_counts() -> None:
    said = {"sessions": [], "limit": 50, "memoryLimitMb": 250}
    assert wire.held_sessions(said) == HeldSessions((), limit=50, memory_limit_mb=250)
    odd = {"sessions": [], "limit": "many", "memoryLimitMb": -1}
    assert wire.held_sessions(odd) == HeldSessions(())


@given(JSON)
def test_no_list_of_sessions_is_too_odd_to_be_read(document: object) -> None:
    wire.held_sessions(document)
