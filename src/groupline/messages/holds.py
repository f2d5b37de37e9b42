"""Stopping the lane of a number: it waits, and says why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.messages.changes import MessageRow, Step
from groupline.messages.rules import Hold
from groupline.models import WhatsappNumber, WhatsappSession

NUMBERS: Final[Table] = WhatsappNumber.__table__  # type: ignore[assignment]


async def hold_lanes(session: AsyncSession, steps: Sequence[Step], now: datetime) -> None:
    for step in sorted(steps, key=lambda each: each.row.number_id):
        hold = step.change.hold
        if hold is None:
            continue
        await _hold_lane(session, step.row, hold, now)
        if hold.reason == "not_connected":
            await _ask_verifier(session, step.row, now)


async def _hold_lane(session: AsyncSession, row: MessageRow, hold: Hold, now: datetime) -> None:
    values: dict[str, Any] = {
        "lane_free_at": hold.until,
        "lane_hold_reason": hold.reason,
        "last_send_at": now,
    }
    if hold.reason == "restricted":
        values |= {"restriction": hold.detail, "restricted_until": hold.until}
    await session.execute(update(NUMBERS).where(NUMBERS.c.id == row.number_id).values(**values))
    await announce(
        session, "numbers", organization_id=row.organization_id, subject_id=row.number_id
    )


async def _ask_verifier(session: AsyncSession, row: MessageRow, now: datetime) -> None:
    """A send that says "not connected" is a reading: the gateway is asked again at once."""
    await session.execute(
        update(WhatsappSession)
        .where(WhatsappSession.id == row.session_id, WhatsappSession.status == "connected")
        .values(next_verify_at=now)
    )
    await announce(
        session, "sessions", organization_id=row.organization_id, subject_id=row.session_id
    )
