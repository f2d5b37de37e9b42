"""Which entry of the journal is which event, and when a delivery is tried again. Pure."""

import base64
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from groupline.errors import InvalidInput
from groupline.net import Allows, literal_address
from groupline.text import clean_line

EventType = Literal[
    "number.connected",
    "number.disconnected",
    "number.restricted",
    "message.sent",
    "message.failed",
    "message.uncertain",
    "message.expired",
    "campaign.finished",
    "groups.synced",
    "preflight.failed",
]
EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
TEST_EVENT: Final = "webhook.test"
"""What a test sends; nobody subscribes to it."""

_OF_MESSAGES: Final = frozenset(
    (
        "message.sent",
        "message.failed",
        "message.uncertain",
        "message.expired",
        "message.arrived",
        "message.resolved",
    )
)
"""Each says in its data what the message is now."""


def event_type_of(action: str, data: Mapping[str, Any]) -> EventType | None:
    """The event that an entry of the journal is, for those who are outside."""
    name = f"message.{data.get('status')}" if action in _OF_MESSAGES else action
    return next((each for each in EVENT_TYPES if each == name), None)


def actions_for(event_types: Iterable[str]) -> frozenset[str]:
    """The entries that have to be read, so that none of these events is missed."""
    wanted = frozenset(event_types)
    messages = _OF_MESSAGES if any(each.startswith("message.") for each in wanted) else frozenset()
    return (wanted & frozenset(EVENT_TYPES)) - _OF_MESSAGES | messages


# --- attempts -------------------------------------------------------------------------------

LEASE: Final = timedelta(seconds=60)
"""Longer than an attempt can take. One that never reported back is made again after it."""
PAUSES: Final = tuple(
    timedelta(seconds=each) for each in (5, 300, 1_800, 7_200, 18_000, 28_800, 28_800)
)
"""Between attempts: 8 of them within a day."""
ROTATION: Final = timedelta(hours=24)
"""So long a secret that was replaced signs as well."""


def next_attempt(attempts: int, now: datetime, chance: float) -> datetime | None:
    """When to try again after so many attempts; ``None`` when it is given up.

    ``chance`` (0 to 1) spreads those who failed together.
    """
    if attempts > len(PAUSES):
        return None
    return now + PAUSES[attempts - 1] * (1 + 0.1 * chance)


@dataclass(frozen=True, slots=True)
class Delivered:
    status: int


@dataclass(frozen=True, slots=True)
class NotDelivered:
    why: str
    """For people."""
    status: int | None = None
    gone: bool = False
    """The receiver says that it wants no more."""


Outcome = Delivered | NotDelivered


def judge(status: int) -> Outcome:
    """What the receiver's answer means. Its body means nothing and is not read."""
    if 200 <= status < 300:
        return Delivered(status)
    if status == 410:
        return NotDelivered("The receiver says that it is gone (410).", status, gone=True)
    if 300 <= status < 400:
        why = f"The receiver redirects ({status}); redirects are not followed."
        return NotDelivered(why, status)
    return NotDelivered(f"The receiver answered {status}.", status)


# --- endpoints ------------------------------------------------------------------------------

_MAX_URL: Final = 2_000


def new_secret() -> str:
    """As Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def check_url(text: str, allows: Allows) -> str:
    """An address that can be called. What its name leads to is judged at each call."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_url("is not a URL") from error
    if len(url) > _MAX_URL or not url.isprintable() or " " in url:
        raise _bad_url("is too long, or contains characters that a URL cannot have")
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise _bad_url("must begin with https:// or http:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise _bad_url("must not contain a user name or a password")
    if parts.fragment:
        raise _bad_url("must not contain a fragment")
    literal = literal_address(host)
    if literal is not None and not allows(literal):
        raise _bad_url("leads into a private network")
    return url


def _bad_url(why: str) -> InvalidInput:
    return InvalidInput(f"The address {why}.", fields={"url": why})


def check_event_types(wanted: Sequence[str]) -> list[str]:
    unknown = [each for each in wanted if each not in EVENT_TYPES]
    if unknown:
        why = f"there is no event {unknown[0]}"
        raise InvalidInput(f"Nothing was saved: {why}.", fields={"eventTypes": why})
    if not wanted:
        why = "choose at least one"
        raise InvalidInput("Choose at least one event.", fields={"eventTypes": why})
    return [each for each in EVENT_TYPES if each in wanted]


def clean_description(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    return clean_line(text, field="description", what="description", most=200)
