"""The members of an organization and their roles."""

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
    decode_cursor,
    encode_cursor,
    problems,
)
from groupline.orgs.rules import Permission, Principal, Role
from groupline.orgs.schemas import AddedMember
from groupline.orgs.service import (
    add_member,
    change_role,
    find_member,
    list_members,
    remove_member,
    renew_member_link,
)
from groupline.runtime import Runtime

router = APIRouter(prefix="/members", tags=["organization"])

Manager = Annotated[Principal, Depends(allowed(Permission.MEMBERS))]


class MemberOut(ApiModel):
    user_id: UUID
    email: str = Field(examples=["person@example.org"])
    name: str
    role: Role
    is_invited: bool = Field(description="Has not chosen a password yet")
    created_at: datetime


class AddedMemberOut(MemberOut):
    setup_url: str | None = Field(
        description="For a person who is new to Groupline: works once, for 24 hours, to choose a "
        "password. It is in this answer only."
    )


class LinkOut(ApiModel):
    setup_url: str


class MemberIn(ApiModel):
    email: str = Field(examples=["person@example.org"])
    role: Role
    name: str | None = Field(None, description="Without it, what stands before the @")


class MemberPatch(ApiModel):
    role: Role


@router.get("", summary="List the members")
async def index(
    runtime: CurrentRuntime, principal: Manager, limit: Limit = 100, cursor: Cursor = None
) -> Listing[MemberOut]:
    after = str(decode_cursor(cursor, keys=1)[0]) if cursor else None
    async with runtime.database.reading() as session:
        found = await list_members(session, principal, after=after, limit=limit + 1)
    shown = found[:limit]
    return Listing(
        items=[MemberOut.model_validate(member) for member in shown],
        next_cursor=encode_cursor(shown[-1].email) if len(found) > limit else None,
    )


@router.post(
    "",
    status_code=201,
    summary="Add a member",
    response_model=AddedMemberOut,
    responses=problems(409),
)
async def create(
    runtime: CurrentRuntime, principal: Manager, body: MemberIn, once: CurrentIdempotency
) -> Response:
    async def effect(session: AsyncSession) -> AddedMemberOut:
        added = await add_member(
            session,
            principal,
            email=body.email,
            role=body.role,
            name=body.name,
            now=runtime.clock.now(),
        )
        return _added(runtime, added)

    return await once.in_transaction(principal, effect, status=201)


@router.get("/{user_id}", summary="Show a member")
async def show(runtime: CurrentRuntime, principal: Manager, user_id: UUID) -> MemberOut:
    async with runtime.database.reading() as session:
        return MemberOut.model_validate(await find_member(session, principal, user_id))


@router.patch("/{user_id}", summary="Change a member's role", responses=problems(409))
async def change(
    runtime: CurrentRuntime, principal: Manager, user_id: UUID, body: MemberPatch
) -> MemberOut:
    """Owners are changed by owners only, and the last one stays."""
    async with runtime.database.writing() as session:
        member = await change_role(session, principal, user_id, body.role, now=runtime.clock.now())
    return MemberOut.model_validate(member)


@router.delete("/{user_id}", status_code=204, summary="Remove a member", responses=problems(409))
async def remove(runtime: CurrentRuntime, principal: Manager, user_id: UUID) -> None:
    async with runtime.database.writing() as session:
        await remove_member(session, principal, user_id, now=runtime.clock.now())


@router.post(
    "/{user_id}/link",
    status_code=201,
    summary="Make a new link to choose a password",
    response_model=LinkOut,
    responses=problems(409),
)
async def renew_link(
    runtime: CurrentRuntime, principal: Manager, user_id: UUID, once: CurrentIdempotency
) -> Response:
    """For a member who has not used the first one, which ends."""

    async def effect(session: AsyncSession) -> LinkOut:
        token = await renew_member_link(session, principal, user_id, now=runtime.clock.now())
        return LinkOut(setup_url=setup_url(runtime, token))

    return await once.in_transaction(principal, effect, status=201)


def setup_url(runtime: Runtime, token: str) -> str:
    return f"{runtime.settings.effective_base_url}/setup/{token}"


def _added(runtime: Runtime, added: AddedMember) -> AddedMemberOut:
    facts = MemberOut.model_validate(added.member).model_dump()
    link = setup_url(runtime, added.link_token) if added.link_token else None
    return AddedMemberOut(**facts, setup_url=link)
