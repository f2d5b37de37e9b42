"""Which alerts there are, when they are due, and when a channel is tried again. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from groupline.errors import InvalidInput

AlertKind = Literal[
    "number.disconnected",
    "number.restricted",
    "message.failed",
    "message.uncertain",
    "message.expired",
    "gateway.unreachable",
    "gateway.refused",
    "gateway.webhooks_refused",
    "preflight.failed",
    "campaign.failed",
]
ALERT_KINDS: Final[tuple[AlertKind, ...]] = get_args(AlertKind)

KIND_WORDS: Final[Mapping[AlertKind, tuple[str, str]]] = {
    "number.disconnected": (
        "A number is disconnected",
        "With what is due on it; and when it is back.",
    ),
    "number.restricted": ("WhatsApp restricts a number", "It may not send for a while."),
    "message.failed": ("Messages failed", "Counted per number and minute."),
    "message.uncertain": ("Messages are uncertain", "A person has to look whether they arrived."),
    "message.expired": ("Messages were too late", "They did not leave before their time was over."),
    "gateway.unreachable": (
        "A gateway cannot be reached",
        "For more than two minutes; and when it answers again.",
    ),
    "gateway.refused": ("A gateway refuses our key", "Nothing can be sent through it."),
    "gateway.webhooks_refused": (
        "Reports of a gateway are refused",
        "Its webhook secret is not the one that Groupline knows.",
    ),
    "preflight.failed": ("An event is not ready", "What preflight found before it begins."),
    "campaign.failed": ("A campaign ended with failures", "With how many messages failed."),
}

RECOVERY_OF: Final[Mapping[str, AlertKind]] = {
    "number.connected": "number.disconnected",
    "gateway.reachable": "gateway.unreachable",
}
"""Good news goes to whoever was told the bad."""

ACTIONS: Final = frozenset(
    (
        "number.disconnected",
        "number.connected",
        "number.restricted",
        "number.unrestricted",
        "message.failed",
        "message.uncertain",
        "message.expired",
        "gateway.webhooks_refused",
        "preflight.failed",
        "campaign.finished",
        "campaign.reopened",
        "campaign.retried",
        "campaign.revised",
    )
)
"""The entries of the journal that alerts are made of."""

UNREACHABLE_AFTER: Final = timedelta(minutes=2)
WINDOW: Final = timedelta(minutes=1)
"""Messages of one number that end alike within it are one alert."""
SETTLES_WITHIN: Final = timedelta(seconds=30)
"""Many an uncertain message is settled by the gateway itself: so long it is left the time to."""


def wants(kinds: Sequence[str], kind: str) -> bool:
    """Whether a channel that chose these kinds is told of this one."""
    return RECOVERY_OF.get(kind, kind) in kinds


def window_of(at: datetime, now: datetime) -> datetime:
    """The minute that something is counted in. What comes too late for its own goes to the next."""
    own = at.replace(second=0, microsecond=0)
    return own if own + WINDOW > now else now.replace(second=0, microsecond=0)


def due_of_window(kind: str, start: datetime) -> datetime:
    due = start + WINDOW
    return due + SETTLES_WITHIN if kind == "message.uncertain" else due


# --- channels -------------------------------------------------------------------------------

LEASE: Final = timedelta(seconds=90)
"""Longer than an attempt can take. One that never reported back is made again after it."""
PAUSES: Final = tuple(timedelta(seconds=each) for each in (15, 60, 300, 900, 3_600, 10_800))
"""Between attempts; then it is given up. An alert of yesterday helps nobody."""


def next_attempt(attempts: int, now: datetime, chance: float) -> datetime | None:
    if attempts > len(PAUSES):
        return None
    return now + PAUSES[attempts - 1] * (1 + 0.1 * chance)


def check_kinds(wanted: Sequence[str]) -> list[str]:
    unknown = [each for each in wanted if each not in ALERT_KINDS]
    if unknown:
        why = f"there is no alert {unknown[0]}"
        raise InvalidInput(f"Nothing was saved: {why}.", fields={"kinds": why})
    if not wanted:
        why = "choose at least one"
        raise InvalidInput("Choose at least one kind of alert.", fields={"kinds": why})
    return [each for each in ALERT_KINDS if each in wanted]
