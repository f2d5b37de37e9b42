"""What is in the way of a session, out of what its gateway says, and of nothing else later."""

import pytest

from groupline.gateways.outcomes import (
    QrCode,
    Restriction,
    SessionConnected,
    SessionConnecting,
    SessionDisconnected,
    SessionQr,
    SessionReading,
    SessionUnknown,
    UnknownWord,
)
from groupline.models import SessionObstacle
from groupline.numbers.rules import obstacle_of
from groupline_gateway.engines.whatsmeow import changes

BAN = SessionDisconnected("banned", detail=changes.banned_sentence(None))


@pytest.mark.parametrize(
    ("reading", "obstacle"),
    [
        (BAN, "banned"),
        (SessionDisconnected("logged_out", True, restriction=Restriction("banned")), "banned"),
        (SessionDisconnected("outdated", detail="Any words."), "outdated"),
        (SessionDisconnected("connection_lost", detail=changes.NO_FILE), "trying"),
        (
            SessionDisconnected("connection_lost", detail=changes.UNREACHABLE),
            "whatsapp_unreachable",
        ),
        (SessionDisconnected("connection_lost", detail="It is banned, or outdated."), None),
        (SessionDisconnected("replaced", detail=changes.REPLACED), None),
        (SessionDisconnected("logged_out", True, changes.REMOVED), None),
        (SessionDisconnected(), None),
        (SessionConnecting(), "whatsapp_unreachable"),
        (SessionConnecting(changes.UNREACHABLE), "whatsapp_unreachable"),
        (SessionConnecting(changes.UNTRUSTED), "whatsapp_unreachable"),
        (SessionConnecting(changes.PROXY_FAILS), "trying"),
        (SessionConnecting(changes.PROXY_SILENT), "trying"),
        (SessionConnecting(changes.NOT_OPENED), "trying"),
        (SessionConnecting("Restarting."), None),
        (SessionUnknown(), None),
        (SessionConnected("919876543210"), None),
        (SessionQr(QrCode(text="2@abc")), None),
        (UnknownWord("banned"), None),
    ],
)
def test_each_reading_has_its_obstacle_or_none(
    reading: SessionReading, obstacle: SessionObstacle | None
) -> None:
    assert obstacle_of(reading) == obstacle
