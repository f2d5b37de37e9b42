"""What becomes of a message without an answer: its worker is gone, or its time is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final, assert_never

from groupline.gateways.outcomes import Found, LookupAnswer, LookupUnknown, NotFound
from groupline.messages.rules.answers import withheld
from groupline.messages.rules.machine import Change, Facts, Later, Policy, Trouble
from groupline.messages.rules.steps import rejected, sent, uncertain
from groupline.messages.words import (
    EXPIRED,
    LEASE_ENDED,
    NO_CALLBACK,
    PROVEN_UNSENT,
    REPORT_UNCLEAR,
)

NO_CALLBACK_CODE: Final = "no_callback"
"""The error code of what a gateway took, and did not report on within the time for it."""


def after_lease(facts: Facts, *, now: datetime, policy: Policy) -> Change:
    """Its worker is gone, or slower than its lease."""
    if facts.overtaken is not None:
        return sent(facts, facts.overtaken)
    if facts.started_at is None:
        return withheld(facts, now=now, policy=policy)
    return uncertain(facts, Trouble("no_answer", LEASE_ENDED), now, policy, keeps_claim=True)


def after_look(
    facts: Facts, answer: LookupAnswer, *, now: datetime, roll: float, policy: Policy
) -> Change | Later:
    """What the gateway says about a message that is ``accepted`` or ``uncertain``."""
    match answer:
        case Found():
            if answer.by_client_ref or answer.message_id == facts.message_id:
                return sent(facts, answer.message_id)
        case NotFound():
            if not _may_still_arrive(facts, now, policy):
                return _proven_unsent(facts, answer, now, roll, policy)
        case LookupUnknown():
            pass
        case _:
            assert_never(answer)
    if facts.status == "accepted" and _patience_is_over(facts, now, policy):
        return uncertain(facts, Trouble(NO_CALLBACK_CODE, NO_CALLBACK), now, policy)
    return Later(next_look(facts, now, policy))


def waited_in_vain(change: Change | Later) -> bool:
    """The end of the time for a report: the sentence says that none came."""
    if isinstance(change, Later) or change.trouble is None:
        return False
    return change.trouble.code == NO_CALLBACK_CODE


def unclearly_reported(change: Change) -> Change:
    """The same, where a report came that may be about the message."""
    return replace(change, trouble=Trouble(NO_CALLBACK_CODE, REPORT_UNCLEAR))


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
        return rejected(facts, trouble, now, roll, policy, for_good=False)
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


def after_deadline(facts: Facts, *, waited_for: str | None) -> Change:
    """Too late to be useful. ``waited_for`` says what kept it, where that is known."""
    sentence = EXPIRED if waited_for is None else f"{EXPIRED} {waited_for}"
    return Change(
        "expired", "message.expired", facts.attempts, trouble=Trouble("expired", sentence)
    )
