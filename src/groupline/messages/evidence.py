"""Evidence that a message arrived: it counts whenever it comes."""

from datetime import datetime

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import MESSAGES, MessageRow, Step, write


async def store_evidence(
    session: AsyncSession, row: MessageRow, message_id: str, *, by: str, now: datetime
) -> bool:
    """Makes a message that is not being sent now ``sent``. False: that was known."""
    change = rules.after_evidence(row.facts(), message_id)
    if change is None:
        return False
    if row.status == "cancelled" and await _was_replaced(session, row):
        if row.message_id == message_id:
            return False
        change = rules.arrived_although_replaced(row.facts(), message_id)
    await write(session, [Step(row, change, {"by": by})], actor=SYSTEM, now=now)
    return True


async def _was_replaced(session: AsyncSession, row: MessageRow) -> bool:
    """Another message is there for the same step, or campaign, and group: of these there is one."""
    own, other = MESSAGES.alias("own"), MESSAGES.alias("other")
    same = or_(
        other.c.campaign_id == own.c.campaign_id,
        and_(other.c.event_id == own.c.event_id, other.c.step_id == own.c.step_id),
    )
    statement = select(
        exists()
        .where(own.c.id == row.id, other.c.id != own.c.id, other.c.status != "cancelled")
        .where(other.c.organization_id == row.organization_id)
        .where(other.c.group_id == own.c.group_id, same)
    )
    return bool(await session.scalar(statement))
