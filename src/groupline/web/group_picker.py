"""Choosing groups in a form: thousands of them, by search, one by one or all that match.

A page puts ``await picker(…)`` into its context and ``{{ groups.picker(picker) }}`` (of
``groups/picker.html``) into its form. What the form sends becomes group ids by ``chosen_ids``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.groups.queries import groups_by_ids, ids_of, list_groups, matching_count
from groupline.groups.schemas import GroupCursor, GroupFilter, GroupPage, GroupView
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import decode_cursor, encode_cursor
from groupline.orgs.rules import Permission, Principal
from groupline.web.parsing import uuid_or_none
from groupline.web.rendering import CurrentPages

router = APIRouter(prefix="/groups")

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]

_ON_A_PAGE = 100


@dataclass(frozen=True, slots=True)
class Picker:
    """One look at the list, and what has been chosen so far."""

    number_id: UUID | None
    query: str
    page: GroupPage
    sendable: int | None
    """How many of the groups that match can be written to; ``None``: too many to count."""
    chosen: tuple[GroupView, ...] = ()
    matching: tuple[str, ...] = ()
    """Searches of which everything that can be written to is chosen."""

    @property
    def rows(self) -> list[GroupView]:
        """What was chosen first, so that it can be seen and taken back."""
        chosen = {group.id for group in self.chosen}
        return [*self.chosen, *(group for group in self.page.groups if group.id not in chosen)]

    def is_chosen(self, group: GroupView) -> bool:
        return any(group.id == each.id for each in self.chosen)

    @property
    def source(self) -> str:
        """Where the list is fetched from when somebody searches."""
        number = {"number": self.number_id} if self.number_id else {}
        return "/groups/picker" + ("?" + urlencode(number) if number else "")

    @property
    def next_url(self) -> str | None:
        if self.page.next_cursor is None:
            return None
        cursor = encode_cursor(*self.page.next_cursor.keys)
        asked = {"number": self.number_id or "", "q": self.query, "cursor": cursor}
        return "/groups/picker?" + urlencode(asked)


async def picker(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID | None = None,
    *,
    query: str = "",
    after: GroupCursor | None = None,
    chosen: Collection[UUID] = (),
    matching: Sequence[str] = (),
) -> Picker:
    """The groups that the number (or any number) is in; those it cannot write to say why."""
    listed = GroupFilter(number_id=number_id, query=query, active=True)
    sendable = GroupFilter(number_id=number_id, query=query, sendable=True)
    return Picker(
        number_id=number_id,
        query=query,
        page=await list_groups(session, organization_id, listed, after=after, limit=_ON_A_PAGE),
        sendable=await matching_count(session, organization_id, sendable),
        chosen=await groups_by_ids(session, organization_id, chosen, number_id),
        matching=tuple(matching),
    )


async def chosen_ids(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID | None,
    *,
    chosen: Collection[UUID],
    matching: Collection[str] = (),
) -> list[UUID]:
    """The groups that a form asks for, each once: those ticked, and all that match a search.

    A ticked group is passed on as it is, also one that cannot be written to: refusing it with
    the reason is up to whoever writes.
    """
    ids = dict.fromkeys(chosen)
    for query in matching:
        wanted = GroupFilter(number_id=number_id, query=query, sendable=True)
        ids |= dict.fromkeys(await ids_of(session, organization_id, wanted))
    return list(ids)


@router.get("/picker")
async def listing(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    number: Annotated[str, Query(max_length=50)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """The list alone, for a picker that is open on some page."""
    after = None if cursor is None else GroupCursor.from_keys(decode_cursor(cursor, keys=2))
    async with runtime.database.reading() as session:
        found = await picker(
            session, principal.organization_id, uuid_or_none(number), query=q, after=after
        )
    return pages.render(
        request, "groups/picker_list.html", principal=principal, nav="groups", picker=found
    )
