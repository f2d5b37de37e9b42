"""The journal and the open pages hear of every change of an event."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.journal import Actor


async def tell(
    session: AsyncSession,
    action: str,
    *,
    organization_id: UUID,
    event_id: UUID,
    data: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> None:
    await journal.record(
        session,
        action=action,
        actor=actor,
        organization_id=organization_id,
        subject="event",
        subject_id=event_id,
        data=data,
        at=now,
    )
    await announce(session, "events", organization_id=organization_id, subject_id=event_id)


def in_words(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"
