"""What becomes of a message by the answer to its request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from groupline.gateways.outcomes import (
    Accepted,
    NotSent,
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
)
from groupline.messages.refusals import Refusal
from groupline.messages.rules.machine import Change, Facts, Hold, HoldReason, Policy, Trouble
from groupline.messages.rules.steps import rejected, sent, uncertain
from groupline.messages.words import NOT_SENT, UNCERTAIN


def after_send(
    facts: Facts, outcome: SendOutcome, *, now: datetime, roll: float, policy: Policy
) -> Change:
    """``roll`` in [0, 1) spreads retries."""
    if facts.overtaken is not None and not isinstance(outcome, Sent):
        return sent(facts, facts.overtaken)
    match outcome:
        case Sent():
            return sent(facts, outcome.message_id)
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
            return uncertain(facts, trouble, now, policy)
        case _:
            assert_never(outcome)


def upstream_words(http_status: int | None, detail: str | None) -> str | None:
    """What the gateway answered, with its HTTP status."""
    parts = (f"HTTP {http_status}" if http_status is not None else None, detail or None)
    return ": ".join(part for part in parts if part) or None


def _not_sent(facts: Facts, outcome: NotSent, now: datetime, roll: float, policy: Policy) -> Change:
    trouble = Trouble(
        str(outcome.reason),
        NOT_SENT[outcome.reason],
        upstream_words(outcome.http_status, outcome.detail),
    )
    if outcome.counts_as_attempt:
        return rejected(facts, trouble, now, roll, policy, for_good=not outcome.retryable)
    return Change(
        "pending",
        "message.waiting",
        facts.attempts,
        trouble=trouble,
        hold=_hold(outcome, now, policy),
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
    return Hold(reason, now + wait)


def withheld(facts: Facts, *, now: datetime, policy: Policy) -> Change:
    """The claim was given back before anything was written: nothing left."""
    again_at = now + policy.wait_withheld
    return Change("pending", "message.waiting", facts.attempts, next_attempt_at=again_at)


def refused(facts: Facts, refusal: Refusal) -> Change:
    """A guard of the last moment: nothing was sent, and sending it as it is stays impossible."""
    trouble = Trouble(refusal.code, refusal.sentence)
    return Change("failed", "message.failed", facts.attempts, trouble=trouble)
