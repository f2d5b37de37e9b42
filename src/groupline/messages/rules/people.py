"""What people may decide about a message."""

from __future__ import annotations

from typing import assert_never

from groupline.errors import Conflict
from groupline.messages.rules.machine import Change, Facts


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
        case "pending":
            raise Conflict(
                "This message is waiting or scheduled: it is still to be sent.", state=facts.status
            )
        case "sending" | "accepted":
            raise Conflict("This message is on its way.", state=facts.status)
        case "sent" | "cancelled":
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
