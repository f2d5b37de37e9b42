"""Messages whose campaign has been cancelled: they wait for nobody, and are not sent again."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import is_among
from groupline.errors import Conflict
from groupline.messages.changes import MESSAGES
from groupline.models import NotificationCampaign

_WHY: Final = "Its campaign was cancelled, so this message is not sent again."
_HINT: Final = "Duplicate the campaign, or write a new message to the group."


def is_called_off() -> ColumnElement[bool]:
    return exists().where(
        NotificationCampaign.id == MESSAGES.c.campaign_id,
        NotificationCampaign.status == "cancelled",
    )


async def refuse_called_off(
    session: AsyncSession, organization_id: UUID, message_ids: Iterable[UUID]
) -> None:
    """Raises ``Conflict`` when one of the messages could only be called off again."""
    statement = select(MESSAGES.c.status).where(
        MESSAGES.c.organization_id == organization_id,
        is_among(session, MESSAGES.c.id, message_ids),
        MESSAGES.c.status.in_(("failed", "expired")),
        is_called_off(),
    )
    status = await session.scalar(statement.limit(1))
    if status is not None:
        raise Conflict(_WHY, hint=_HINT, state=status)
