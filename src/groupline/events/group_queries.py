"""All SQL that reads the groups of workshops and webinars."""

from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.schemas import EventGroupView
from groupline.groups.rules import GroupFacts, MembershipFacts, sentence_for_number, unsendable
from groupline.models import (
    EventGroup,
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappMembership,
)

message = ScheduledWhatsappMessage


async def group_names(
    session: AsyncSession, organization_id: UUID, event_id: UUID
) -> dict[UUID, str | None]:
    """The groups of an event, by name."""
    statement = (
        select(WhatsappGroup.id, WhatsappGroup.group_name)
        .join(
            EventGroup,
            and_(
                EventGroup.organization_id == WhatsappGroup.organization_id,
                EventGroup.group_id == WhatsappGroup.id,
            ),
        )
        .where(EventGroup.organization_id == organization_id, EventGroup.event_id == event_id)
        .order_by(WhatsappGroup.search_name, WhatsappGroup.id)
    )
    return {row.id: row.group_name for row in await session.execute(statement)}


async def event_groups(
    session: AsyncSession, organization_id: UUID, event_id: UUID, number_id: UUID | None
) -> list[EventGroupView]:
    """The groups of an event, by name, and why the number cannot write to some of them."""
    member = WhatsappMembership
    pending = (
        select(message.group_id, func.count().label("messages"))
        .where(
            message.organization_id == organization_id,
            message.event_id == event_id,
            message.status == "pending",
        )
        .group_by(message.group_id)
        .subquery()
    )
    statement = (
        select(
            WhatsappGroup.id,
            WhatsappGroup.group_name,
            WhatsappGroup.group_jid,
            WhatsappGroup.is_community,
            WhatsappGroup.is_community_announce,
            WhatsappGroup.announce_only,
            func.coalesce(member.is_active, False).label("is_member"),
            func.coalesce(member.is_admin, False).label("is_admin"),
            func.coalesce(pending.c.messages, 0).label("pending"),
        )
        .join(
            EventGroup,
            and_(
                EventGroup.organization_id == WhatsappGroup.organization_id,
                EventGroup.group_id == WhatsappGroup.id,
            ),
        )
        .outerjoin(
            member,
            and_(
                member.organization_id == WhatsappGroup.organization_id,
                member.group_id == WhatsappGroup.id,
                member.number_id == number_id,
            ),
        )
        .outerjoin(pending, pending.c.group_id == WhatsappGroup.id)
        .where(EventGroup.organization_id == organization_id, EventGroup.event_id == event_id)
        .order_by(WhatsappGroup.search_name, WhatsappGroup.id)
    )
    return [_event_group(row, number_id) for row in await session.execute(statement)]


def _event_group(row: Any, number_id: UUID | None) -> EventGroupView:
    facts = GroupFacts(row.is_community, row.is_community_announce, row.announce_only)
    member = MembershipFacts(is_active=bool(row.is_member), is_admin=bool(row.is_admin))
    reason = unsendable(facts, [member]) if number_id is not None else None
    return EventGroupView(
        id=row.id,
        name=row.group_name,
        jid=row.group_jid,
        pending=row.pending,
        refusal=None if reason is None else sentence_for_number(reason),
    )
