"""Groups: listed, searched, asked about; and the sync of a number."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from groupline.groups.queries import MAX_COUNTED, list_groups
from groupline.groups.rules import Unsendable
from groupline.groups.schemas import GroupCursor, GroupFilter, GroupView
from groupline.groups.service import GroupQuestions, group_of
from groupline.groups.sync import GroupSync
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import (
    ApiModel,
    Cursor,
    Limit,
    Listing,
    decode_cursor,
    encode_cursor,
    problems,
)
from groupline.orgs.rules import Permission, Principal

router = APIRouter(prefix="/groups", tags=["groups"])
sync_router = APIRouter(prefix="/numbers", tags=["numbers"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]


class MembershipOut(ApiModel):
    number_id: UUID
    phone_number: str = Field(examples=["919876543210"])
    display_name: str | None
    is_admin: bool
    is_active: bool
    missing_since: datetime | None = Field(description="Since when the number is no longer in it")


class GroupOut(ApiModel):
    id: UUID
    jid: str = Field(examples=["120363041234567890@g.us"])
    short_id: str = Field(description="Tells groups of one name apart", examples=["567890"])
    name: str | None = Field(examples=["Morning Workshop"])
    participant_count: int | None
    is_community: bool = Field(description="A community itself: it cannot be sent to")
    is_community_announce: bool
    announce_only: bool = Field(description="Only admins can write")
    invite_link: str | None
    is_admin: bool
    sendable: bool
    not_sendable_reason: Unsendable | None
    not_sendable_because: str | None = Field(description="The reason as a sentence")
    synced_at: datetime | None = Field(description="When a sync last changed it")
    memberships: list[MembershipOut] = Field(description="Your numbers that are or were in it")

    @classmethod
    def of(cls, group: GroupView) -> "GroupOut":
        return cls(
            id=group.id,
            jid=group.jid,
            short_id=group.short_id,
            name=group.name,
            participant_count=group.participant_count,
            is_community=group.is_community,
            is_community_announce=group.is_community_announce,
            announce_only=group.announce_only,
            invite_link=group.invite_link,
            is_admin=group.is_admin,
            sendable=group.unsendable is None,
            not_sendable_reason=group.unsendable,
            not_sendable_because=group.why_not_sendable,
            synced_at=group.synced_at,
            memberships=[
                MembershipOut(
                    number_id=one.number_id,
                    phone_number=one.phone_number,
                    display_name=one.display_name,
                    is_admin=one.is_admin,
                    is_active=one.is_active,
                    missing_since=one.missing_since,
                )
                for one in group.memberships
            ],
        )


class GroupListing(Listing[GroupOut]):
    total: int | None = Field(description=f"null: more than {MAX_COUNTED:,}", examples=[27])


class ParticipantOut(ApiModel):
    id: str = Field(description="A jid or a LID, as the gateway sent it")
    phone: str | None
    is_admin: bool
    is_super_admin: bool


class ParticipantsOut(ApiModel):
    items: list[ParticipantOut]
    next_cursor: None = None
    total: int


class InviteLinkOut(ApiModel):
    id: UUID
    invite_link: str = Field(examples=["https://chat.whatsapp.com/AbCdEf123456"])


class SkippedOut(ApiModel):
    jid: str | None
    reason: str = Field(
        description="`community_parent`: kept, but cannot be sent to. Otherwise: not usable"
    )


class SyncIn(ApiModel):
    accept_missing: bool = Field(
        False, description="The groups that the gateway left out have really been left"
    )


class SyncOut(ApiModel):
    success: bool
    vps_count: int = Field(description="Groups that the gateway listed", examples=[27])
    saved_count: int = Field(
        description="Groups of the number in the database, counted by this sync", examples=[27]
    )
    added: int
    updated: int
    deactivated: int
    skipped: list[SkippedOut]
    complete: bool
    suspicious: str | None = Field(None, description="Why nothing was removed")
    can_be_confirmed: bool | None = Field(
        None, description="With `acceptMissing`, the missing groups would be taken as left"
    )


def group_filter(
    number_id: Annotated[UUID | None, Query(alias="numberId")] = None,
    q: Annotated[str, Query(max_length=200, description="Words of the name, or the id")] = "",
    sendable: Annotated[bool | None, Query(description="One of the numbers can write")] = None,
    active: Annotated[bool | None, Query(description="One of the numbers is in it")] = None,
) -> GroupFilter:
    return GroupFilter(number_id=number_id, query=q, sendable=sendable, active=active)


Filtered = Annotated[GroupFilter, Depends(group_filter)]


@router.get("", summary="List and search groups")
async def index(
    runtime: CurrentRuntime,
    principal: Reader,
    wanted: Filtered,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> GroupListing:
    """By name. Search ignores case and accents; every word must be found."""
    after = None if cursor is None else GroupCursor.from_keys(decode_cursor(cursor, keys=2))
    async with runtime.database.reading() as session:
        page = await list_groups(
            session, principal.organization_id, wanted, after=after, limit=limit
        )
    return GroupListing(
        items=[GroupOut.of(group) for group in page.groups],
        next_cursor=None if page.next_cursor is None else encode_cursor(*page.next_cursor.keys),
        total=page.total,
    )


@router.get("/{group_id}", summary="Show a group")
async def show(runtime: CurrentRuntime, principal: Reader, group_id: UUID) -> GroupOut:
    async with runtime.database.reading() as session:
        return GroupOut.of(await group_of(session, principal.organization_id, group_id))


@router.get("/{group_id}/participants", summary="Ask who is in it", responses=problems(409, 502))
async def participants(
    runtime: CurrentRuntime, principal: Operator, group_id: UUID
) -> ParticipantsOut:
    """Asks the gateway now; nothing about the participants is stored."""
    questions = GroupQuestions(runtime.database, runtime.gateways, runtime.clock)
    listing = await questions.fetch_participants(principal.organization_id, group_id)
    return ParticipantsOut(
        items=[
            ParticipantOut(
                id=one.id,
                phone=one.phone,
                is_admin=one.is_admin,
                is_super_admin=one.is_super_admin,
            )
            for one in listing.participants
        ],
        total=listing.total,
    )


@router.post(
    "/{group_id}/invite-link", summary="Fetch the invite link", responses=problems(409, 502)
)
async def invite_link(
    runtime: CurrentRuntime, principal: Operator, group_id: UUID
) -> InviteLinkOut:
    """Asks the gateway now, through a number that is an admin there, and keeps the link."""
    questions = GroupQuestions(runtime.database, runtime.gateways, runtime.clock)
    group = await questions.fetch_invite_link(
        principal.organization_id, group_id, actor=principal.actor
    )
    return InviteLinkOut(id=group.id, invite_link=group.invite_link or "")


@sync_router.post(
    "/{number_id}/sync-groups",
    summary="Sync the groups of a number",
    responses=problems(409, 502),
    response_model=SyncOut,
    response_model_exclude_unset=True,
)
async def sync_groups(
    runtime: CurrentRuntime, principal: Operator, number_id: UUID, body: SyncIn | None = None
) -> dict[str, Any]:
    """Fetches the groups from the gateway and saves them in one transaction.

    A failure says where it happened (`upstream`: `gateway` or `db`) and leaves everything as it
    was. A list that cannot be complete removes nothing, and `suspicious` says why.
    """
    result = await GroupSync(runtime.database, runtime.gateways, runtime.clock).run(
        principal.organization_id,
        number_id,
        actor=principal.actor,
        confirmed=body is not None and body.accept_missing,
    )
    return result.as_json()
