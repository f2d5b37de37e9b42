"""Organizations and their members.

Every function works in the caller's transaction and takes the organization from the principal;
what belongs to another organization does not exist here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import Conflict, InvalidInput, NotFound
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import Organization, OrganizationMember, User
from groupline.orgs import queries
from groupline.orgs.links import make_password_link
from groupline.orgs.rules import (
    Principal,
    Role,
    check_member_change,
    check_owner_stays,
    check_slug,
    check_timezone,
    clean_email,
    clean_name,
    free_slug,
    slug_of,
)
from groupline.orgs.schemas import AddedMember, Member
from groupline.orgs.telling import tell
from groupline.orgs.tokens import lock_of

# Organizations


async def create_organization(
    session: AsyncSession,
    *,
    name: str,
    timezone: str = "UTC",
    slug: str | None = None,
    actor: Actor,
    now: datetime,
) -> Organization:
    """Without a slug one is made from the name; a slug that is given must be free."""
    name = clean_name(name)
    organization = Organization(
        id=new_id(),
        name=name,
        slug=await _slug_for(session, name, slug),
        timezone=check_timezone(timezone),
        created_at=now,
    )
    session.add(organization)
    await session.flush()
    await tell(
        session,
        action="organization.created",
        actor=actor,
        organization_id=organization.id,
        subject="organization",
        subject_id=organization.id,
        data={"name": name, "slug": organization.slug, "timezone": timezone},
        now=now,
    )
    return organization


_SLUG_LOCK = lock_of("organization slugs")


async def _slug_for(session: AsyncSession, name: str, slug: str | None) -> str:
    await queries.take_turn(session, _SLUG_LOCK)
    if slug is None:
        wanted = slug_of(name)
        return free_slug(wanted, await queries.slugs_like(session, wanted))
    if await queries.organization_by_slug(session, check_slug(slug)) is not None:
        raise InvalidInput(
            "This short name is taken.", fields={"slug": "is taken by another organization"}
        )
    return slug


async def organization_of(session: AsyncSession, principal: Principal) -> Organization:
    return await _organization(session, principal.organization_id)


async def _organization(session: AsyncSession, organization_id: UUID) -> Organization:
    organization = await queries.organization(session, organization_id)
    if organization is None:
        raise NotFound("There is no organization like this.")
    return organization


async def find_organization(session: AsyncSession, slug: str) -> Organization:
    """For the command line, which names organizations by their slug."""
    organization = await queries.organization_by_slug(session, slug)
    if organization is None:
        raise NotFound(f"There is no organization {slug!r}.", hint="`org add` makes one.")
    return organization


async def change_organization(
    session: AsyncSession,
    principal: Principal,
    *,
    name: str | None = None,
    slug: str | None = None,
    timezone: str | None = None,
    now: datetime,
) -> Organization:
    """What is ``None`` stays. What is already so changes nothing and is not told."""
    organization = await organization_of(session, principal)
    changes: dict[str, str] = {}
    if name is not None and clean_name(name) != organization.name:
        changes["name"] = clean_name(name)
    if slug is not None and slug != organization.slug:
        changes["slug"] = await _slug_for(session, organization.name, slug)
    if timezone is not None and check_timezone(timezone) != organization.timezone:
        changes["timezone"] = timezone
    if not changes:
        return organization
    before = {field: getattr(organization, field) for field in changes}
    for field, value in changes.items():
        setattr(organization, field, value)
    await session.flush()
    await tell(
        session,
        action="organization.changed",
        actor=principal.actor,
        organization_id=organization.id,
        subject="organization",
        subject_id=organization.id,
        data={"before": before, "after": changes},
        now=now,
    )
    return organization


# Members


def _member(row: queries.AnyRow) -> Member:
    return Member(
        user_id=row.user_id,
        email=row.email,
        name=row.name,
        role=Role(row.role),
        is_invited=row.is_invited,
        created_at=row.created_at,
    )


async def list_members(
    session: AsyncSession, principal: Principal, *, after: str | None = None, limit: int = 500
) -> Sequence[Member]:
    rows = await queries.members(session, principal.organization_id, after=after, limit=limit)
    return [_member(row) for row in rows]


async def find_member(session: AsyncSession, principal: Principal, user_id: UUID) -> Member:
    row = await queries.member(session, principal.organization_id, user_id)
    if row is None:
        raise NotFound("There is no member like this in the organization.")
    return _member(row)


async def add_member(
    session: AsyncSession,
    principal: Principal,
    *,
    email: str,
    role: Role,
    name: str | None = None,
    password_hash: str | None = None,
    now: datetime,
) -> AddedMember:
    """A person who is new to Groupline gets a one-time link to choose a password, or has one.

    Of a person who is known already nothing is changed.
    """
    check_member_change(principal.role, held=None, wanted=role)
    email = clean_email(email)
    await queries.take_turn(session, lock_of(f"email:{email}"))
    user = await queries.user_by_email(session, email)
    is_new = user is None
    if user is None:
        shown = clean_name(name) if name and name.strip() else email.partition("@")[0]
        user = await _add_user(session, email, shown, password_hash, now)
    elif await queries.member(session, principal.organization_id, user.id) is not None:
        raise Conflict(f"{email} is a member already.", state="member")
    await join(session, principal.organization_id, user.id, role, now=now)
    needs_link = is_new and password_hash is None
    token = await make_password_link(session, user.id, now=now) if needs_link else None
    member = await find_member(session, principal, user.id)
    await _tell_member(session, "member.added", principal, member, now, role=role)
    return AddedMember(member, token)


async def _add_user(
    session: AsyncSession, email: str, name: str, password_hash: str | None, now: datetime
) -> User:
    user = User(
        id=new_id(),
        email=email,
        name=name,
        password_hash=password_hash,
        is_instance_admin=False,
        created_at=now,
    )
    session.add(user)
    await session.flush()
    return user


async def join(
    session: AsyncSession, organization_id: UUID, user_id: UUID, role: Role, *, now: datetime
) -> None:
    session.add(
        OrganizationMember(
            organization_id=organization_id,
            user_id=user_id,
            role=role.value,
            created_at=now,
        )
    )
    await session.flush()


async def _tell_member(
    session: AsyncSession,
    action: str,
    principal: Principal,
    member: Member,
    now: datetime,
    **data: Any,
) -> None:
    await tell(
        session,
        action=action,
        actor=principal.actor,
        organization_id=principal.organization_id,
        subject="member",
        subject_id=member.user_id,
        data={"email": member.email, **data},
        now=now,
    )


async def change_role(
    session: AsyncSession, principal: Principal, user_id: UUID, role: Role, *, now: datetime
) -> Member:
    member = await _member_to_change(session, principal, user_id, wanted=role)
    if member.role is role:
        return member
    await queries.set_role(session, principal.organization_id, user_id, role)
    await _tell_member(
        session, "member.role_changed", principal, member, now, before=member.role, after=role
    )
    return await find_member(session, principal, user_id)


async def remove_member(
    session: AsyncSession, principal: Principal, user_id: UUID, *, now: datetime
) -> Member:
    """From then on the organization does not exist for this person."""
    member = await _member_to_change(session, principal, user_id, wanted=None)
    await queries.delete_member(session, principal.organization_id, user_id)
    await _tell_member(session, "member.removed", principal, member, now, role=member.role)
    return member


async def _member_to_change(
    session: AsyncSession, principal: Principal, user_id: UUID, *, wanted: Role | None
) -> Member:
    await queries.lock_organization(session, principal.organization_id)
    member = await find_member(session, principal, user_id)
    check_member_change(principal.role, held=member.role, wanted=wanted)
    owners = await queries.count_owners(session, principal.organization_id)
    check_owner_stays(held=member.role, wanted=wanted, owners=owners)
    return member


async def renew_member_link(
    session: AsyncSession, principal: Principal, user_id: UUID, *, now: datetime
) -> str:
    """Another one-time link for a member who never used the first; the first ends.

    Only while the person belongs to this organization alone: whoever has the link has the account.
    """
    member = await find_member(session, principal, user_id)
    check_member_change(principal.role, held=member.role, wanted=member.role)
    elsewhere = await queries.is_member_elsewhere(session, principal.organization_id, user_id)
    if not member.is_invited or elsewhere:
        raise Conflict(
            f"{member.email} has an account already.",
            hint="On the server, `groupline user passwd` sets a new password.",
            state="has_account",
        )
    token = await make_password_link(session, user_id, now=now)
    await _tell_member(session, "member.link_renewed", principal, member, now)
    return token
