"""The groups: found, understood, synced."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import NotFound
from groupline.gateways.phone import display_phone
from groupline.gateways.port import ParticipantListing
from groupline.groups.overview import sync_states
from groupline.groups.queries import has_groups, list_groups
from groupline.groups.rules import NO_GROUPS
from groupline.groups.rules import groups as groups_in_words
from groupline.groups.schemas import GroupCursor, GroupFilter, GroupPage, GroupView
from groupline.groups.service import GroupQuestions, group_of
from groupline.groups.sync import GroupSync, SyncResult
from groupline.http.auth import page_allowed, safe_next
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import decode_cursor, encode_cursor
from groupline.orgs.rules import Permission, Principal
from groupline.web.rendering import CurrentPages, Toast

router = APIRouter(prefix="/groups")

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(page_allowed(Permission.OPERATE))]
Show = Literal["in", "sendable", "unsendable", "left", "all"]

SHOWN: tuple[tuple[Show, str], ...] = (
    ("in", "Groups you are in"),
    ("sendable", "You can write to"),
    ("unsendable", "You cannot write to"),
    ("left", "No longer in"),
    ("all", "All groups"),
)
_ON_A_PAGE = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address of the page asks for. What cannot be read restricts nothing."""

    query: str
    number_id: UUID | None
    show: Show
    after: GroupCursor | None

    @property
    def filter(self) -> GroupFilter:
        base: dict[str, Any] = {"number_id": self.number_id, "query": self.query}
        match self.show:
            case "in":
                return GroupFilter(**base, active=True)
            case "sendable":
                return GroupFilter(**base, sendable=True)
            case "unsendable":
                return GroupFilter(**base, active=True, sendable=False)
            case "left":
                return GroupFilter(**base, active=False)
            case "all":
                return GroupFilter(**base)

    @property
    def is_restricted(self) -> bool:
        return bool(self.query) or self.number_id is not None or self.show != "in"

    def next_url(self, page: GroupPage) -> str | None:
        """The address of the next page, with the same filter."""
        if page.next_cursor is None:
            return None
        cursor = encode_cursor(*page.next_cursor.keys)
        number = str(self.number_id) if self.number_id else ""
        asked = {"q": self.query, "number": number, "show": self.show, "cursor": cursor}
        return "/groups?" + urlencode({name: value for name, value in asked.items() if value})


def wanted(
    q: Annotated[str, Query(max_length=200)] = "",
    number: Annotated[str, Query(max_length=50)] = "",
    show: Show = "in",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Wanted:
    after = None if cursor is None else GroupCursor.from_keys(decode_cursor(cursor, keys=2))
    return Wanted(q.strip(), _uuid_or_none(number), show, after)


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


@router.get("")
async def index(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    asked: Annotated[Wanted, Depends(wanted)],
) -> Response:
    async with runtime.database.reading() as session:
        context = await _listing(session, principal, asked, runtime.clock.now())
    return pages.render(request, "groups.html", principal=principal, nav="groups", **context)


async def _listing(
    session: AsyncSession, principal: Principal, asked: Wanted, now: datetime
) -> dict[str, Any]:
    organization_id = principal.organization_id
    page = await list_groups(
        session, organization_id, asked.filter, after=asked.after, limit=_ON_A_PAGE
    )
    is_known = bool(page.groups) or await has_groups(session, organization_id)
    numbers = await sync_states(session, organization_id, now)
    return {
        "asked": asked,
        "shown": SHOWN,
        "page": page,
        "has_groups": is_known,
        "next_url": asked.next_url(page),
        "numbers": numbers,
        "number_options": [(one.number_id, display_phone(one.phone_number)) for one in numbers],
        "phone": display_phone,
        "may_sync": principal.may(Permission.OPERATE),
    }


@router.post("/sync")
async def sync(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    number_id: Annotated[UUID, Form()],
    accept_missing: Annotated[bool, Form()] = False,
    back: Annotated[str, Form(max_length=300)] = "/groups",
) -> Response:
    """The toast says what was committed; a failure is the problem with its text."""
    result = await GroupSync(runtime.database, runtime.gateways, runtime.clock).run(
        principal.organization_id, number_id, actor=principal.actor, confirmed=accept_missing
    )
    return pages.redirect(safe_next(back), toast=sync_toast(result))


def sync_toast(result: SyncResult) -> Toast:
    """What a sync has to say to the person who asked for it."""
    saved = f"Saved {groups_in_words(result.saved_count)}"
    if result.saved_count == 0 and result.vps_count > 0:
        listed = groups_in_words(result.vps_count)
        return "warning", f"The gateway listed {listed}, but none was saved."
    if result.suspicious == NO_GROUPS:
        return "warning", NO_GROUPS
    if result.suspicious is not None:
        return "warning", f"{saved}. {result.suspicious}"
    news = [
        f"{count:,} {what}"
        for count, what in ((result.added, "new"), (result.deactivated, "no longer there"))
        if count and result.added != result.saved_count
    ]
    return "success", f"{saved} ({', '.join(news)})" if news else saved


@router.get("/{group_id}")
async def show(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    group_id: str,
    participants: bool = False,
) -> Response:
    """One group. Its participants are asked for when somebody wants to see them."""
    found_id = _uuid_or_none(group_id)
    if found_id is None:
        raise NotFound("There is no such group.")
    listing: ParticipantListing | None = None
    if participants and principal.may(Permission.OPERATE):
        questions = GroupQuestions(runtime.database, runtime.gateways, runtime.clock)
        listing = await questions.fetch_participants(principal.organization_id, found_id)
    async with runtime.database.reading() as session:
        group = await group_of(session, principal.organization_id, found_id)
    return pages.render(
        request,
        "groups/show.html",
        principal=principal,
        nav="groups",
        group=group,
        participants=listing,
        phone=display_phone,
        may_ask=principal.may(Permission.OPERATE),
        write_url=_write_url(principal, group),
    )


def _write_url(principal: Principal, group: GroupView) -> str | None:
    """The form of a message to the group, from a number that can write there."""
    members = group.active_memberships
    if group.unsendable is not None or not principal.may(Permission.SEND):
        return None
    number = max(members, key=lambda one: one.is_admin)
    return "/send?" + urlencode({"number": number.number_id, "group": group.id})


@router.post("/{group_id}/invite-link")
async def invite_link(
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    group_id: UUID,
    back: Annotated[str, Form(max_length=300)] = "/groups",
) -> Response:
    questions = GroupQuestions(runtime.database, runtime.gateways, runtime.clock)
    group = await questions.fetch_invite_link(
        principal.organization_id, group_id, actor=principal.actor
    )
    return pages.redirect(
        safe_next(back), toast=("success", f"The invite link of “{group.title}” is here.")
    )
