"""What lists of messages can be narrowed to: all SQL for the choices that people have."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import Event, NotificationCampaign, WhatsappGroup


async def event_options(
    session: AsyncSession, organization_id: UUID, *, chosen: UUID | None, limit: int
) -> list[tuple[UUID, str]]:
    """The latest workshops and webinars, and the one that is chosen."""
    statement = select(Event.id, Event.title).where(Event.organization_id == organization_id)
    newest = (Event.starts_at.desc(), Event.id)
    first = [(Event.id == chosen).desc()] if chosen else []
    rows = await session.execute(statement.order_by(*first, *newest).limit(limit))
    return [(row.id, row.title) for row in rows]


async def campaign_options(
    session: AsyncSession, organization_id: UUID, *, chosen: UUID | None, limit: int
) -> list[tuple[UUID, str]]:
    """The latest campaigns, and the one that is chosen."""
    campaign = NotificationCampaign
    statement = select(campaign.id, campaign.name).where(
        campaign.organization_id == organization_id
    )
    newest = (campaign.created_at.desc(), campaign.id)
    first = [(campaign.id == chosen).desc()] if chosen else []
    rows = await session.execute(statement.order_by(*first, *newest).limit(limit))
    return [(row.id, row.name) for row in rows]


async def group_options(
    session: AsyncSession, organization_id: UUID, *, chosen: UUID | None
) -> list[tuple[UUID, str]]:
    """Only the one that is chosen: others are found by their names."""
    group = WhatsappGroup
    statement = select(group.id, func.coalesce(group.group_name, group.group_jid)).where(
        group.organization_id == organization_id, group.id == chosen
    )
    return [(row[0], row[1]) for row in await session.execute(statement)] if chosen else []
