"""What the journal tells of numbers: connections that come and go, and restrictions.

Whoever finds out (a webhook, a poll, the sweeper, a failed send, a person) has it written here, so
that each change is told once, and with what it means for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.gateways.outcomes import Restriction
from groupline.journal import Actor
from groupline.models import WhatsappNumber, WhatsappSession
from groupline.numbers import queries
from groupline.numbers.impact import impact_of
from groupline.numbers.restrictions import RESTRICTED, named_end

GATEWAY: Final = Actor("gateway", "Gateway")
_BANNED: Final = "banned"
_THE_SAME_AGAIN: Final = timedelta(hours=1)
"""Where nobody names its end, a restriction is tried again and again: that is no news each time."""


async def record_end(
    session: AsyncSession,
    row: WhatsappSession,
    *,
    was_connected: bool,
    actor: Actor,
    now: datetime,
) -> None:
    """The account of an end: the number's, and the journal's with what it means for people."""
    number_id = row.number_id
    data: dict[str, object] = {"reason": row.ended_reason, "detail": row.last_error}
    if row.obstacle is not None:
        data["obstacle"] = row.obstacle
    if was_connected and number_id is not None:
        await queries.note_disconnected(session, row)
        impact = await impact_of(session, row.organization_id, number_id, now)
        data |= {"sessionId": str(row.id), "source": row.status_source, **impact.as_json()}
    await journal.record(
        session,
        action="number.disconnected" if was_connected else "session.ended",
        actor=actor,
        organization_id=row.organization_id,
        subject="number" if was_connected else "session",
        subject_id=number_id if was_connected else row.id,
        data=data,
        at=now,
    )


async def record_of_number(
    session: AsyncSession,
    number: WhatsappNumber,
    action: str,
    data: Mapping[str, object],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    await journal.record(
        session,
        action=action,
        actor=actor,
        organization_id=number.organization_id,
        subject="number",
        subject_id=number.id,
        data=data,
        at=now,
    )


async def note_restriction(
    session: AsyncSession,
    number: WhatsappNumber,
    restriction: Restriction | None,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Stores what WhatsApp holds against the number; told when it begins and when it is lifted."""
    reason = restriction.reason if restriction else None
    until = restriction.until if restriction else None
    if (reason, until) == (number.restriction, number.restricted_until):
        return
    await session.refresh(number, with_for_update=True)  # a failed send may tell it just now
    if _proves_nothing(number, restriction, now):
        return
    news = _news(number, reason, until, now)
    number.restriction, number.restricted_until = reason, until
    _hold_no_longer(number, now)
    await _tell(session, number, news, reason, until, actor=actor, now=now)


async def note_refused_send(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID,
    *,
    next_try: datetime,
    actor: Actor,
    now: datetime,
) -> None:
    """A send was refused for a restriction: the lane waits for its next try. An end that WhatsApp
    has named holds the number by itself, and for as long as that."""
    number = await queries.get_number(session, organization_id, number_id)
    await session.refresh(number, with_for_update=True)
    until = _named_end(number)
    was_known, news = number.restriction is not None, None
    number.last_send_at = now
    if was_known and until is not None and until > now:
        number.lane_hold_reason, number.lane_free_at = None, _paced(number, now)
    else:
        number.lane_hold_reason, number.lane_free_at = RESTRICTED, next_try
        if not was_known or number.restricted_until is not None:  # else it is told of, endless
            news = _news(number, RESTRICTED, next_try, now)
            number.restriction, number.restricted_until = RESTRICTED, next_try
    await _tell(session, number, news, RESTRICTED, None, actor=actor, now=now)


async def _tell(
    session: AsyncSession,
    number: WhatsappNumber,
    news: str | None,
    reason: str | None,
    until: datetime | None,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    await session.flush()
    if news is not None:
        data = {"restriction": reason, "until": None if until is None else until.isoformat()}
        await record_of_number(session, number, news, data, actor=actor, now=now)
    await announce(session, "numbers", organization_id=number.organization_id, subject_id=number.id)


def _proves_nothing(number: WhatsappNumber, restriction: Restriction | None, now: datetime) -> bool:
    """While the lane waits after a refused send, that send is the better witness: against an end
    that is past, and against a status that has never had the restriction at all."""
    free_at = number.lane_free_at
    if number.lane_hold_reason != RESTRICTED or free_at is None or free_at <= now:
        return False
    if restriction is None:
        return number.restricted_until is not None and _named_end(number) is None
    return restriction.until is not None and restriction.until <= now


def _hold_no_longer(number: WhatsappNumber, now: datetime) -> None:
    """A refused send does not say for how long: its lane waits for its next try. Once an end is
    known, that end holds the number, and the lane keeps its pace alone."""
    is_endless = number.restriction is not None and number.restricted_until is None
    if number.lane_hold_reason != RESTRICTED or is_endless:
        return
    number.lane_hold_reason, number.lane_free_at = None, _paced(number, now)


def _paced(number: WhatsappNumber, now: datetime) -> datetime:
    paced = (number.last_send_at or now) + timedelta(seconds=number.pace_seconds)
    return max(now, paced)


def _named_end(number: WhatsappNumber) -> datetime | None:
    return named_end(number.restricted_until, number.lane_hold_reason, number.lane_free_at)


def _news(
    number: WhatsappNumber, restriction: str | None, until: datetime | None, now: datetime
) -> str | None:
    """One that ran out long ago and is imposed again is new; a new end of the same one is not.

    Nor are other words for it: a send that is refused and the gateway's status name it each in
    their own. A ban is more than a restriction.
    """
    lately = now - _THE_SAME_AGAIN
    was_in_force = _in_force(number.restriction, number.restricted_until, lately)
    if _in_force(restriction, until, now):
        known = was_in_force and (number.restriction == _BANNED) == (restriction == _BANNED)
        return None if known else "number.restricted"
    lifted = restriction is None and number.restriction is not None
    return "number.unrestricted" if lifted else None


def _in_force(restriction: str | None, until: datetime | None, now: datetime) -> bool:
    return restriction is not None and (until is None or until > now)


async def restrict_number(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID,
    restriction: Restriction,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """For a restriction that the end of a session tells of."""
    number = await queries.get_number(session, organization_id, number_id)
    await note_restriction(session, number, restriction, actor=actor, now=now)
