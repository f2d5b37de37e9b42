"""How soon a gateway is asked again. Pure, as the rules are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from groupline.numbers.rules import SessionFacts

_CONNECTING_FIRST: Final = timedelta(seconds=2)
_CONNECTING_LATER: Final = timedelta(seconds=10)
_SOMEBODY_WATCHES: Final = timedelta(minutes=2)
_AFTER_DOUBT: Final = timedelta(seconds=3)
_BACK_SOON: Final = timedelta(hours=1)
_BACK_LATER: Final = timedelta(days=1)
_BACK_AT_ALL: Final = timedelta(days=14)


def next_look(
    facts: SessionFacts, disconnected_at: datetime | None, now: datetime, period: timedelta
) -> timedelta | None:
    """How long until the gateway is asked again; None: never.

    A pairing that the gateway ended may come back by itself, so it is asked about for a while.
    """
    if facts.is_pairing:
        young = now - facts.pairing_started_at < _SOMEBODY_WATCHES
        return _CONNECTING_FIRST if young else _CONNECTING_LATER
    if facts.status == "connected":
        return period if facts.doubted_at is None else min(_AFTER_DOUBT, period)
    if facts.ended_for_good or not facts.number_known or disconnected_at is None:
        return None
    return _until_asked_about_the_past(now - disconnected_at, period)


def _until_asked_about_the_past(ago: timedelta, period: timedelta) -> timedelta | None:
    if ago < _BACK_SOON:
        return period
    if ago < _BACK_LATER:
        return period * 5
    return period * 15 if ago < _BACK_AT_ALL else None


def with_jitter(pause: timedelta, roll: float) -> timedelta:
    """Up to a fifth shorter, never longer: a recovery shows within one period."""
    return pause * (1.0 - 0.2 * roll)


def next_logout(requested_at: datetime, now: datetime) -> timedelta:
    """Retried until confirmed, ever more rarely."""
    shortest, longest = timedelta(seconds=10), timedelta(hours=1)
    return min(max((now - requested_at) / 2, shortest), longest)
