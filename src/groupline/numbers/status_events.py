"""What a status webhook says is applied as every other reading is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.gateways.drivers import groupline_session
from groupline.numbers import queries
from groupline.numbers.readings import Word, apply_reading
from groupline.numbers.rules import Hint, Outdated
from groupline.settings import DEFAULT_PACE_SECONDS


async def apply_status_event(
    session: AsyncSession,
    *,
    gateway_id: UUID,
    gateway_session_id: str,
    status_word: str,
    phone: str | None,
    at: datetime,
    now: datetime,
    is_dated: bool = True,
    reason: str | None = None,
    detail: str | None = None,
    restriction: object = None,
    knows_restrictions: bool = False,
    pace_seconds: float = DEFAULT_PACE_SECONDS,
) -> Literal["applied", "outdated", "unmatched", "ambiguous", "invalid"]:
    """Unmatched: no session of that name is known (yet). Ambiguous: it does not say when, so
    the gateway is asked.

    The gateway's clock may be wrong: an event is never newer than its arrival.
    """
    row = await queries.session_by_gateway_id(session, gateway_id, gateway_session_id)
    if row is None:
        return "unmatched"
    said = {"status": status_word, "phoneNumber": phone, "reason": reason, "detail": detail}
    reading = groupline_session.reading({**said, "restriction": restriction})
    if reading is None:
        return "invalid"
    word = Word(
        reading,
        min(at, now),
        now,
        is_dated,
        "webhook",
        knows_restrictions=knows_restrictions,
        pace_seconds=pace_seconds,
    )
    applied = await apply_reading(session, row.organization_id, row.id, word)
    match applied.decision:
        case Outdated():
            return "outdated"
        case Hint():
            return "ambiguous"
        case _:
            return "applied"
