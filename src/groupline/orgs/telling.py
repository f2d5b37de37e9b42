"""Every change to people is in the journal, and open pages hear of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.journal import Actor, record


async def tell(
    session: AsyncSession,
    *,
    action: str,
    actor: Actor,
    organization_id: UUID,
    subject: str,
    subject_id: UUID,
    data: dict[str, Any],
    now: datetime,
) -> None:
    """Into the journal, and to the open pages of the organization."""
    await record(
        session,
        action=action,
        actor=actor,
        organization_id=organization_id,
        subject=subject,
        subject_id=subject_id,
        data=data,
        at=now,
    )
    await announce(session, "organization", organization_id=organization_id, subject_id=subject_id)
