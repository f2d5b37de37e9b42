"""A number of the cast's organization and its groups, without a gateway behind it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.cast import Cast
from tests.support.clock import NOW
from tests.support.factories import (
    make_group,
    make_membership,
    make_message,
    make_number,
    make_session,
)

from groupline.models import WhatsappSession


@dataclass(frozen=True, slots=True)
class Desk:
    """What a person of the organization finds: four groups, of which two can be written to."""

    organization_id: UUID
    number_id: UUID
    session_id: UUID
    groups: tuple[UUID, UUID]
    community: UUID
    not_in: UUID
    admins_only: UUID
    foreign_number: UUID
    foreign_group: UUID
    foreign_message: UUID


async def make_desk(session: AsyncSession, cast: Cast) -> Desk:
    inside, outside = cast.organization_id, cast.outside_organization_id
    number = await make_number(session, organization_id=inside, phone_number="919876543210")
    pairing: WhatsappSession = await make_session(
        session, organization_id=inside, number_id=number.id
    )

    async def group(name: str, *, member: bool = True, **facts: Any) -> UUID:
        row = await make_group(session, organization_id=inside, group_name=name, **facts)
        if member:
            await make_membership(
                session, organization_id=inside, number_id=number.id, group_id=row.id
            )
        return row.id

    foreign = await make_message(session, organization_id=outside, status="failed")
    return Desk(
        organization_id=inside,
        number_id=number.id,
        session_id=pairing.id,
        groups=(await group("Pottery"), await group("Yoga <b>")),
        community=await group("Community", is_community=True),
        not_in=await group("Strangers", member=False),
        admins_only=await group("News", announce_only=True),
        foreign_number=foreign.number_id,
        foreign_group=foreign.group_id,
        foreign_message=foreign.id,
    )


async def put_message(
    session: AsyncSession, desk: Desk, status: str, group: int = 0, **facts: Any
) -> UUID:
    defaults: dict[str, Any] = {
        "number_id": desk.number_id,
        "group_id": desk.groups[group],
        "expires_at": NOW + timedelta(hours=1),
    }
    made = await make_message(
        session, organization_id=desk.organization_id, status=status, **{**defaults, **facts}
    )
    return made.id
