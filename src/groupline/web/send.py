"""Send now: one text to the groups of a number, and then what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import InvalidInput
from groupline.gateways.phone import display_phone
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.messages import queries, service
from groupline.messages.schemas import GroupsRefused, NewMessages, SendingNumber
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.group_picker import Picker, chosen_ids, picker
from groupline.web.rendering import CurrentPages, Pages

router = APIRouter(prefix="/send")

Sender = Annotated[Principal, Depends(page_allowed(Permission.SEND))]


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person has entered."""

    number_id: UUID | None = None
    group_ids: frozenset[UUID] = frozenset()
    matching: tuple[str, ...] = ()
    """Searches of which every group that can be written to was chosen."""
    content: str = ""
    media_url: str = ""


@router.get("")
async def form(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    number: Annotated[str, Query(max_length=50)] = "",
    group: Annotated[list[str] | None, Query()] = None,
) -> Response:
    chosen = frozenset(each for each in map(_uuid_or_none, group or ()) if each is not None)
    typed = Typed(number_id=_uuid_or_none(number), group_ids=chosen)
    return await _page(request, runtime, pages, principal, typed)


@router.post("")
async def send(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    number_id: Annotated[UUID | None, Form()] = None,
    groups: Annotated[list[UUID] | None, Form()] = None,
    groups_matching: Annotated[list[str] | None, Form()] = None,
    content: Annotated[str, Form()] = "",
    media_url: Annotated[str, Form()] = "",
) -> Response:
    # A browser sends line breaks as CR LF, whatever the person typed.
    text = content.replace("\r\n", "\n")
    matching = tuple(groups_matching or ())
    typed = Typed(number_id, frozenset(groups or ()), matching, text, media_url.strip())
    try:
        return await _send(runtime, pages, principal, typed)
    except InvalidInput as error:
        return await _page(request, runtime, pages, principal, typed, refused=error)


async def _send(runtime: Runtime, pages: Pages, principal: Principal, typed: Typed) -> Response:
    if typed.number_id is None:
        why = "Choose the number to send from."
        raise InvalidInput(why, fields={"number": why})
    now = runtime.clock.now()
    async with runtime.database.writing() as session:
        group_ids = await chosen_ids(
            session,
            principal.organization_id,
            typed.number_id,
            chosen=sorted(typed.group_ids),
            matching=typed.matching,
        )
        ids = await service.schedule(
            session,
            principal.organization_id,
            NewMessages(
                number_id=typed.number_id,
                group_ids=group_ids,
                content=typed.content,
                media_url=typed.media_url or None,
            ),
            actor=principal.actor,
            now=now,
        )
    said = "Sending to 1 group." if len(ids) == 1 else f"Sending to {len(ids):,} groups."
    return pages.redirect(f"/messages?batch={ids[0]}.{ids[-1]}", toast=("success", said))


async def _page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    typed: Typed,
    *,
    refused: InvalidInput | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        context = await _context(session, principal, typed)
    return pages.render(
        request,
        "send.html",
        principal=principal,
        nav="send",
        status=200 if refused is None else refused.status,
        typed=typed,
        errors=_errors(refused),
        limit=service.MAX_CONTENT,
        phone=display_phone,
        **context,
    )


async def _context(session: AsyncSession, principal: Principal, typed: Typed) -> dict[str, Any]:
    numbers = await queries.sending_numbers(session, principal.organization_id)
    number = _chosen(numbers, typed.number_id)
    picked: Picker | None = None
    if number is not None:
        picked = await picker(
            session,
            principal.organization_id,
            number.id,
            chosen=typed.group_ids,
            matching=typed.matching,
        )
    return {"numbers": numbers, "number": number, "picker": picked}


def _chosen(numbers: Sequence[SendingNumber], number_id: UUID | None) -> SendingNumber | None:
    """The one asked for, or the first, which is a connected one if there is any."""
    return next((each for each in numbers if each.id == number_id), next(iter(numbers), None))


def _errors(refused: InvalidInput | None) -> Mapping[str, str]:
    """By the names that the fields have on the page."""
    if refused is None:
        return {}
    if isinstance(refused, GroupsRefused):
        return {"": refused.detail}
    names = {"groupIds": "groups", "mediaUrl": "media_url", "content": "content"}
    return {names.get(name, name): refused.detail for name in refused.fields} or {
        "": refused.detail
    }


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
