"""Which sessions of the history may go. Pure, like the rules that it belongs to."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from groupline.numbers.rules import PAIRING_LASTS, SessionFacts


@dataclass(frozen=True, slots=True)
class Deletable:
    """Nothing that lasts hangs on it."""


@dataclass(frozen=True, slots=True)
class NotDeletable:
    state: str
    why: str
    hint: str


def may_delete(facts: SessionFacts, now: datetime) -> Deletable | NotDeletable:
    """A session of the history may go; one that is connected or being paired may not."""
    if facts.status == "connected":
        return NotDeletable(
            "connected", "This session is connected.", "Disconnect it first, then delete it."
        )
    if facts.is_pairing and now - facts.pairing_started_at < PAIRING_LASTS:
        return NotDeletable(
            "pairing", "Somebody may be scanning its QR code right now.", "Cancel it first."
        )
    return Deletable()


def may_clean_up(
    facts: SessionFacts, ended_at: datetime, now: datetime, older_than: timedelta
) -> bool:
    """For "Clean up old sessions": deletable, and either never paired or old enough."""
    if not isinstance(may_delete(facts, now), Deletable):
        return False
    return not facts.number_known or now - ended_at >= older_than
