"""What a one-time link opens: the first run, or the password of a new member."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.ids import new_id
from groupline.journal import Actor, record
from groupline.models import OrganizationMember, User
from groupline.orgs import queries
from groupline.orgs.links import FIRST_RUN_LOCK, link_is_over, open_link, use_link
from groupline.orgs.rules import Role, clean_email, clean_name
from groupline.orgs.schemas import FirstRun
from groupline.orgs.service import create_organization


async def check_first_run(session: AsyncSession, token: str, *, now: datetime) -> None:
    """Before a password is hashed for it, which is dear."""
    link, _ = await open_link(session, token, now=now)
    if link.purpose != "first_run":
        raise link_is_over()


async def first_run(
    session: AsyncSession,
    token: str,
    *,
    organization_name: str,
    timezone: str,
    name: str,
    email: str,
    password_hash: str,
    now: datetime,
) -> FirstRun:
    """The first user, who administers the installation and owns the first organization.

    All of it or nothing; of two that try at the same moment, one gets it.
    """
    await queries.take_turn(session, FIRST_RUN_LOCK)
    await use_link(session, token, "first_run", now=now)
    user = User(
        id=new_id(),
        email=clean_email(email),
        name=clean_name(name),
        password_hash=password_hash,
        is_instance_admin=True,
        created_at=now,
    )
    session.add(user)
    await session.flush()
    actor = Actor("user", user.name, user.id)
    organization = await create_organization(
        session, name=organization_name, timezone=timezone, actor=actor, now=now
    )
    session.add(
        OrganizationMember(
            organization_id=organization.id,
            user_id=user.id,
            role=Role.OWNER.value,
            created_at=now,
        )
    )
    await session.flush()
    await record(
        session,
        action="installation.set_up",
        actor=actor,
        organization_id=organization.id,
        subject="user",
        subject_id=user.id,
        data={"email": user.email},
        at=now,
    )
    return FirstRun(user, organization)


async def choose_password(
    session: AsyncSession, token: str, *, password_hash: str, now: datetime
) -> UUID:
    """Uses the link of a new member. Says whose it was."""
    link, _ = await use_link(session, token, "set_password", now=now)
    user = None if link.user_id is None else await queries.user(session, link.user_id)
    if user is None:
        raise link_is_over()
    await queries.set_password_hash(session, user.id, password_hash)
    await queries.revoke_logins(session, user.id, but=None, now=now)
    await record(
        session,
        action="user.password_chosen",
        actor=Actor("user", user.name, user.id),
        organization_id=None,
        subject="user",
        subject_id=user.id,
        data={},
        at=now,
    )
    return user.id
