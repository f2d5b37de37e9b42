"""Evidence that a message left: it counts whenever it comes."""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import MESSAGES, MessageRow, Step, fetch, for_change, write
from groupline.messages.denied import was_rejected

Proof = Literal["callback", "late_answer", "receipt"]


async def store_evidence(
    session: AsyncSession, row: MessageRow, message_id: str, *, by: Proof, now: datetime
) -> bool:
    """Makes a message that is not being sent now ``sent``. False: that was known, or is denied."""
    rejected = await was_rejected(session, row, message_id)
    facts = replace(row.facts(), was_rejected=rejected)
    change = rules.after_evidence(facts, message_id, received=by == "receipt")
    if change is None:
        return False
    if row.status == "cancelled":
        replacement = await _replacement(session, row)
        if replacement is not None and not await _called_off(session, row, replacement, now):
            if row.message_id == message_id:
                return False
            change = rules.arrived_although_replaced(row.facts(), message_id)
    await write(session, [Step(row, change, {"by": by})], actor=SYSTEM, now=now)
    return True


async def _replacement(session: AsyncSession, row: MessageRow) -> MessageRow | None:
    """The message for the same step, or campaign, and group: of these there is one."""
    own = MESSAGES.alias("own")
    same = or_(
        MESSAGES.c.campaign_id == own.c.campaign_id,
        and_(MESSAGES.c.event_id == own.c.event_id, MESSAGES.c.step_id == own.c.step_id),
    )
    found = await fetch(
        session,
        for_change()
        .where(own.c.id == row.id, MESSAGES.c.id != own.c.id, MESSAGES.c.status != "cancelled")
        .where(MESSAGES.c.organization_id == row.organization_id)
        .where(MESSAGES.c.group_id == own.c.group_id, same),
    )
    return found[0] if found else None


async def _called_off(
    session: AsyncSession, row: MessageRow, replacement: MessageRow, now: datetime
) -> bool:
    """Whether the replacement, which says the same and has not left, was called off.

    One with another text is a correction: it goes out, although the first one arrived.
    """
    change = rules.superseded(replacement.facts())
    if change is None or not await _say_the_same(session, row, replacement):
        return False
    step = Step(replacement, change, {"by": "system", "arrived": str(row.id)})
    await write(session, [step], actor=SYSTEM, now=now)
    return True


async def _say_the_same(session: AsyncSession, one: MessageRow, other: MessageRow) -> bool:
    statement = (
        select(MESSAGES.c.content, MESSAGES.c.media_url)
        .where(MESSAGES.c.id.in_((one.id, other.id)))
        .distinct()
    )
    return len((await session.execute(statement)).all()) == 1
