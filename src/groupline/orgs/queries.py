"""All SQL on organizations and their people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    CursorResult,
    Row,
    Select,
    Update,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from groupline.models import (
    ApiKey,
    IdempotencyKey,
    Login,
    LoginAttempt,
    Organization,
    OrganizationMember,
    SetupLink,
    User,
)
from groupline.orgs.rules import SEEN_EVERY, Role

AnyRow: TypeAlias = Row[*tuple[Any, ...]]
"""The columns by name, as their query lists them."""
AnySelect: TypeAlias = Select[*tuple[Any, ...]]


async def take_turn(session: AsyncSession, *locks: int) -> None:
    """Others that ask for the same lock wait until this transaction ends.

    SQLite has one writer at a time anyway.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    for lock in sorted(set(locks)):
        await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


# Who asks


def _key_access(key_hash: str) -> AnySelect:
    return (
        select(
            ApiKey.id,
            ApiKey.name,
            ApiKey.scopes,
            ApiKey.last_used_at,
            ApiKey.organization_id,
            Organization.timezone,
        )
        .join(Organization, Organization.id == ApiKey.organization_id)
        .where(ApiKey.key_hash == key_hash, ApiKey.revoked_at.is_(None))
    )


async def key_access(session: AsyncSession, key_hash: str) -> AnyRow | None:
    return (await session.execute(_key_access(key_hash))).one_or_none()


async def login_access(
    session: AsyncSession, token_hash: str, *, now: datetime
) -> Sequence[AnyRow]:
    """One row for each organization of the person, one without an organization if there is none."""
    statement = (
        select(
            Login.id.label("login_id"),
            Login.last_seen_at,
            Login.expires_at,
            User.id.label("user_id"),
            User.email,
            User.name,
            User.is_instance_admin,
            OrganizationMember.role,
            Organization.id.label("organization_id"),
            Organization.slug,
            Organization.name.label("organization_name"),
            Organization.timezone,
        )
        .join(User, User.id == Login.user_id)
        .outerjoin(OrganizationMember, OrganizationMember.user_id == User.id)
        .outerjoin(Organization, Organization.id == OrganizationMember.organization_id)
        .where(
            Login.token_hash == token_hash,
            Login.revoked_at.is_(None),
            Login.expires_at > now,
            User.disabled_at.is_(None),
        )
        .order_by(Organization.name, Organization.id)
    )
    return (await session.execute(statement)).all()


async def touch_key(session: AsyncSession, key_id: UUID, *, now: datetime) -> None:
    due = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - SEEN_EVERY)
    await session.execute(update(ApiKey).where(ApiKey.id == key_id, due).values(last_used_at=now))


async def touch_login(session: AsyncSession, login_id: UUID, *, now: datetime) -> None:
    due = Login.last_seen_at <= now - SEEN_EVERY
    await session.execute(update(Login).where(Login.id == login_id, due).values(last_seen_at=now))


# Organizations


async def organization(session: AsyncSession, organization_id: UUID) -> Organization | None:
    return await session.get(Organization, organization_id)


async def organization_by_slug(session: AsyncSession, slug: str) -> Organization | None:
    return await session.scalar(select(Organization).where(Organization.slug == slug))


async def lock_organization(session: AsyncSession, organization_id: UUID) -> None:
    """Changes to the members of one organization happen one after the other."""
    statement = select(Organization.id).where(Organization.id == organization_id)
    await session.execute(statement.with_for_update())


async def slugs_like(session: AsyncSession, slug: str) -> Sequence[str]:
    statement = select(Organization.slug).where(
        or_(Organization.slug == slug, Organization.slug.like(f"{slug}-%"))
    )
    return (await session.scalars(statement)).all()


# Members


def _members(organization_id: UUID) -> AnySelect:
    return (
        select(
            OrganizationMember.user_id,
            OrganizationMember.role,
            OrganizationMember.created_at,
            User.email,
            User.name,
            User.password_hash.is_(None).label("is_invited"),
        )
        .join(User, User.id == OrganizationMember.user_id)
        .where(OrganizationMember.organization_id == organization_id)
    )


async def members(
    session: AsyncSession, organization_id: UUID, *, after: str | None, limit: int
) -> Sequence[AnyRow]:
    statement = _members(organization_id).order_by(User.email).limit(limit)
    if after is not None:
        statement = statement.where(User.email > after)
    return (await session.execute(statement)).all()


async def member(session: AsyncSession, organization_id: UUID, user_id: UUID) -> AnyRow | None:
    statement = _members(organization_id).where(OrganizationMember.user_id == user_id)
    return (await session.execute(statement)).one_or_none()


async def count_owners(session: AsyncSession, organization_id: UUID) -> int:
    statement = select(func.count()).where(
        OrganizationMember.organization_id == organization_id,
        OrganizationMember.role == Role.OWNER.value,
    )
    return await session.scalar(statement) or 0


async def set_role(session: AsyncSession, organization_id: UUID, user_id: UUID, role: Role) -> None:
    await session.execute(
        update(OrganizationMember)
        .where(
            OrganizationMember.organization_id == organization_id,
            OrganizationMember.user_id == user_id,
        )
        .values(role=role.value)
    )


async def delete_member(session: AsyncSession, organization_id: UUID, user_id: UUID) -> None:
    await session.execute(
        delete(OrganizationMember).where(
            OrganizationMember.organization_id == organization_id,
            OrganizationMember.user_id == user_id,
        )
    )


async def is_member_elsewhere(session: AsyncSession, organization_id: UUID, user_id: UUID) -> bool:
    statement = select(
        exists().where(
            OrganizationMember.user_id == user_id,
            OrganizationMember.organization_id != organization_id,
        )
    )
    return bool(await session.scalar(statement))


