"""What becomes of a message by what gateways report of themselves."""

from __future__ import annotations

from datetime import datetime

from groupline.gateways.outcomes import NotSentReason
from groupline.messages.rules.machine import (
    REJECTED_LATER_CODE,
    TOO_MUCH,
    TRANSITIONS,
    Change,
    Facts,
    Hold,
    Policy,
    Trouble,
)
from groupline.messages.rules.steps import rejected, sent
from groupline.messages.words import NOT_SENT, REJECTED_LATER, SUPERSEDED


def after_evidence(facts: Facts, message_id: str, *, received: bool = False) -> Change | None:
    """A callback, an echo or a receipt names the message: it left, whatever was thought.

    Three things may be said of a message in any order, and the strongest decides: somebody
    received it; WhatsApp rejected it; the gateway sent it.
    """
    if "sent" not in TRANSITIONS[facts.status]:
        return None
    if facts.was_rejected and message_id == facts.message_id and not received:
        return None
    return sent(facts, message_id)


def arrived_although_replaced(facts: Facts, message_id: str) -> Change:
    """It was cancelled, and another message has taken its place: it keeps its end."""
    return Change(facts.status, "message.arrived", facts.attempts, message_id=message_id)


def superseded(facts: Facts) -> Change | None:
    """It says the same as an earlier message that was cancelled, and has arrived all the same.

    Sending it would be a second copy. What has left, or has ended otherwise, stays as it is.
    """
    if facts.status not in ("pending", "failed"):
        return None
    trouble = Trouble("superseded", SUPERSEDED)
    return Change("cancelled", "message.superseded", facts.attempts, trouble=trouble)


def after_failed_callback(
    facts: Facts, words: str | None, *, now: datetime, roll: float, policy: Policy
) -> Change | None:
    """The gateway took the message and could not send it."""
    if facts.status not in ("accepted", "uncertain"):
        return None
    trouble = Trouble("rejected", NOT_SENT[NotSentReason.REJECTED], words)
    return rejected(facts, trouble, now, roll, policy, for_good=False)


def after_rejection(
    facts: Facts,
    code: int | None,
    words: str | None,
    *,
    message_id: str | None = None,
    now: datetime,
    policy: Policy,
) -> Change | None:
    """WhatsApp rejected a message that it had taken, and that nobody has received."""
    if facts.status not in ("sent", "accepted", "uncertain") or facts.was_received:
        return None
    shown = rejection_words(code, words)
    return Change(
        "failed",
        "message.failed",
        facts.attempts + 1,
        trouble=Trouble(REJECTED_LATER_CODE, REJECTED_LATER, shown),
        message_id=facts.message_id or message_id,
        hold=Hold("rate_limited", now + policy.wait_rate_limited) if code in TOO_MUCH else None,
    )


def rejection_words(code: int | None, words: str | None) -> str | None:
    """What WhatsApp said, for people."""
    named = f"error {code}" if code is not None else None
    return ": ".join(part for part in (named, words) if part) or None
