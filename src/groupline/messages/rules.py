"""The state machine of a message: facts and a time in, one change out. Pure.

Every change of a status in the product is computed here. ``TRANSITIONS`` is the whole diagram;
a test checks that no function answers with a step that is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, assert_never

from groupline.errors import Conflict
from groupline.gateways.outcomes import (
    Accepted,
    Found,
    LookupAnswer,
    LookupUnknown,
    NotFound,
    NotSent,
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
)
from groupline.messages.refusals import Refusal
from groupline.messages.words import (
    EXPIRED,
    LEASE_ENDED,
    NO_CALLBACK,
    NOT_SENT,
    PROVEN_UNSENT,
    REJECTED_LATER,
    UNCERTAIN,
)
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
    detail: str


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


# --- the answer to a request ----------------------------------------------------------------


def after_send(
    facts: Facts, outcome: SendOutcome, *, now: datetime, roll: float, policy: Policy
) -> Change:
    """``roll`` in [0, 1) spreads retries."""
    if facts.overtaken is not None and not isinstance(outcome, Sent):
        return _sent(facts, facts.overtaken)
    match outcome:
        case Sent():
            return _sent(facts, outcome.message_id)
        case Accepted():
            patience = policy.first_look if facts.can_look_up else policy.callback_within
            return Change(
                "accepted",
                "message.accepted",
                facts.attempts,
                message_id=outcome.message_id,
                next_check_at=now + patience,
            )
        case NotSent():
            return _not_sent(facts, outcome, now, roll, policy)
        case Uncertain():
            sentence = UNCERTAIN[outcome.reason]
            upstream = upstream_words(outcome.http_status, outcome.detail)
            trouble = Trouble(str(outcome.reason), sentence, upstream)
            return _uncertain(facts, trouble, now, policy)
        case _:
            assert_never(outcome)


def upstream_words(http_status: int | None, detail: str | None) -> str | None:
    """What the gateway answered, with its HTTP status."""
    parts = (f"HTTP {http_status}" if http_status is not None else None, detail or None)
    return ": ".join(part for part in parts if part) or None


def _sent(facts: Facts, message_id: str) -> Change:
    return Change("sent", "message.sent", facts.attempts, message_id=message_id)


def _uncertain(
    facts: Facts, trouble: Trouble, now: datetime, policy: Policy, *, keeps_claim: bool = False
) -> Change:
    return Change(
        "uncertain",
        "message.uncertain",
        facts.attempts,
        trouble=trouble,
        message_id=facts.message_id,
        next_check_at=now + policy.first_look if facts.can_look_up else None,
        keeps_claim=keeps_claim,
    )


def _not_sent(facts: Facts, outcome: NotSent, now: datetime, roll: float, policy: Policy) -> Change:
    trouble = Trouble(
        str(outcome.reason),
        NOT_SENT[outcome.reason],
        upstream_words(outcome.http_status, outcome.detail),
    )
    if outcome.counts_as_attempt:
        return _rejected(facts, trouble, now, roll, policy, for_good=not outcome.retryable)
    return Change(
        "pending",
        "message.waiting",
        facts.attempts,
        trouble=trouble,
        hold=_hold(outcome, now, policy),
    )


def _rejected(
    facts: Facts, trouble: Trouble, now: datetime, roll: float, policy: Policy, *, for_good: bool
) -> Change:
    attempts = facts.attempts + 1
    if for_good or attempts >= policy.rejections:
        return Change("failed", "message.failed", attempts, trouble=trouble)
    pause = policy.retry_after * 3 ** (attempts - 1) * (0.8 + 0.4 * roll)
    return Change(
        "pending", "message.rejected", attempts, trouble=trouble, next_attempt_at=now + pause
    )


def _hold(outcome: NotSent, now: datetime, policy: Policy) -> Hold:
    """How long the number waits before it tries anything again."""
    reason: HoldReason
    match outcome.reason:
        case NotSentReason.NOT_CONNECTED:
            reason, wait = "not_connected", policy.wait_not_connected
        case NotSentReason.UNREACHABLE | NotSentReason.TIMEOUT_BEFORE_WRITE:
            reason, wait = "gateway_unreachable", policy.wait_unreachable
        case NotSentReason.POOL_EXHAUSTED:
            reason, wait = "gateway_busy", policy.wait_no_connection_free
        case NotSentReason.UNAUTHORIZED | NotSentReason.ROUTE_MISSING:
            reason, wait = "gateway_refuses", policy.wait_misconfigured
        case NotSentReason.RATE_LIMITED:
            reason, wait = "rate_limited", policy.wait_rate_limited
        case NotSentReason.RESTRICTED:
            reason, wait = "restricted", policy.wait_restricted
        case (
            NotSentReason.REJECTED
            | NotSentReason.NOT_IN_GROUP
            | NotSentReason.NOT_ALLOWED
            | NotSentReason.BAD_REQUEST
        ):
            raise AssertionError(f"{outcome.reason} is about the message, not about the number")
        case _:
            assert_never(outcome.reason)
    if outcome.retry_after is not None:
        wait = min(timedelta(seconds=outcome.retry_after), policy.longest_wait)
    return Hold(reason, now + wait, outcome.detail)


def withheld(facts: Facts, *, now: datetime, policy: Policy) -> Change:
    """The claim was given back before anything was written: nothing left."""
    again_at = now + policy.wait_withheld
    return Change("pending", "message.waiting", facts.attempts, next_attempt_at=again_at)


def refused(facts: Facts, refusal: Refusal) -> Change:
    """A guard of the last moment: nothing was sent, and sending it as it is stays impossible."""
    trouble = Trouble(refusal.code, refusal.sentence)
    return Change("failed", "message.failed", facts.attempts, trouble=trouble)


# --- no answer ------------------------------------------------------------------------------


def after_lease(facts: Facts, *, now: datetime, policy: Policy) -> Change:
    """Its worker is gone, or slower than its lease."""
    if facts.overtaken is not None:
        return _sent(facts, facts.overtaken)
    if facts.started_at is None:
        return withheld(facts, now=now, policy=policy)
    return _uncertain(facts, Trouble("no_answer", LEASE_ENDED), now, policy, keeps_claim=True)


def after_look(
    facts: Facts, answer: LookupAnswer, *, now: datetime, roll: float, policy: Policy
) -> Change | Later:
    """What the gateway says about a message that is ``accepted`` or ``uncertain``."""
    match answer:
        case Found():
            if answer.by_client_ref or answer.message_id == facts.message_id:
                return _sent(facts, answer.message_id)
        case NotFound():
            if not _may_still_arrive(facts, now, policy):
                return _proven_unsent(facts, answer, now, roll, policy)
        case LookupUnknown():
            pass
        case _:
            assert_never(answer)
    if facts.status == "accepted" and _patience_is_over(facts, now, policy):
        return _uncertain(facts, Trouble("no_callback", NO_CALLBACK), now, policy)
    return Later(next_look(facts, now, policy))


def _may_still_arrive(facts: Facts, now: datetime, policy: Policy) -> bool:
    """The gateway may hold the request, and not have written down that it has it."""
    if facts.status == "accepted" and not _patience_is_over(facts, now, policy):
        return True
    return facts.started_at is not None and now < facts.started_at + policy.unsent_after


def _patience_is_over(facts: Facts, now: datetime, policy: Policy) -> bool:
    return facts.started_at is None or now - facts.started_at >= policy.callback_within


def _proven_unsent(
    facts: Facts, answer: NotFound, now: datetime, roll: float, policy: Policy
) -> Change:
    trouble = Trouble("not_sent", PROVEN_UNSENT, answer.detail)
    if answer.detail is not None:  # it was refused, with a reason
        return _rejected(facts, trouble, now, roll, policy, for_good=False)
    again_at = now + policy.resend_after * (0.8 + 0.4 * roll)
    if facts.expires_at is not None and again_at >= facts.expires_at:
        return Change("failed", "message.failed", facts.attempts, trouble=trouble)
    return Change(
        "pending", "message.requeued", facts.attempts, trouble=trouble, next_attempt_at=again_at
    )


def next_look(facts: Facts, now: datetime, policy: Policy) -> datetime | None:
    """Often at first, then ever more rarely, and at last never."""
    if facts.status == "accepted" and not facts.can_look_up and facts.started_at is not None:
        return max(facts.started_at + policy.callback_within, now + policy.first_look)
    if not facts.can_look_up or facts.started_at is None:
        return None
    age = now - facts.started_at
    if age > policy.looks_end:
        return None
    soon = now + min(max(age / 4, policy.first_look), policy.rarest_look)
    over = facts.started_at + policy.unsent_after
    return min(soon, over) if now < over else soon  # from then on, a no is an answer


# --- what gateways report by themselves -----------------------------------------------------


def after_evidence(facts: Facts, message_id: str) -> Change | None:
    """A callback, an echo or a receipt names the message: it arrived, whatever was thought."""
    if "sent" not in TRANSITIONS[facts.status]:
        return None
    return _sent(facts, message_id)


def arrived_although_replaced(facts: Facts, message_id: str) -> Change:
    """It was cancelled, and another message has taken its place: it keeps its end."""
    return Change(facts.status, "message.arrived", facts.attempts, message_id=message_id)


def after_failed_callback(
    facts: Facts, words: str | None, *, now: datetime, roll: float, policy: Policy
) -> Change | None:
    """The gateway took the message and could not send it."""
    if facts.status not in ("accepted", "uncertain"):
        return None
    trouble = Trouble("rejected", NOT_SENT[NotSentReason.REJECTED], words)
    return _rejected(facts, trouble, now, roll, policy, for_good=False)


def after_rejection(
    facts: Facts, code: int | None, words: str | None, *, now: datetime, policy: Policy
) -> Change | None:
    """WhatsApp rejected a message that it had taken."""
    if facts.status not in ("sent", "accepted", "uncertain"):
        return None
    named = f"error {code}" if code is not None else None
    shown = ": ".join(part for part in (named, words) if part) or None
    return Change(
        "failed",
        "message.failed",
        facts.attempts + 1,
        trouble=Trouble("rejected_later", REJECTED_LATER, shown),
        message_id=facts.message_id,
        hold=Hold("rate_limited", now + policy.wait_rate_limited, shown or REJECTED_LATER)
        if code in TOO_MUCH
        else None,
    )


# --- time -----------------------------------------------------------------------------------


def after_deadline(facts: Facts, *, waited_for: str | None) -> Change:
    """Too late to be useful. ``waited_for`` says what kept it, where that is known."""
    sentence = EXPIRED if waited_for is None else f"{EXPIRED} {waited_for}"
    return Change(
        "expired", "message.expired", facts.attempts, trouble=Trouble("expired", sentence)
    )


# --- people ---------------------------------------------------------------------------------


def cancelled(facts: Facts) -> Change:
    """A message that has not been claimed is called off; a failed one is put away."""
    match facts.status:
        case "pending":
            return Change("cancelled", "message.cancelled", facts.attempts)
        case "failed":
            return Change("cancelled", "message.discarded", facts.attempts)
        case "sending" | "accepted" | "uncertain":
            raise Conflict(
                "This message is on its way, and cannot be called back.", state=facts.status
            )
        case "sent" | "expired" | "cancelled":
            raise Conflict(f"This message is {facts.status} already.", state=facts.status)
        case _:
            assert_never(facts.status)


def sent_again(facts: Facts) -> Change:
    """A new attempt of a message that did not arrive."""
    match facts.status:
        case "failed" | "expired":
            return Change("pending", "message.requeued", 0)
        case "uncertain":
            raise Conflict(
                "Nobody knows whether this message arrived.",
                hint="Look into the group, then choose “It arrived” or “Send again”.",
                state=facts.status,
            )
        case "pending" | "sending" | "accepted" | "sent" | "cancelled":
            raise Conflict(
                f"A message that is {facts.status} is not sent again.", state=facts.status
            )
        case _:
            assert_never(facts.status)


def resolved(facts: Facts, *, arrived: bool) -> Change:
    """A person has looked into the group."""
    if facts.status != "uncertain":
        raise Conflict(
            "Only a message whose fate is uncertain needs your word.", state=facts.status
        )
    if arrived:
        return Change("sent", "message.resolved", facts.attempts, message_id=facts.message_id)
    return Change("pending", "message.resolved", facts.attempts)
