"""What a one-time link opens: the first run, or the password of a new member."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Database
from groupline.ids import new_id
from groupline.journal import Actor, record
from groupline.models import SetupPurpose, User
from groupline.orgs import queries
from groupline.orgs.links import FIRST_RUN_LOCK, link_is_over, open_link, use_link
from groupline.orgs.logins import Client, open_login
from groupline.orgs.passwords import hash_password
from groupline.orgs.rules import (
    Role,
    check_all,
    check_password,
    check_timezone,
    clean_email,
    clean_name,
)
from groupline.orgs.schemas import FirstRun, NewLogin
from groupline.orgs.service import create_organization, join


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRunInput:
    organization_name: str
    timezone: str
    name: str
    email: str
    password: str

    def check(self) -> None:
        """Names everything that is wrong at once."""
        check_all(
            lambda: clean_name(self.organization_name, field="organizationName"),
            lambda: check_timezone(self.timezone),
            lambda: clean_name(self.name),
            lambda: check_password(self.password, email=clean_email(self.email)),
        )


async def set_up(
    database: Database,
    clock: Clock,
    token: str,
    wanted: FirstRunInput,
    *,
    client: Client,
    lifetime: timedelta,
) -> tuple[FirstRun, NewLogin]:
    """The first user, who administers the installation and owns the first organization.

    All of it or nothing; of two that try at the same moment, one gets it.
    """
    async with database.reading() as session:
        await _check_purpose(session, token, "first_run", now=clock.now())
    wanted.check()
    password_hash = await hash_password(wanted.password)
    async with database.writing() as session:
        now = clock.now()
        created = await _first_run(session, token, wanted, password_hash, now=now)
        login = await open_login(
            session, created.user.id, client=client, lifetime=lifetime, now=now
        )
    return created, login


async def choose_password(
    database: Database,
    clock: Clock,
    token: str,
    password: str,
    *,
    client: Client,
    lifetime: timedelta,
) -> NewLogin:
    """Uses the link of a new member, who is signed in by it."""
    async with database.reading() as session:
        email = await _check_purpose(session, token, "set_password", now=clock.now())
    check_password(password, email=email or "")
    password_hash = await hash_password(password)
    async with database.writing() as session:
        now = clock.now()
        user_id = await _choose(session, token, password_hash, now=now)
        return await open_login(session, user_id, client=client, lifetime=lifetime, now=now)


async def _check_purpose(
    session: AsyncSession, token: str, purpose: SetupPurpose, *, now: datetime
) -> str | None:
    """Before a password is hashed, which is dear."""
    link, email = await open_link(session, token, now=now)
    if link.purpose != purpose:
        raise link_is_over()
    return email


async def _first_run(
    session: AsyncSession,
    token: str,
    wanted: FirstRunInput,
    password_hash: str,
    *,
    now: datetime,
) -> FirstRun:
    await queries.take_turn(session, FIRST_RUN_LOCK)
    await use_link(session, token, "first_run", now=now)
    user = User(
        id=new_id(),
        email=clean_email(wanted.email),
        name=clean_name(wanted.name),
        password_hash=password_hash,
        is_instance_admin=True,
        created_at=now,
    )
    session.add(user)
    await session.flush()
    actor = Actor("user", user.name, user.id)
    organization = await create_organization(
        session,
        name=wanted.organization_name,
        timezone=wanted.timezone,
        actor=actor,
        now=now,
    )
    await join(session, organization.id, user.id, Role.OWNER, now=now)
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


async def _choose(session: AsyncSession, token: str, password_hash: str, *, now: datetime) -> UUID:
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
