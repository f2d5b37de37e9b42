"""Steps that several parts of the machine take."""

from __future__ import annotations

from datetime import datetime

from groupline.messages.rules.machine import Change, Facts, Policy, Trouble


def sent(facts: Facts, message_id: str) -> Change:
    return Change("sent", "message.sent", facts.attempts, message_id=message_id)


def uncertain(
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


def rejected(
    facts: Facts, trouble: Trouble, now: datetime, roll: float, policy: Policy, *, for_good: bool
) -> Change:
    attempts = facts.attempts + 1
    if for_good or attempts >= policy.rejections:
        return Change("failed", "message.failed", attempts, trouble=trouble)
    pause = policy.retry_after * 3 ** (attempts - 1) * (0.8 + 0.4 * roll)
    return Change(
        "pending", "message.rejected", attempts, trouble=trouble, next_attempt_at=now + pause
    )
