"""Until when a restriction lasts: as WhatsApp says, or until the try after a refused send."""

from datetime import datetime, tzinfo
from typing import Final

from groupline.clock import moment

RESTRICTED: Final = "restricted"
"""Why a lane is held after a send that was refused for one; and the plain word for it."""


def named_end(
    until: datetime | None, hold_reason: str | None, free_at: datetime | None
) -> datetime | None:
    """The end that WhatsApp has named. What is only the time of the next try is none."""
    if until is None or hold_reason != RESTRICTED or free_at is None:
        return until
    return until if until > free_at else None


def next_try_sentence(at: datetime, zone: tzinfo) -> str:
    """Where nobody has named an end."""
    return f"The next try is at {moment(at, zone)}."
