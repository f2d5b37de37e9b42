"""What a form about an event offers to choose from."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.imports import GroupBook, Known, KnownGroup
from groupline.models import Sequence as MessageSequence
from groupline.models import (
    SequenceStep,
    Template,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
)


async def sequence_choices(session: AsyncSession, organization_id: UUID) -> list[tuple[UUID, str]]:
    """The sequences with how many steps they have, by name."""
    steps = (
        select(func.count())
        .where(
            SequenceStep.organization_id == organization_id,
            SequenceStep.sequence_id == MessageSequence.id,
            SequenceStep.removed_at.is_(None),
        )
        .scalar_subquery()
    )
    statement = (
        select(MessageSequence.id, MessageSequence.name, steps.label("steps"))
        .where(
            MessageSequence.organization_id == organization_id,
            MessageSequence.removed_at.is_(None),
        )
        .order_by(func.lower(MessageSequence.name), MessageSequence.id)
    )
    return [
        (row.id, f"{row.name} ({'1 step' if row.steps == 1 else f'{row.steps} steps'})")
        for row in await session.execute(statement)
    ]


async def template_choices(session: AsyncSession, organization_id: UUID) -> list[tuple[UUID, str]]:
    statement = (
        select(Template.id, Template.name)
        .where(Template.organization_id == organization_id, Template.removed_at.is_(None))
        .order_by(func.lower(Template.name), Template.id)
    )
    return [(row.id, row.name) for row in await session.execute(statement)]


async def group_book(session: AsyncSession, organization_id: UUID) -> GroupBook:
    """The groups that the lines of a table can name."""
    groups = await session.execute(
        select(WhatsappGroup.id, WhatsappGroup.group_jid, WhatsappGroup.group_name).where(
            WhatsappGroup.organization_id == organization_id,
            WhatsappGroup.is_community.is_(False),
        )
    )
    return GroupBook([KnownGroup(*row) for row in groups])


async def known_to_imports(session: AsyncSession, organization_id: UUID, timezone: str) -> Known:
    """What the lines of a table can refer to by name."""
    numbers = await session.execute(
        select(WhatsappNumber.phone_number, WhatsappNumber.id).where(
            WhatsappNumber.organization_id == organization_id
        )
    )
    sequences = await session.execute(
        select(func.lower(MessageSequence.name).label("name"), MessageSequence.id).where(
            MessageSequence.organization_id == organization_id,
            MessageSequence.removed_at.is_(None),
        )
    )
    memberships = await session.execute(
        select(WhatsappMembership.number_id, WhatsappMembership.group_id).where(
            WhatsappMembership.organization_id == organization_id,
            WhatsappMembership.is_active,
        )
    )
    members: dict[UUID, set[UUID]] = {}
    for row in memberships:
        members.setdefault(row.number_id, set()).add(row.group_id)
    return Known(
        numbers={row.phone_number: row.id for row in numbers},
        sequences={row.name: row.id for row in sequences},
        groups=await group_book(session, organization_id),
        timezone=timezone,
        members=members,
    )