async def organization_ids_of(session: AsyncSession, user_id: UUID) -> Sequence[UUID]:
    statement = select(OrganizationMember.organization_id).where(
        OrganizationMember.user_id == user_id
    )
    return (await session.scalars(statement)).all()


# Users


async def user(session: AsyncSession, user_id: UUID) -> User | None:
    return await session.get(User, user_id)


async def user_by_email(session: AsyncSession, email: str) -> User | None:
    return await session.scalar(select(User).where(User.email == email))


async def any_user(session: AsyncSession) -> bool:
    return bool(await session.scalar(select(exists().select_from(User))))


async def set_password_hash(session: AsyncSession, user_id: UUID, password_hash: str) -> None:
    await session.execute(
        update(User).where(User.id == user_id).values(password_hash=password_hash)
    )


async def make_instance_admin(session: AsyncSession, user_id: UUID, *, only_if_first: bool) -> None:
    """Somebody has to administer the installation: the first person does."""
    statement = update(User).where(User.id == user_id).values(is_instance_admin=True)
    if only_if_first:
        others = aliased(User)
        statement = statement.where(~exists().where(others.id != user_id))
    await session.execute(statement.execution_options(synchronize_session=False))


async def set_user_name(session: AsyncSession, user_id: UUID, name: str) -> None:
    await session.execute(update(User).where(User.id == user_id).values(name=name))


# API keys


async def api_keys(
    session: AsyncSession, organization_id: UUID, *, before: UUID | None, limit: int
) -> Sequence[ApiKey]:
    """Newest first, revoked ones too: they are history."""
    statement = select(ApiKey).where(ApiKey.organization_id == organization_id)
    if before is not None:
        statement = statement.where(ApiKey.id < before)
    return (await session.scalars(statement.order_by(ApiKey.id.desc()).limit(limit))).all()


async def api_key(session: AsyncSession, organization_id: UUID, key_id: UUID) -> ApiKey | None:
    return await session.scalar(
        select(ApiKey).where(ApiKey.organization_id == organization_id, ApiKey.id == key_id)
    )


# Logins


def _valid_logins(user_id: UUID, now: datetime) -> Any:
    return and_(Login.user_id == user_id, Login.revoked_at.is_(None), Login.expires_at > now)


async def logins(session: AsyncSession, user_id: UUID, *, now: datetime) -> Sequence[Login]:
    statement = select(Login).where(_valid_logins(user_id, now)).order_by(Login.id.desc())
    return (await session.scalars(statement)).all()


async def _changed(session: AsyncSession, statement: Update) -> int:
    result = await session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount


async def revoke_login(
    session: AsyncSession, user_id: UUID, login_id: UUID, *, now: datetime
) -> bool:
    statement = update(Login).where(_valid_logins(user_id, now), Login.id == login_id)
    return await _changed(session, statement.values(revoked_at=now)) == 1


async def revoke_logins(
    session: AsyncSession, user_id: UUID, *, but: UUID | None, now: datetime
) -> int:
    statement = update(Login).where(_valid_logins(user_id, now))
    if but is not None:
        statement = statement.where(Login.id != but)
    return await _changed(session, statement.values(revoked_at=now))


async def count_attempts(
    session: AsyncSession, bucket_hash: str, *, since: datetime
) -> tuple[int, datetime | None]:
    statement = select(func.count(), func.min(LoginAttempt.at)).where(
        LoginAttempt.bucket_hash == bucket_hash, LoginAttempt.at > since
    )
    count, oldest = (await session.execute(statement)).one()
    return count, oldest


async def forget_attempts(session: AsyncSession, *, bucket_hash: str, attempt_id: UUID) -> None:
    """All of one bucket, and this one attempt in the other."""
    await session.execute(
        delete(LoginAttempt).where(
            or_(LoginAttempt.bucket_hash == bucket_hash, LoginAttempt.id == attempt_id)
        )
    )


# One-time links


async def setup_link(
    session: AsyncSession, token_hash: str, *, now: datetime
) -> tuple[SetupLink, str | None] | None:
    """A link that still works, with the address of the person it is for."""
    statement = (
        select(SetupLink, User.email)
        .outerjoin(User, User.id == SetupLink.user_id)
        .where(
            SetupLink.token_hash == token_hash,
            SetupLink.used_at.is_(None),
            SetupLink.expires_at > now,
        )
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else (row[0], row[1])


async def use_setup_link(session: AsyncSession, link_id: UUID, *, now: datetime) -> bool:
    """True for the one who comes first; whoever comes at the same time waits, and hears False."""
    statement = update(SetupLink).where(SetupLink.id == link_id, SetupLink.used_at.is_(None))
    return await _changed(session, statement.values(used_at=now)) == 1


async def end_setup_links(session: AsyncSession, user_id: UUID | None, *, now: datetime) -> None:
    """Links to the first run (nobody's), or to the password of one person."""
    whose = SetupLink.user_id.is_(None) if user_id is None else SetupLink.user_id == user_id
    await session.execute(
        update(SetupLink).where(whose, SetupLink.used_at.is_(None)).values(used_at=now)
    )


# What has had its time


async def delete_outdated(
    session: AsyncSession, *, attempts: datetime, logins: datetime, answers: datetime
) -> int:
    """Deletes what is older than its moment; says how many rows."""
    statements = (
        delete(LoginAttempt).where(LoginAttempt.at < attempts),
        delete(Login).where(Login.expires_at < logins),
        delete(SetupLink).where(SetupLink.expires_at < logins),
        delete(IdempotencyKey).where(IdempotencyKey.created_at < answers),
    )
    total = 0
    for statement in statements:
        result = await session.execute(statement)
        assert isinstance(result, CursorResult)
        total += result.rowcount
    return total
