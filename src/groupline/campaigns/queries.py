"""All SQL that reads campaigns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, and_, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns.rules import Counts, useful
from groupline.campaigns.schemas import (
    CampaignCursor,
    CampaignView,
)
from groupline.db import is_among
from groupline.errors import NotFound
from groupline.groups.queries import may_write
from groupline.models import (
    CampaignGroup,
    CampaignStatus,
    NotificationCampaign,
    Organization,
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
)

campaign, message, group, number = (
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappNumber,
)
CHOSEN: Final[Table] = CampaignGroup.__table__  # type: ignore[assignment]

# --- one campaign, for changing it ----------------------------------------------------------


async def get(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID
) -> NotificationCampaign:
    """The row, locked: who changes a campaign or settles it waits for whoever does."""
    statement = (
        select(campaign)
        .where(campaign.organization_id == organization_id, campaign.id == campaign_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    row = (await session.scalars(statement)).one_or_none()
    if row is None:
        raise NotFound("There is no such campaign.")
    return row


async def lock_ended_of(
    session: AsyncSession, organization_id: UUID, messages: Select[tuple[UUID]]
) -> Sequence[NotificationCampaign]:
    """The campaigns of these messages that have ended, locked by id. To be asked before the
    messages are locked, as by whoever changes a campaign: nobody then waits for each other."""
    theirs = select(message.campaign_id).where(message.id.in_(messages)).distinct()
    ids = [each for each in await session.scalars(theirs) if each is not None]
    statement = (
        select(campaign)
        .where(
            campaign.organization_id == organization_id,
            is_among(session, campaign.id, ids),
            campaign.finished_at.is_not(None),
            campaign.status != "cancelled",
        )
        .order_by(campaign.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(statement)).all()


async def get_row(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID
) -> NotificationCampaign:
    """The row as it is, for reading."""
    statement = select(campaign).where(
        campaign.organization_id == organization_id, campaign.id == campaign_id
    )
    row = (await session.scalars(statement)).one_or_none()
    if row is None:
        raise NotFound("There is no such campaign.")
    return row


async def organization_name(session: AsyncSession, organization_id: UUID) -> str:
    statement = select(Organization.name).where(Organization.id == organization_id)
    return (await session.execute(statement)).scalar_one()


async def chosen_groups(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID
) -> list[UUID]:
    """The groups of a draft."""
    statement = (
        select(CHOSEN.c.group_id)
        .where(CHOSEN.c.organization_id == organization_id, CHOSEN.c.campaign_id == campaign_id)
        .order_by(CHOSEN.c.id)
    )
    return list(await session.scalars(statement))


async def groups_of(session: AsyncSession, organization_id: UUID, campaign_id: UUID) -> list[UUID]:
    """To whom it goes: the groups of a draft, or of the messages that were not called off."""
    chosen = await chosen_groups(session, organization_id, campaign_id)
    if chosen:
        return chosen
    statement = (
        select(message.group_id)
        .where(
            message.organization_id == organization_id,
            message.campaign_id == campaign_id,
            message.status != "cancelled",
        )
        .order_by(message.id)
    )
    return list(await session.scalars(statement))


# --- counts ---------------------------------------------------------------------------------


async def counts_of(
    session: AsyncSession, organization_id: UUID, campaign_ids: Collection[UUID]
) -> dict[UUID, Counts]:
    """Of each campaign, also of those without messages."""
    statement = (
        select(message.campaign_id, message.status, func.count())
        .where(message.organization_id == organization_id, message.campaign_id.in_(campaign_ids))
        .group_by(message.campaign_id, message.status)
    )
    found: dict[UUID, dict[str, int]] = {each: {} for each in campaign_ids}
    for campaign_id, status, count in (await session.execute(statement)).all():
        assert campaign_id is not None
        found[campaign_id][status] = count
    return {each: Counts(**counts) for each, counts in found.items()}


async def _draft_groups(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, int]:
    if not ids:
        return {}
    statement = (
        select(CHOSEN.c.campaign_id, func.count())
        .where(CHOSEN.c.campaign_id.in_(ids))
        .group_by(CHOSEN.c.campaign_id)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


# --- views ----------------------------------------------------------------------------------

_OWN: Final = frozenset(column.key for column in campaign.__table__.columns)
_COLUMNS: Final = tuple(
    getattr(campaign, each.name) for each in fields(CampaignView) if each.name in _OWN
)


def _view() -> Select[Any]:
    return select(*_COLUMNS, number.phone_number, number.display_name.label("number_name")).join(
        number,
        and_(number.organization_id == campaign.organization_id, number.id == campaign.number_id),
    )


async def get_view(session: AsyncSession, organization_id: UUID, campaign_id: UUID) -> CampaignView:
    statement = _view().where(
        campaign.organization_id == organization_id, campaign.id == campaign_id
    )
    views = await _views(session, organization_id, (await session.execute(statement)).all())
    if not views:
        raise NotFound("There is no such campaign.")
    return views[0]


async def list_views(
    session: AsyncSession,
    organization_id: UUID,
    *,
    statuses: Collection[CampaignStatus] | None = None,
    query: str = "",
    after: CampaignCursor | None = None,
    limit: int,
) -> list[CampaignView]:
    """The newest first."""
    statement = _view().where(*_matching(organization_id, statuses, query))
    if after is not None:
        last = tuple_(
            literal(after.created_at, campaign.created_at.type),
            literal(after.id, campaign.id.type),
        )
        statement = statement.where(tuple_(campaign.created_at, campaign.id) < last)
    statement = statement.order_by(campaign.created_at.desc(), campaign.id.desc()).limit(limit)
    return await _views(session, organization_id, (await session.execute(statement)).all())


async def count_by_status(
    session: AsyncSession, organization_id: UUID, *, query: str = ""
) -> dict[CampaignStatus, int]:
    statement = (
        select(campaign.status, func.count())
        .where(*_matching(organization_id, None, query))
        .group_by(campaign.status)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


def _matching(
    organization_id: UUID, statuses: Collection[CampaignStatus] | None, query: str
) -> list[ColumnElement[bool]]:
    conditions = [campaign.organization_id == organization_id]
    if statuses is not None:
        conditions.append(campaign.status.in_(statuses))
    conditions += [campaign.name.icontains(word, autoescape=True) for word in query.split()]
    return conditions


async def _views(
    session: AsyncSession, organization_id: UUID, rows: Sequence[Any]
) -> list[CampaignView]:
    sent = {row.id for row in rows if row.status != "draft"}
    counts = await counts_of(session, organization_id, sent) if sent else {}
    drafts = await _draft_groups(session, {row.id for row in rows} - sent)
    return [
        CampaignView(
            **row._mapping,
            counts=counts.get(row.id, Counts()),
            draft_groups=drafts.get(row.id, 0),
            actions=tuple(sorted(useful(row.status, counts.get(row.id, Counts())))),
        )
        for row in rows
    ]


# --- how fast, and what else there is to do -------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """What the time that a campaign takes depends on, besides itself."""

    pace_seconds: float
    free_at: datetime | None
    restricted_until: datetime | None


async def lane_facts(session: AsyncSession, organization_id: UUID, number_id: UUID) -> LaneFacts:
    statement = select(number.pace_seconds, number.lane_free_at, number.restricted_until).where(
        number.organization_id == organization_id, number.id == number_id
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("There is no such number.")
    return LaneFacts(*row)


async def sent_since(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID, since: datetime
) -> int:
    statement = select(func.count()).where(
        message.organization_id == organization_id,
        message.campaign_id == campaign_id,
        message.status == "sent",
        message.sent_at > since,
    )
    return (await session.execute(statement)).scalar_one()


async def others_of(
    session: AsyncSession,
    number_id: UUID,
    *,
    campaign_id: UUID,
    begin: datetime,
    end: datetime,
) -> tuple[int, int]:
    """Messages of the number besides the campaign: those due until it begins, and then until its
    end."""
    held = select(campaign.id).where(campaign.status.in_(("paused", "cancelled")))
    statement = select(
        func.count().filter(message.scheduled_for <= begin),
        func.count().filter(message.scheduled_for > begin),
    ).where(
        message.number_id == number_id,
        message.status == "pending",
        message.scheduled_for <= end,
        or_(
            message.campaign_id.is_(None),
            and_(message.campaign_id != campaign_id, message.campaign_id.not_in(held)),
        ),
    )
    row = (await session.execute(statement)).one()
    return row[0], row[1]


async def soonest_expiry(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID
) -> datetime | None:
    """When the first of what is pending expires."""
    statement = select(func.min(message.expires_at)).where(
        message.organization_id == organization_id,
        message.campaign_id == campaign_id,
        message.status == "pending",
    )
    return (await session.execute(statement)).scalar_one()


async def groups_of_messages(
    session: AsyncSession, organization_id: UUID, ids: Sequence[UUID]
) -> dict[UUID, UUID]:
    """The group of each message."""
    statement = select(message.id, message.group_id).where(
        message.organization_id == organization_id, message.id.in_(ids)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}


async def writable_by_number(
    session: AsyncSession, organization_id: UUID, group_ids: Sequence[UUID]
) -> dict[UUID, int]:
    """To how many of the groups each number can write."""
    member = WhatsappMembership
    statement = (
        select(member.number_id, func.count())
        .join(group, group.id == member.group_id)
        .where(
            member.organization_id == organization_id,
            member.group_id.in_(group_ids),
            group.is_community.is_(False),
            *may_write(),
        )
        .group_by(member.number_id)
    )
    return {row[0]: row[1] for row in await session.execute(statement)}
