"""API keys: how programs get in."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import (
    ApiModel,
    Cursor,
    Limit,
    Listing,
    encode_cursor,
    problems,
    uuid_cursor,
)
from groupline.orgs.api_keys import create_api_key, list_api_keys, revoke_api_key
from groupline.orgs.rules import Permission, Principal, Scope

router = APIRouter(prefix="/api-keys", tags=["organization"])

Manager = Annotated[Principal, Depends(allowed(Permission.MEMBERS))]


class ApiKeyOut(ApiModel):
    id: UUID
    name: str = Field(examples=["Reporting"])
    prefix: str = Field(examples=["glk_k3Zq9w"], description="The start of the key")
    scopes: list[Scope]
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute")
    revoked_at: datetime | None


class NewApiKeyOut(ApiKeyOut):
    key: str = Field(description="The key itself. It is in this answer only.")


class ApiKeyIn(ApiModel):
    name: str = Field(examples=["Reporting"])
    scopes: list[Scope] = Field(examples=[["read", "send"]])


@router.get("", summary="List the API keys")
async def index(
    runtime: CurrentRuntime, principal: Manager, limit: Limit = 100, cursor: Cursor = None
) -> Listing[ApiKeyOut]:
    """Newest first, with those that were revoked."""
    before = uuid_cursor(cursor)
    async with runtime.database.reading() as session:
        found = await list_api_keys(session, principal, before=before, limit=limit + 1)
    shown = found[:limit]
    return Listing(
        items=[ApiKeyOut.model_validate(key) for key in shown],
        next_cursor=encode_cursor(str(shown[-1].id)) if len(found) > limit else None,
    )


@router.post(
    "",
    status_code=201,
    summary="Make an API key",
    response_model=NewApiKeyOut,
    responses=problems(409),
)
async def create(
    runtime: CurrentRuntime, principal: Manager, body: ApiKeyIn, once: CurrentIdempotency
) -> Response:
    """Nobody gives a key more than they may do themselves."""

    async def effect(session: AsyncSession) -> NewApiKeyOut:
        made = await create_api_key(
            session, principal, name=body.name, scopes=body.scopes, now=runtime.clock.now()
        )
        facts = ApiKeyOut.model_validate(made.api_key).model_dump()
        return NewApiKeyOut(**facts, key=made.secret)

    return await once.in_transaction(principal, effect, status=201)


@router.delete("/{api_key_id}", summary="Revoke an API key")
async def revoke(runtime: CurrentRuntime, principal: Manager, api_key_id: UUID) -> ApiKeyOut:
    """It stops working at once and stays in the list. Doing it again changes nothing."""
    async with runtime.database.writing() as session:
        key = await revoke_api_key(session, principal, api_key_id, now=runtime.clock.now())
    return ApiKeyOut.model_validate(key)
