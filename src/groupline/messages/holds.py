"""Stopping the lane of a number: it waits, and says why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.messages.changes import MessageRow, Step
from groupline.messages.rules import Hold
from groupline.models import WhatsappNumber
from groupline.numbers.account import GATEWAY, note_refused_send
from groupline.numbers.queries import ask_about

NUMBERS: Final[Table] = WhatsappNumber.__table__  # type: ignore[assignment]
_ASKED_ABOUT: Final = ("not_connected", "restricted")
"""The gateway's status may say more: that the session has ended, until when it is restricted."""


async def hold_lanes(session: AsyncSession, steps: Sequence[Step], now: datetime) -> None:
    for step in sorted(steps, key=lambda each: each.row.number_id):
        hold = step.change.hold
        if hold is None:
            continue
        await _hold_lane(session, step.row, hold, now)
        if hold.reason in _ASKED_ABOUT:
            await _ask_verifier(session, step.row, now)


async def _hold_lane(session: AsyncSession, row: MessageRow, hold: Hold, now: datetime) -> None:
    if hold.reason == "restricted":
        await note_refused_send(
            session, row.organization_id, row.number_id, next_try=hold.until, actor=GATEWAY, now=now
        )
        return
    values: dict[str, Any] = {
        "lane_free_at": hold.until,
        "lane_hold_reason": hold.reason,
        "last_send_at": now,
    }
    await session.execute(update(NUMBERS).where(NUMBERS.c.id == row.number_id).values(**values))
    await announce(
        session, "numbers", organization_id=row.organization_id, subject_id=row.number_id
    )


async def _ask_verifier(session: AsyncSession, row: MessageRow, now: datetime) -> None:
    """What such a send says is as good as a reading: the gateway is asked again at once."""
    if row.session_id is not None:
        await ask_about(session, row.organization_id, row.session_id, now)
    await announce(
        session, "sessions", organization_id=row.organization_id, subject_id=row.session_id
    )
