"""What the journal of a message tells of its attempts: which one an entry is about, and what is the
evidence that the message left. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from groupline.gateways.outcomes import NotSentReason, UncertainReason
from groupline.groups.rules import Unsendable
from groupline.messages.rules import REJECTED_LATER_CODE
from groupline.messages.words import LEASE_ENDED_WORDS


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to a gateway."""

    number: int
    """Counted over the whole life of the message, whatever became of the others."""
    started_at: datetime | None
    """Not known of requests before Groupline kept it."""
    seconds: float | None
    """Until it had ended; ``None`` where that was never seen, or is told by somebody else."""

    @property
    def took(self) -> str | None:
        if self.seconds is None:
            return None
        return "took less than 0.1 s" if self.seconds < _BRIEF else f"took {self.seconds:,.1f} s"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a message counts as sent."""

    by: str
    """``answer``, ``look_up``, ``callback``, ``overtaken``, ``late_answer``, ``receipt``, or the
    word of a ``person``."""
    message_id: str | None
    existing: bool
    """The gateway had sent it before, and repeated what it had answered then."""

    @property
    def word(self) -> str:
        """In a word, for people."""
        return _PROOFS.get(self.by, self.by)


_BRIEF: Final = 0.1
_PROOFS: Final[Mapping[str, str]] = {
    "answer": "answered",
    "look_up": "looked up",
    "callback": "callback",
    "overtaken": "callback",
    "late_answer": "late answer",
    "receipt": "receipt",
    "person": "somebody's word",
}


@dataclass(frozen=True, slots=True)
class Told:
    """Of an entry of the journal."""

    action: str
    at: datetime
    data: Mapping[str, Any]


_ANSWERS: Final = frozenset(
    {
        "message.sent",
        "message.accepted",
        "message.uncertain",
        "message.waiting",
        "message.rejected",
        "message.failed",
        "message.requeued",
    }
)
"""What may become of a request. ``message.requeued`` also is what people decide."""
_GO_ON: Final = frozenset({"message.sent", "message.accepted", "message.uncertain"})
"""More may be told of the same request."""
_ENDS: Final = frozenset(
    {"message.requeued", "message.resolved", "message.rejected", "message.failed"}
)
"""Whoever says so: what follows is another request."""
_REFUSED: Final = frozenset({"no_content", "unresolved_variable", *Unsendable})
"""Found before anything was written to a gateway."""
_OWN_WORD: Final = frozenset({"look_up", "overtaken"})
"""Who says it is sure which request it is about; of reports only the message is known."""
_NO_ANSWER: Final[frozenset[str]] = frozenset(
    {
        NotSentReason.UNREACHABLE,
        NotSentReason.TIMEOUT_BEFORE_WRITE,
        NotSentReason.POOL_EXHAUSTED,
        UncertainReason.NO_ANSWER,
        UncertainReason.CONNECTION_LOST,
        UncertainReason.UNEXPECTED,
    }
)


class Counter:
    """Reads entries from the oldest on, and says which attempt each of them is about."""

    def __init__(self) -> None:
        self.count = 0
        self._began: str | None = None
        self._goes_on = False

    def read(self, entry: Told) -> Attempt | None:
        if not _is_of_a_request(entry):
            self._goes_on = self._goes_on and entry.action not in _ENDS
            return None
        began = entry.data.get("startedAt")
        if not self._goes_on or (began is not None and began != self._began):
            self.count += 1
            self._began = began
        self._goes_on = entry.action in _GO_ON
        started_at = None if began is None else datetime.fromisoformat(began)
        return Attempt(self.count, started_at, _seconds(entry, started_at))


def count_attempts(entries: Iterable[Told]) -> Counter:
    counter = Counter()
    for entry in entries:
        counter.read(entry)
    return counter


def _is_of_a_request(entry: Told) -> bool:
    data = entry.data
    if entry.action not in _ANSWERS or data.get("by") not in (None, *_OWN_WORD):
        return False
    if "startedAt" in data:
        return True
    if entry.action == "message.requeued":
        return data.get("by") == "look_up"
    if entry.action == "message.waiting":
        return "reason" in data  # else the claim was given back
    return entry.action != "message.failed" or data.get("reason") not in _REFUSED


def _seconds(entry: Told, started_at: datetime | None) -> float | None:
    """Of what the worker saw itself: not of a look-up, nor of a lease that ended."""
    if started_at is None or entry.data.get("by"):
        return None
    if entry.data.get("sentence") in LEASE_ENDED_WORDS:
        return None
    return max(0.0, (entry.at - started_at).total_seconds())


def evidence_in(action: str, data: Mapping[str, Any]) -> Evidence | None:
    by = data.get("by", "answer")
    if action == "message.resolved":
        if data.get("status") != "sent":
            return None
        by = "person"
    elif action not in ("message.sent", "message.arrived"):
        return None
    return Evidence(by, data.get("gatewayMessageId"), bool(data.get("existing")))


def speaker(reason: str | None, by: str | None = None) -> str:
    """Whose words stand beside a sentence of ours."""
    if reason in _NO_ANSWER:
        return "The connection failed"
    reported = by not in (None, "look_up") or reason == REJECTED_LATER_CODE
    return "The gateway reported" if reported else "The gateway answered"
