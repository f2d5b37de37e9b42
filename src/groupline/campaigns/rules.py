"""The states of a campaign: facts in, a decision out. Pure.

``TRANSITIONS`` is the whole diagram, and ``ALLOWED`` what a person can do in which state; tests
check that nothing answers with a step that is not in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, assert_never

from groupline.errors import Conflict
from groupline.models import CampaignStatus

CampaignAction = Literal[
    "edit",
    "start",
    "pause",
    "resume",
    "cancel",
    "retry_failed",
    "verify",
    "mark_arrived",
    "duplicate",
    "delete",
]

TRANSITIONS: Final[Mapping[CampaignStatus, frozenset[CampaignStatus]]] = {
    "draft": frozenset({"scheduled", "sending"}),
    "scheduled": frozenset({"sending", "cancelled"}),
    "sending": frozenset({"paused", "completed", "partial_failure", "failed", "cancelled"}),
    "paused": frozenset({"sending", "completed", "partial_failure", "failed", "cancelled"}),
    "completed": frozenset({"sending", "partial_failure", "failed", "cancelled"}),
    "partial_failure": frozenset({"sending", "completed", "failed", "cancelled"}),
    "failed": frozenset({"sending", "completed", "partial_failure", "cancelled"}),
    "cancelled": frozenset(),
}
"""An end is what the messages say. A message that is sent again, that WhatsApp rejects afterwards
or that turns out to have arrived changes it: hence the steps between and out of the ends."""

_ANY_TIME: Final[frozenset[CampaignAction]] = frozenset({"duplicate"})
_ABOUT_MESSAGES: Final[frozenset[CampaignAction]] = frozenset({"verify", "mark_arrived"})


def allowed(  # noqa: PLR0911 - a table
    status: CampaignStatus,
) -> frozenset[CampaignAction]:
    """What a person can do with a campaign in this state, if its messages give reason to."""
    match status:
        case "draft":
            return _ANY_TIME | {"edit", "start", "delete"}
        case "scheduled":
            return _ANY_TIME | {"edit", "start", "cancel"}
        case "sending":
            return _ANY_TIME | _ABOUT_MESSAGES | {"pause", "cancel", "retry_failed"}
        case "paused":
            return _ANY_TIME | _ABOUT_MESSAGES | {"resume", "cancel", "retry_failed"}
        case "completed":
            return _ANY_TIME
        case "partial_failure" | "failed":
            return _ANY_TIME | {"retry_failed"}
        case "cancelled":
            return _ANY_TIME | _ABOUT_MESSAGES
        case _:
            assert_never(status)


_VERBS: Final[Mapping[CampaignAction, str]] = {
    "edit": "changed",
    "start": "started",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "retry_failed": "sent again",
    "verify": "verified",
    "mark_arrived": "marked as arrived",
    "duplicate": "duplicated",
    "delete": "deleted",
}
STATUS_WORDS: Final[Mapping[CampaignStatus, str]] = {
    "draft": "a draft",
    "scheduled": "scheduled",
    "sending": "being sent",
    "paused": "paused",
    "completed": "completed",
    "partial_failure": "finished, with messages that did not arrive",
    "failed": "failed",
    "cancelled": "cancelled",
}


def check(action: CampaignAction, status: CampaignStatus) -> None:
    """Raises ``Conflict`` with the state, and with what can be done instead."""
    possible = allowed(status)
    if action in possible:
        return
    words = [name.replace("_", " ") for name in sorted(possible)]
    raise Conflict(
        f"A campaign that is {STATUS_WORDS[status]} cannot be {_VERBS[action]}.",
        hint=f"What can be done now: {', '.join(words)}.",
        state=status,
        actions=sorted(possible),
    )


# --- what the messages say ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages of a campaign there are in each state."""

    pending: int = 0
    sending: int = 0
    accepted: int = 0
    sent: int = 0
    uncertain: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.open + self.sent + self.not_arrived + self.cancelled

    @property
    def open(self) -> int:
        """Those that are not final. What is uncertain is not."""
        return self.pending + self.in_flight

    @property
    def in_flight(self) -> int:
        return self.sending + self.accepted + self.uncertain

    @property
    def not_arrived(self) -> int:
        return self.failed + self.expired

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


