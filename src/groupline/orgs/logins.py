"""Logging in and out, and changing one's password.

Checking a password takes a while on purpose. No transaction is open meanwhile, so the use cases
that check one open their own: count the attempt, check, then commit what follows from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Database, announce
from groupline.errors import InvalidInput, NotFound, RateLimited, Unauthenticated
from groupline.ids import new_id
from groupline.journal import Actor, record
from groupline.models import Login, LoginAttempt, User
from groupline.orgs import queries
from groupline.orgs.passwords import hash_password, verify_password
from groupline.orgs.rules import (
    ATTEMPT_WINDOW,
    check_password,
    clean_email,
    clean_name,
    seconds_to_wait,
)
from groupline.orgs.schemas import Attempt, NewLogin, SignedIn
from groupline.orgs.tokens import digest, lock_of, new_token

logger = structlog.get_logger()

_AGENT_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Client:
    """Where somebody logs in from."""

    address: str
    user_agent: str | None = None


async def log_in(
    database: Database,
    clock: Clock,
    *,
    email: str,
    password: str,
    client: Client,
    attempts: int,
    lifetime: timedelta,
) -> NewLogin:
    """A new login, or an error that does not tell whether the address or the password is wrong."""
    email = _as_address(email)
    async with database.writing() as session:
        attempt = await _count_attempt(session, email, client, limit=attempts, now=clock.now())
        user = await queries.user_by_email(session, email)
    usable = user if user is not None and user.disabled_at is None else None
    matches = await verify_password(password, usable.password_hash if usable else None)
    if usable is None or not matches:
        logger.info("login.refused")
        raise Unauthenticated(
            "The email address or the password is wrong.",
            hint="Whoever runs the server can set a new password: `groupline user passwd`.",
        )
    async with database.writing() as session:
        await _forget(session, attempt)
        return await open_login(
            session, usable.id, client=client, lifetime=lifetime, now=clock.now()
        )


def _as_address(text: str) -> str:
    """What is no email address is nobody's: it fails like an unknown one."""
    try:
        return clean_email(text[:1000])
    except InvalidInput:
        return ""


async def open_login(
    session: AsyncSession, user_id: UUID, *, client: Client, lifetime: timedelta, now: datetime
) -> NewLogin:
    """For a person who has proven who they are."""
    token = new_token()
    agent = client.user_agent
    login = Login(
        id=new_id(),
        token_hash=digest(token),
        user_id=user_id,
        user_agent=agent[:_AGENT_SHOWN] if agent else None,
        created_at=now,
        last_seen_at=now,
        expires_at=now + lifetime,
    )
    session.add(login)
    await session.flush()
    user = await queries.user(session, user_id)
    if user is None:
        raise NotFound("There is no user like this.")
    await _record(session, "login.opened", Actor("user", user.name, user.id), login.id, now)
    return NewLogin(token, login.id, user_id, login.expires_at)


async def _record(
    session: AsyncSession, action: str, actor: Actor, login_id: UUID | None, now: datetime
) -> None:
    await record(
        session,
        action=action,
        actor=actor,
        organization_id=None,
        subject="login",
        subject_id=login_id,
        data={},
        at=now,
    )


# The rate limit


async def _count_attempt(
    session: AsyncSession, email: str, client: Client, *, limit: int, now: datetime
) -> Attempt:
    """Counted before the password is checked, so that many at once cannot slip through."""
    account, address = _bucket("account", email), _bucket("address", _network(client.address))
    await queries.take_turn(session, lock_of(account), lock_of(address))
    for bucket in (account, address):
        count, oldest = await queries.count_attempts(session, bucket, since=now - ATTEMPT_WINDOW)
        wait = seconds_to_wait(count, limit=limit, oldest=oldest, now=now)
        if wait is not None:
            raise RateLimited(
                "Too many attempts to log in. Please wait.",
                retry_after=wait,
                hint=f"Try again in {-(-wait // 60)} min.",
            )
    of_address = LoginAttempt(id=new_id(), bucket_hash=address, at=now)
    session.add_all([LoginAttempt(id=new_id(), bucket_hash=account, at=now), of_address])
    await session.flush()
    return Attempt(account, of_address.id)


