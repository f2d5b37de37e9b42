"""Who is signed in and where: what the frame around every page names."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import Organization, OrganizationMember, User
from groupline.orgs.rules import Principal


@dataclass(frozen=True, slots=True)
class FrameOrganization:
    id: UUID
    name: str
    slug: str
    current: bool

    @property
    def href(self) -> str:
        """Where the switcher posts to."""
        return f"/organizations/{self.slug}/enter"


@dataclass(frozen=True, slots=True)
class FrameUser:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Frame:
    organization: FrameOrganization
    organizations: tuple[FrameOrganization, ...]
    user: FrameUser
    role: str


async def load_frame(session: AsyncSession, principal: Principal) -> Frame:
    """One query: the user and every organization that they are a member of."""
    statement = (
        select(User.name, User.email, OrganizationMember.role, Organization)
        .join(OrganizationMember, OrganizationMember.user_id == User.id)
        .join(Organization, Organization.id == OrganizationMember.organization_id)
        .where(User.id == principal.user_id)
        .order_by(Organization.name)
    )
    rows = (await session.execute(statement)).all()
    organizations = tuple(
        FrameOrganization(
            row.Organization.id,
            row.Organization.name,
            row.Organization.slug,
            current=row.Organization.id == principal.organization_id,
        )
        for row in rows
    )
    here = next(row for row in rows if row.Organization.id == principal.organization_id)
    return Frame(
        organization=next(each for each in organizations if each.current),
        organizations=organizations,
        user=FrameUser(here.name or here.email, here.email),
        role=here.role,
    )
