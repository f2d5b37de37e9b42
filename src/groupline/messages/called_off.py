"""Messages whose campaign has been cancelled: they wait for nobody, and are not sent again."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import is_among
from groupline.errors import Conflict
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES, Step, fetch, for_change, write
from groupline.messages.rules import Trouble, cancelled
from groupline.models import MessageStatus, NotificationCampaign

_WHY: Final = "Its campaign was cancelled, so this message is not sent again."
_WRITE_ANEW: Final = "Duplicate the campaign, or write a new message to the group."
_HINTS: Final[Mapping[MessageStatus, str]] = {
    "failed": _WRITE_ANEW,
    "expired": _WRITE_ANEW,
    "uncertain": "Look into the group, then choose “It arrived” or “It did not arrive”.",
}
NOT_SENT_AGAIN: Final = "campaign_cancelled"
"""The reason in the journal of what was called off because it did not arrive."""


def is_called_off() -> ColumnElement[bool]:
    return exists().where(
        NotificationCampaign.id == MESSAGES.c.campaign_id,
        NotificationCampaign.status == "cancelled",
    )


async def call_off(
    session: AsyncSession,
    organization_id: UUID,
    message_ids: Iterable[UUID],
    *,
    actor: Actor,
    now: datetime,
) -> int:
    """Pending messages that would only wait for their campaign to call them off; says how many."""
    waiting = for_change().where(
        MESSAGES.c.organization_id == organization_id,
        is_among(session, MESSAGES.c.id, message_ids),
        MESSAGES.c.status == "pending",
        is_called_off(),
    )
    rows = await fetch(session, waiting)
    steps = [Step(row, replace(cancelled(row.facts()), trouble=_NOT_ARRIVED)) for row in rows]
    await write(session, steps, actor=actor, now=now)
    return len(rows)


_NOT_ARRIVED: Final = Trouble(
    NOT_SENT_AGAIN,
    "It did not arrive. Its campaign was cancelled, so it is not sent again.",
)


async def refuse_called_off(
    session: AsyncSession,
    organization_id: UUID,
    message_ids: Iterable[UUID],
    *,
    statuses: Iterable[MessageStatus] = ("failed", "expired"),
) -> None:
    """Raises ``Conflict`` when one of the messages could only be called off again."""
    statement = select(MESSAGES.c.status).where(
        MESSAGES.c.organization_id == organization_id,
        is_among(session, MESSAGES.c.id, message_ids),
        MESSAGES.c.status.in_(statuses),
        is_called_off(),
    )
    status = await session.scalar(statement.limit(1))
    if status is not None:
        raise Conflict(_WHY, hint=_HINTS[status], state=status)
