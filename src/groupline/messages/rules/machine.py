"""The vocabulary of the state machine: states, facts, changes, and the times it goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from groupline.models import MessageStatus

Action = Literal[
    "message.sent",
    "message.accepted",
    "message.uncertain",
    "message.waiting",
    "message.rejected",
    "message.failed",
    "message.expired",
    "message.cancelled",
    "message.discarded",
    "message.resolved",
    "message.requeued",
    "message.arrived",
    "message.superseded",
]

NOTHING_LEFT: Final[frozenset[Action]] = frozenset({"message.waiting", "message.rejected"})
"""These say that the attempt sent nothing and never will."""

TRANSITIONS: Final[Mapping[MessageStatus, frozenset[MessageStatus]]] = {
    "pending": frozenset({"sending", "cancelled", "expired", "failed", "sent"}),
    "sending": frozenset({"sent", "accepted", "uncertain", "pending", "failed"}),
    "accepted": frozenset({"sent", "uncertain", "pending", "failed"}),
    "uncertain": frozenset({"sent", "accepted", "pending", "failed"}),
    "sent": frozenset({"failed"}),
    "failed": frozenset({"pending", "cancelled", "sent"}),
    "expired": frozenset({"pending", "sent"}),
    "cancelled": frozenset({"sent"}),
}
"""Evidence that a message arrived counts whenever it comes: hence ``sent`` after an end."""

FINAL: Final[frozenset[MessageStatus]] = frozenset({"sent", "failed", "expired", "cancelled"})
IN_FLIGHT: Final[frozenset[MessageStatus]] = frozenset({"sending", "accepted", "uncertain"})

PRIORITY_NOW: Final = 0
PRIORITY_EVENT: Final = 1
PRIORITY_CAMPAIGN: Final = 2
PRIORITIES: Final = (PRIORITY_NOW, PRIORITY_EVENT, PRIORITY_CAMPAIGN)


REJECTED_LATER_CODE: Final = "rejected_later"
"""The error code of what WhatsApp rejected after the gateway had sent it."""
TOO_MUCH: Final = frozenset({420, 429})
"""Errors of WhatsApp that mean: more slowly."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The times and counts of the outbox."""

    rejections: int = 3
    """So many times a gateway may reject a message before it has failed."""
    retry_after: timedelta = timedelta(seconds=10)
    """After the first rejection; three times as long after each further one."""
    resend_after: timedelta = timedelta(seconds=3)
    """After the proof that an unanswered request sent nothing."""
    callback_within: timedelta = timedelta(minutes=2)
    """An accepted message without a callback is uncertain after this."""
    first_look: timedelta = timedelta(seconds=1)
    """Until the gateway is asked about an unanswered request for the first time."""
    rarest_look: timedelta = timedelta(minutes=10)
    unsent_after: timedelta = timedelta(seconds=60)
    """A request that nobody has seen so long after its claim will not be carried out any more: it
    starts within ten seconds, and takes at most 35. Until then a no proves nothing."""
    looks_end: timedelta = timedelta(days=3)
    wait_not_connected: timedelta = timedelta(seconds=15)
    wait_unreachable: timedelta = timedelta(seconds=5)
    wait_no_connection_free: timedelta = timedelta(seconds=1)
    wait_misconfigured: timedelta = timedelta(seconds=60)
    wait_rate_limited: timedelta = timedelta(seconds=30)
    wait_restricted: timedelta = timedelta(minutes=15)
    wait_withheld: timedelta = timedelta(seconds=5)
    """After a claim that was given back: whatever the reason was, it must not spin."""
    longest_wait: timedelta = timedelta(hours=6)
    late: timedelta = timedelta(hours=24)
    """A message of a person or a program is useful for so long, unless set otherwise."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a message when something happens to it."""

    status: MessageStatus
    attempts: int = 0
    expires_at: datetime | None = None
    started_at: datetime | None = None
    """When the request of this attempt was about to be written."""
    message_id: str | None = None
    """While ``sending``: from a callback that overtook the answer. While ``accepted``: what the
    gateway intends to call it."""
    can_look_up: bool = False
    """The gateway was told our reference and keeps it for good, so that its no is a no."""
    was_rejected: bool = False
    """WhatsApp rejected what is named by ``message_id``: it failed, or waits to be sent again."""
    was_received: bool = False
    """Somebody's receipt is there."""

    @property
    def overtaken(self) -> str | None:
        return self.message_id if self.status == "sending" else None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a message is not sent: for programs, for people, and in the gateway's own words."""

    code: str
    sentence: str
    upstream: str | None = None


HoldReason = Literal[
    "not_connected",
    "gateway_unreachable",
    "gateway_busy",
    "gateway_refuses",
    "rate_limited",
    "restricted",
]


@dataclass(frozen=True, slots=True)
class Hold:
    """The lane of the number stands still until a time."""

    reason: HoldReason
    until: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a message. It is written by id, and by the claim where one was needed."""

    status: MessageStatus
    action: Action
    attempts: int
    trouble: Trouble | None = None
    message_id: str | None = None
    """The evidence of ``sent``; for ``accepted`` what the gateway intends to call it."""
    next_attempt_at: datetime | None = None
    next_check_at: datetime | None = None
    keeps_claim: bool = False
    """The answer to the request may still come, and will then decide."""
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing new is known; ask again then, or never."""

    at: datetime | None
