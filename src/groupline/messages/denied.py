"""Rejections by WhatsApp that change no state: what they are about has ended, or has arrived."""

from datetime import datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import MESSAGES, MessageRow, tell
from groupline.messages.words import REJECTED_ALTHOUGH_RECEIVED, REJECTED_LATER
from groupline.models import InboundOutcome, JournalEntry

_AFTER_A_FAILURE: Final = frozenset({"pending", "cancelled", "expired"})
"""What a failed message may have become under the id of the attempt that failed."""
_OVERRULED: Final = "message.rejection_overruled"


async def deny(
    session: AsyncSession,
    row: MessageRow,
    message_id: str | None,
    *,
    words: str | None,
    now: datetime,
) -> InboundOutcome:
    """A rejection of what has ended already, or waits for its next attempt because the gateway
    said so when it was asked. That it was denied is kept: a late "sent" of it is no evidence."""
    if row.status == "sent" and row.facts().was_received:
        return await _tell_overruled(session, row, words, now)
    if row.status == "failed":
        return "repeated"
    if row.status == "pending" and await was_rejected(session, row, message_id):
        return "repeated"
    if row.status != "pending" or row.started_at is None or message_id is None:
        return "outdated"
    await session.execute(
        update(MESSAGES)
        .where(MESSAGES.c.id == row.id)
        .values(
            gateway_message_id=message_id,
            error_code=rules.REJECTED_LATER_CODE,
            error_message=REJECTED_LATER,
        )
    )
    await tell(session, [(row.organization_id, row.id)])
    return "applied"


async def was_rejected(session: AsyncSession, row: MessageRow, message_id: str | None) -> bool:
    """Whether WhatsApp has rejected what the row names, under this very id.

    A failed one says so itself; of what became of it since, its story knows.
    """
    if message_id is None or row.message_id != message_id:
        return False
    if row.facts().was_rejected:
        return True
    if row.status not in _AFTER_A_FAILURE:
        return False  # as most are: then nothing is looked for in the journal
    entry = JournalEntry
    failures = await session.scalars(
        select(entry.data).where(
            entry.organization_id == row.organization_id,
            entry.subject_id == row.id,
            entry.action == "message.failed",
        )
    )
    told = (rules.REJECTED_LATER_CODE, message_id)
    return any((each.get("reason"), each.get("gatewayMessageId")) == told for each in failures)


async def _tell_overruled(
    session: AsyncSession, row: MessageRow, words: str | None, now: datetime
) -> InboundOutcome:
    """Somebody has received it, which is the stronger word. Its story tells the other one, once."""
    entry = JournalEntry
    told = select(entry.position).where(
        entry.organization_id == row.organization_id,
        entry.subject_id == row.id,
        entry.action == _OVERRULED,
    )
    if await session.scalar(told.limit(1)) is not None:
        return "repeated"
    facts = {
        "status": row.status,
        "by": "message_error",
        "sentence": REJECTED_ALTHOUGH_RECEIVED,
        "upstream": words,
    }
    await journal.record(
        session,
        action=_OVERRULED,
        actor=SYSTEM,
        organization_id=row.organization_id,
        subject="message",
        subject_id=row.id,
        data={name: value for name, value in facts.items() if value is not None},
        at=now,
    )
    await tell(session, [(row.organization_id, row.id)])
    return "applied"