async def _forget(session: AsyncSession, attempt: Attempt) -> None:
    """A success clears what was counted against the account, and itself from the address."""
    await queries.forget_attempts(
        session, bucket_hash=attempt.account_bucket, attempt_id=attempt.address_attempt_id
    )


def _bucket(kind: str, value: str) -> str:
    return digest(f"{kind}:{value}")


def _network(address: str) -> str:
    """A customer gets a whole /64 of IPv6, so that is what counts as one address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()


# One's own logins and password


async def list_logins(
    session: AsyncSession, signed_in: SignedIn, *, now: datetime
) -> Sequence[Login]:
    return await queries.logins(session, signed_in.user_id, now=now)


async def end_login(
    session: AsyncSession, signed_in: SignedIn, login_id: UUID, *, now: datetime
) -> None:
    """Logs this browser or another one out. Another person's login does not exist here."""
    if not await queries.revoke_login(session, signed_in.user_id, login_id, now=now):
        raise NotFound("There is no login like this.")
    await _record(session, "login.ended", signed_in.actor, login_id, now)


async def end_other_logins(session: AsyncSession, signed_in: SignedIn, *, now: datetime) -> int:
    ended = await queries.revoke_logins(session, signed_in.user_id, but=signed_in.login_id, now=now)
    if ended:
        await _record(session, "login.others_ended", signed_in.actor, None, now)
    return ended


async def change_own_name(
    session: AsyncSession, signed_in: SignedIn, name: str, *, now: datetime
) -> str:
    """The name that members of the same organizations see."""
    name = clean_name(name)
    if name != signed_in.name:
        await queries.set_user_name(session, signed_in.user_id, name)
        await record(
            session,
            action="user.renamed",
            actor=signed_in.actor,
            organization_id=None,
            subject="user",
            subject_id=signed_in.user_id,
            data={"before": signed_in.name, "after": name},
            at=now,
        )
        for membership in signed_in.memberships:
            await announce(
                session,
                "organization",
                organization_id=membership.organization_id,
                subject_id=signed_in.user_id,
            )
    return name


async def change_own_password(
    database: Database,
    clock: Clock,
    signed_in: SignedIn,
    *,
    current: str,
    new: str,
    client: Client,
    attempts: int,
) -> int:
    """Ends all other logins of the person; says how many. A wrong password counts as an attempt."""
    check_password(new, email=signed_in.email, field="newPassword")
    async with database.writing() as session:
        attempt = await _count_attempt(
            session, signed_in.email, client, limit=attempts, now=clock.now()
        )
        user = await queries.user(session, signed_in.user_id)
    if not await verify_password(current, user.password_hash if user else None):
        raise InvalidInput("The current password is wrong.", fields={"currentPassword": "is wrong"})
    password_hash = await hash_password(new)
    async with database.writing() as session:
        await _forget(session, attempt)
        return await _replace_password(
            session, signed_in, password_hash=password_hash, now=clock.now()
        )


async def _replace_password(
    session: AsyncSession, signed_in: SignedIn, *, password_hash: str, now: datetime
) -> int:
    await queries.set_password_hash(session, signed_in.user_id, password_hash)
    ended = await queries.revoke_logins(session, signed_in.user_id, but=signed_in.login_id, now=now)
    await record_password_change(session, signed_in.user_id, signed_in.actor, now=now)
    return ended


async def set_password(
    session: AsyncSession, user: User, *, password_hash: str, actor: Actor, now: datetime
) -> int:
    """By whoever runs the server. Ends every login of the person; says how many."""
    await queries.set_password_hash(session, user.id, password_hash)
    ended = await queries.revoke_logins(session, user.id, but=None, now=now)
    await record_password_change(session, user.id, actor, now=now)
    return ended


async def record_password_change(
    session: AsyncSession, user_id: UUID, actor: Actor, *, now: datetime
) -> None:
    await record(
        session,
        action="user.password_changed",
        actor=actor,
        organization_id=None,
        subject="user",
        subject_id=user_id,
        data={},
        at=now,
    )
