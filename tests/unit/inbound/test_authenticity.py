"""Only the gateway can report: it signs, or it knows the secret."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from groupline.inbound.authenticity import is_authentic

NEW = "whsec_" + b64encode(b"n" * 32).decode()
OLD = "whsec_" + b64encode(b"o" * 32).decode()
PLAIN = "a plain secret of the owner's gateway"
BODY = b'{"id":"evt_1","type":"status"}'


def signed(secret: str, body: bytes = BODY, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign("evt_1", at, body.decode())
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_during_a_rotation_both_secrets_are_good(secret: str) -> None:
    assert is_authentic(signed(secret), BODY, [NEW, OLD])
    assert is_authentic({"x-api-key": secret}, BODY, [NEW, OLD])


def test_a_plain_secret_is_compared_without_the_blanks_around_it() -> None:
    assert is_authentic({"x-api-key": f" {PLAIN} "}, BODY, [PLAIN])
    assert not is_authentic({"x-api-key": PLAIN[:-1]}, BODY, [PLAIN])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "ключ"},
        {"webhook-id": "evt_1"},
        signed("whsec_" + b64encode(b"x" * 32).decode()),
        signed(NEW, at=datetime.now(UTC) - timedelta(hours=1)),
        signed(NEW) | {"webhook-signature": "v1,%%%"},
        signed(NEW) | {"webhook-timestamp": "soon"},
        # A signature that is wrong is not made good by a key beside it.
        signed(OLD) | {"x-api-key": NEW},
    ],
)
def test_everything_else_is_refused(headers: dict[str, str]) -> None:
    assert not is_authentic(headers, BODY, [NEW])


def test_another_body_under_the_signature_is_refused() -> None:
    assert not is_authentic(signed(NEW), BODY + b" ", [NEW])


def test_a_gateway_without_secrets_cannot_report() -> None:
    assert not is_authentic(signed(NEW), BODY, [])
    assert not is_authentic({"x-api-key": ""}, BODY, [])
    assert not is_authentic({"x-api-key": ""}, BODY, [""])
