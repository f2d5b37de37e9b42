"""Messages that a person sends again: a campaign that had ended goes on with them, at once.

Its end is not left to the loop here: a page would say until then that it is over, and its delay
between messages would not be waited for.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import queries
from groupline.campaigns.settle import settle_all
from groupline.journal import Actor
from groupline.messages import bulk, service
from groupline.messages.bulk import BulkAction, Decided, Selection
from groupline.messages.changes import MESSAGES
from groupline.models import NotificationCampaign


async def send_again(
    session: AsyncSession, organization_id: UUID, message_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """A new attempt of a message that failed or expired."""
    wanted = select(MESSAGES.c.id).where(
        MESSAGES.c.organization_id == organization_id, MESSAGES.c.id == message_id
    )
    ended = await queries.lock_ended_of(session, organization_id, wanted)
    await service.send_again(session, organization_id, message_id, actor=actor, now=now)
    await settle_all(session, organization_id, ended, now=now)


async def decide(
    session: AsyncSession,
    organization_id: UUID,
    action: BulkAction,
    selection: Selection,
    *,
    actor: Actor,
    now: datetime,
    at_most: int | None = None,
) -> Decided:
    """One decision about many messages."""
    ended: Sequence[NotificationCampaign] = ()
    if action == "send_again":  # nothing else makes a message of an ended campaign wait again
        wanted = bulk.first_of(organization_id, action, selection, now=now)
        ended = await queries.lock_ended_of(session, organization_id, wanted)
    decided = await bulk.decide(
        session, organization_id, action, selection, actor=actor, now=now, at_most=at_most
    )
    await settle_all(session, organization_id, ended, now=now)
    return decided
