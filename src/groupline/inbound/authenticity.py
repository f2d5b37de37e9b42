"""Is this webhook from the gateway? One of its secrets must have signed it, or be named by it."""

import hmac
from collections.abc import Mapping, Sequence

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SIGNATURE_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SIGNING_PREFIX = "whsec_"


def is_authentic(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool:
    """``headers`` by lower-case name. While secrets are rotated, each of them is good."""
    if any(name in headers for name in SIGNATURE_HEADERS):
        signed = {name: headers.get(name, "") for name in SIGNATURE_HEADERS}
        return any(_has_signed(secret, signed, body) for secret in secrets)
    named = headers.get("x-api-key", "").strip()
    # Every secret is compared, so that the time taken tells nothing about which one was close.
    matches = [hmac.compare_digest(named.encode(), secret.encode()) for secret in secrets]
    return bool(named) and any(matches)


def _has_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    if not secret.startswith(_SIGNING_PREFIX):
        return False
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    except ValueError:  # a secret that is no Base64 can have signed nothing
        return False
    return True