Ended = Literal["completed", "partial_failure", "failed", "cancelled"]


def end_of(counts: Counts) -> Ended:
    """The end that messages which are all final amount to. What somebody called off or put away
    counts neither as arrived nor as failed."""
    if counts.sent and counts.not_arrived:
        return "partial_failure"
    if counts.sent:
        return "completed"
    return "failed" if counts.not_arrived else "cancelled"


def useful(status: CampaignStatus, counts: Counts) -> frozenset[CampaignAction]:
    """What can be done and would do something."""
    idle: set[CampaignAction] = set()
    if not counts.not_arrived:
        idle.add("retry_failed")
    if not counts.accepted + counts.uncertain:
        idle.add("verify")
    if not counts.uncertain:
        idle.add("mark_arrived")
    return allowed(status) - idle


@dataclass(frozen=True, slots=True)
class Finished:
    """Each message is final: the campaign has ended."""

    status: Ended


@dataclass(frozen=True, slots=True)
class Reopened:
    """A campaign that had ended has messages to send again."""

    status: Literal["sending"] = "sending"


@dataclass(frozen=True, slots=True)
class Revised:
    """An end that is known better now: a late rejection, or proof that a message arrived."""

    status: Ended


Settlement = Finished | Reopened | Revised


def settled(status: CampaignStatus, counts: Counts, *, has_ended: bool) -> Settlement | None:
    """What the messages make of the campaign; ``None``: it stays as it is."""
    match status:
        case "draft":
            return None
        case "scheduled" | "sending" | "paused":
            return None if counts.open else Finished(end_of(counts))
        case "cancelled":
            return None if has_ended or counts.open else Finished("cancelled")
        case "completed" | "partial_failure" | "failed":
            if counts.open:
                return Reopened()
            end = end_of(counts)
            return None if end == status else Revised(end)
        case _:
            assert_never(status)


# --- how long it takes ----------------------------------------------------------------------

JITTER: Final = 1.05
"""Pauses between messages are up to a tenth longer than set, by chance."""
_REQUEST_SECONDS: Final = 0.2
"""A message takes about this long even without a pause."""
RATE_WINDOW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Load:
    """What a number has to send, of a campaign and besides it."""

    messages: int
    pace_seconds: float
    delay_seconds: float
    others: int = 0
    """Messages of the number that go first or in between."""

    @property
    def interval(self) -> timedelta:
        """Between two messages of the campaign while nothing else goes: the slower wins."""
        pause = max(self.pace_seconds, self.delay_seconds) * JITTER
        return timedelta(seconds=max(pause, _REQUEST_SECONDS))

    @property
    def duration(self) -> timedelta:
        """The delay of the campaign leaves room for others; the pace of the number does not."""
        pace = max(self.pace_seconds * JITTER, _REQUEST_SECONDS)
        lane = timedelta(seconds=pace) * (self.messages + self.others)
        return max(self.interval * self.messages, lane)


def left_over(waiting: int, *, pace_seconds: float, until: timedelta) -> int:
    """How many of a number's waiting messages are still there after a while."""
    each = max(pace_seconds * JITTER, _REQUEST_SECONDS)
    return max(0, waiting - int(until.total_seconds() / each))


def too_late(load: Load, *, begin: datetime, expires_at: datetime | None) -> int:
    """How many messages would expire before their turn, if all goes as estimated."""
    if expires_at is None or not load.messages:
        return 0
    available = max(expires_at - begin, timedelta())
    each = load.duration / load.messages
    in_time = int(available / each) + 1 if available else 0
    return max(0, load.messages - in_time)


def per_minute(sent: int, *, since: datetime | None, now: datetime) -> float:
    """The rate of the last minutes, or of the time since the start if that is shorter."""
    window = RATE_WINDOW if since is None else min(RATE_WINDOW, now - since)
    minutes = max(window / timedelta(minutes=1), 1 / 6)
    return round(sent / minutes, 1)
