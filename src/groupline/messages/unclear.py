"""Reports that may be about a message, and do not say so clearly.

Such a report decides nothing. It is told in the story of each message that it may be about, so that
whoever decides about one of them knows what the gateway said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import MESSAGES, MessageRow, tell
from groupline.messages.words import REPORT_UNCLEAR
from groupline.models import JournalEntry

Said = Literal["sent", "failed", "rejected", "delivered", "read"]

CANDIDATES: Final = 20
"""So many messages are told of one report at most, the oldest first."""
_ACTION: Final = "message.report_ambiguous"
_LONGEST_ID: Final = 500
_SAID: Final[dict[Said, str]] = {
    "sent": "The gateway reported that a message to this group was sent",
    "failed": "The gateway reported that a message to this group was not sent",
    "rejected": "The gateway reported that WhatsApp rejected a message",
    "delivered": "The gateway reported that somebody got a message",
    "read": "The gateway reported that somebody has read a message",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a report says, as far as stories tell it: never who has read something."""

    said: Said
    words: str | None
    message_id: str | None
    at: datetime | None


async def tell_candidates(
    session: AsyncSession, rows: Sequence[MessageRow], heard: Heard, now: datetime
) -> None:
    """Writes the report into the stories of the messages that it may be about.

    ``rows``, read by ``for_change`` in this transaction, are all of these; one more than
    ``CANDIDATES`` stands for any number. Of receipts each tells the first one of its kind: a group
    has a thousand readers, and a story is not a list of them.
    """
    told = rows[:CANDIDATES]
    if heard.said in ("delivered", "read"):
        known = await _know_already(session, told, heard)
        told = [row for row in told if row.id not in known]
    await journal.record_all(session, [_entry(row, heard, rows, now) for row in told])
    await session.execute(
        update(MESSAGES)
        .where(
            MESSAGES.c.id.in_([row.id for row in told]),
            MESSAGES.c.status == "uncertain",
            MESSAGES.c.error_code == rules.NO_CALLBACK_CODE,
        )
        .values(error_message=REPORT_UNCLEAR, updated_at=now)
    )
    await tell(session, [(row.organization_id, row.id) for row in told])


async def _know_already(
    session: AsyncSession, rows: Sequence[MessageRow], heard: Heard
) -> set[UUID | None]:
    """The messages whose stories say the same already."""
    entry = JournalEntry
    statement = select(entry.subject_id, entry.data).where(
        entry.organization_id.in_({row.organization_id for row in rows}),
        entry.subject_id.in_([row.id for row in rows]),
        entry.action == _ACTION,
    )
    named = heard.message_id and heard.message_id[:_LONGEST_ID]
    same = {"reported": heard.said, "reportedMessageId": named}
    found = await session.execute(statement)
    return {subject for subject, data in found if same.items() <= data.items()}


async def has_unclear_report(session: AsyncSession, row: MessageRow) -> bool:
    """Whether one came since this attempt began."""
    entry = JournalEntry
    conditions = [
        entry.organization_id == row.organization_id,
        entry.subject_id == row.id,
        entry.action == _ACTION,
    ]
    if row.started_at is not None:
        conditions.append(entry.at >= row.started_at)
    return await session.scalar(select(entry.position).where(*conditions).limit(1)) is not None


def sentence_of(said: Said, fits: int) -> str:
    if fits == 1:
        why = "It does not say when, and may be about an earlier attempt"
    elif fits > CANDIDATES:
        why = f"It fits more than {CANDIDATES} messages"
    else:
        why = f"It fits {fits} messages"
    return f"{_SAID[said]}. {why}, so it decides nothing about this one. Look into the group."


def _entry(
    row: MessageRow, heard: Heard, rows: Sequence[MessageRow], now: datetime
) -> journal.Entry:
    facts: dict[str, Any] = {
        "status": row.status,
        "reported": heard.said,
        "upstream": heard.words,
        "reportedAt": heard.at.isoformat() if heard.at else None,
        "reportedMessageId": heard.message_id and heard.message_id[:_LONGEST_ID],
        "fits": min(len(rows), CANDIDATES),
        "fitsMore": True if len(rows) > CANDIDATES else None,
        "sentence": sentence_of(heard.said, len(rows)),
    }
    return journal.Entry(
        action=_ACTION,
        actor=SYSTEM,
        organization_id=row.organization_id,
        subject="message",
        subject_id=row.id,
        at=now,
        data={name: value for name, value in facts.items() if value is not None},
    )
