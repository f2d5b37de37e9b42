"""One-time links: to the first run, and to the password of a new member."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import Conflict, NotFound
from groupline.ids import new_id
from groupline.models import SetupLink, SetupPurpose
from groupline.orgs import queries
from groupline.orgs.rules import SETUP_LINK_LIFETIME
from groupline.orgs.tokens import digest, lock_of, new_token

FIRST_RUN_LOCK = lock_of("first run")


async def make_setup_link(session: AsyncSession, *, now: datetime) -> str:
    """The token of the link to the first run; links made before it end. Only without any user."""
    await queries.take_turn(session, FIRST_RUN_LOCK)
    if await queries.any_user(session):
        raise Conflict("Groupline is set up already.", hint="Sign in.", state="set_up")
    return await _make(session, "first_run", None, now)


async def make_password_link(session: AsyncSession, user_id: UUID, *, now: datetime) -> str:
    """The token of a link that lets this person choose a password; links before it end."""
    return await _make(session, "set_password", user_id, now)


async def _make(
    session: AsyncSession, purpose: SetupPurpose, user_id: UUID | None, now: datetime
) -> str:
    await queries.end_setup_links(session, user_id, now=now)
    token = new_token()
    session.add(
        SetupLink(
            id=new_id(),
            token_hash=digest(token),
            purpose=purpose,
            user_id=user_id,
            created_at=now,
            expires_at=now + SETUP_LINK_LIFETIME,
        )
    )
    await session.flush()
    return token


def link_is_over() -> NotFound:
    return NotFound(
        "This link has expired or was used.",
        hint="Sign in, or ask for a new link where you got this one.",
    )


async def open_link(
    session: AsyncSession, token: str, *, now: datetime
) -> tuple[SetupLink, str | None]:
    """A link that still works, with the email address of the person it is for."""
    found = await queries.setup_link(session, digest(token), now=now)
    if found is None:
        raise link_is_over()
    link, _ = found
    if link.purpose == "first_run" and await queries.any_user(session):
        raise link_is_over()
    return found


async def use_link(
    session: AsyncSession, token: str, purpose: SetupPurpose, *, now: datetime
) -> tuple[SetupLink, str | None]:
    """For the one who comes first."""
    link, email = await open_link(session, token, now=now)
    if link.purpose != purpose or not await queries.use_setup_link(session, link.id, now=now):
        raise link_is_over()
    return link, email
