"""API keys: made, listed, revoked. A key belongs to one organization."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import NotFound
from groupline.ids import new_id
from groupline.models import ApiKey
from groupline.orgs import queries
from groupline.orgs.rules import Principal, Scope, check_grant, clean_name
from groupline.orgs.schemas import NewApiKey
from groupline.orgs.telling import tell
from groupline.orgs.tokens import digest, new_api_key, shown_prefix


async def list_api_keys(
    session: AsyncSession, principal: Principal, *, before: UUID | None = None, limit: int = 500
) -> Sequence[ApiKey]:
    return await queries.api_keys(session, principal.organization_id, before=before, limit=limit)


async def create_api_key(
    session: AsyncSession,
    principal: Principal,
    *,
    name: str | None,
    scopes: Iterable[Scope],
    now: datetime,
) -> NewApiKey:
    """The key itself is in this answer and nowhere else. Without a name it is called after it."""
    granted = check_grant(principal, scopes)
    secret = new_api_key()
    prefix = shown_prefix(secret)
    api_key = ApiKey(
        id=new_id(),
        organization_id=principal.organization_id,
        name=f"Program {prefix}" if name is None else clean_name(name),
        prefix=prefix,
        key_hash=digest(secret),
        scopes=[scope.value for scope in Scope if scope in granted],
        created_by=principal.actor.reference,
        created_at=now,
    )
    session.add(api_key)
    await session.flush()
    await _tell_key(session, "api_key.created", principal, api_key, now)
    return NewApiKey(api_key, secret)


async def revoke_api_key(
    session: AsyncSession, principal: Principal, key_id: UUID, *, now: datetime
) -> ApiKey:
    """Stops working at once and stays in the list. Revoking it again changes nothing."""
    api_key = await queries.api_key(session, principal.organization_id, key_id)
    if api_key is None:
        raise NotFound("There is no API key like this in the organization.")
    if api_key.revoked_at is not None:
        return api_key
    api_key.revoked_at = now
    await session.flush()
    await _tell_key(session, "api_key.revoked", principal, api_key, now)
    return api_key


async def _tell_key(
    session: AsyncSession, action: str, principal: Principal, api_key: ApiKey, now: datetime
) -> None:
    await tell(
        session,
        action=action,
        actor=principal.actor,
        organization_id=principal.organization_id,
        subject="api_key",
        subject_id=api_key.id,
        data={"name": api_key.name, "prefix": api_key.prefix, "scopes": api_key.scopes},
        now=now,
    )
