"""What a message had waited for when its time was over: told later, and so in the past tense."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from groupline.clock import moment
from groupline.messages.waiting import Lane, first_obstacle, named

CAMPAIGN_PAUSED: Final = "Its campaign was paused."
OTHERS_WENT_FIRST: Final = "Other messages of the number went first."
HELD: Final[Mapping[str, str]] = {
    "not_connected": "The gateway said that the number was not connected.",
    "gateway_unreachable": "The gateway could not be reached.",
    "gateway_busy": "The gateway was busy.",
    "gateway_refuses": "The gateway refused Groupline's requests.",
    "rate_limited": "The gateway had asked to send more slowly.",
    "restricted": "WhatsApp restricted what this number may send.",
}


def waited_for(lane: Lane, now: datetime) -> str | None:
    """The first thing of the number that stood in the way, or ``None``. A worker asks this, so
    that none ran is not among it."""
    reason = _obstacle(lane, now)
    if reason is not None:
        return reason
    if lane.is_busy:
        return OTHERS_WENT_FIRST
    if lane.free_at is not None and lane.free_at > now:
        return "The number was pausing between two messages."
    return None


def _obstacle(lane: Lane, now: datetime) -> str | None:  # noqa: PLR0911 - a table
    match first_obstacle(lane, now):
        case "paused" if lane.paused_at is not None:
            return f"The number had been paused since {moment(lane.paused_at, lane.zone)}."
        case "disconnected":
            return "The number was not connected."
        case "switched_off":
            return "The number's gateway was switched off."
        case "gateway_down":
            return named("The gateway {} could not be reached.", lane)
        case "restricted":
            return HELD["restricted"]
        case "held" if lane.hold_reason is not None:
            return HELD.get(lane.hold_reason, "The number was held back.")
    return None
