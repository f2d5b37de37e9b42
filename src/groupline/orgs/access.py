"""From a token to who asks. One query each; "last seen" is written once a minute at most."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import Database
from groupline.journal import Actor
from groupline.orgs import queries
from groupline.orgs.rules import Principal, Role, Scope, is_due
from groupline.orgs.schemas import Membership, SignedIn
from groupline.orgs.tokens import digest

_ATTEMPTS_KEPT = timedelta(days=1)
_LOGINS_KEPT = timedelta(days=30)
ANSWERS_KEPT = timedelta(hours=24)


async def principal_of_key(database: Database, token: str, *, now: datetime) -> Principal | None:
    """Of an API key that is valid now."""
    async with database.reading() as session:
        row = await queries.key_access(session, digest(token))
    if row is None:
        return None
    if is_due(row.last_used_at, now):
        async with database.writing() as session:
            await queries.touch_key(session, row.id, now=now)
    return Principal(
        organization_id=row.organization_id,
        actor=Actor("api_key", row.name, row.id),
        role=None,
        scopes=frozenset(map(Scope, row.scopes)),
        user_id=None,
        api_key_id=row.id,
        is_instance_admin=False,
        timezone=row.timezone,
    )


async def signed_in_with(database: Database, token: str, *, now: datetime) -> SignedIn | None:
    """The person behind a login that is valid now."""
    async with database.reading() as session:
        rows = await queries.login_access(session, digest(token), now=now)
    if not rows:
        return None
    if is_due(rows[0].last_seen_at, now):
        async with database.writing() as session:
            await queries.touch_login(session, rows[0].login_id, now=now)
    return _signed_in(rows)


def _signed_in(rows: Sequence[queries.AnyRow]) -> SignedIn:
    first = rows[0]
    return SignedIn(
        login_id=first.login_id,
        user_id=first.user_id,
        email=first.email,
        name=first.name,
        is_instance_admin=first.is_instance_admin,
        last_seen_at=first.last_seen_at,
        expires_at=first.expires_at,
        memberships=tuple(
            Membership(
                row.organization_id,
                row.slug,
                row.organization_name,
                row.timezone,
                Role(row.role),
            )
            for row in rows
            if row.organization_id is not None
        ),
    )


async def forget_outdated(session: AsyncSession, *, now: datetime) -> int:
    """For the sweeper: old attempts, logins, links and idempotent answers; says how many rows."""
    return await queries.delete_outdated(
        session,
        attempts=now - _ATTEMPTS_KEPT,
        logins=now - _LOGINS_KEPT,
        answers=now - ANSWERS_KEPT,
    )
