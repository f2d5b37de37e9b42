"""Send now: one text to the groups of a number, and then what becomes of it.

Each form is a draft with a key of its own, which is part of its address. A draft is sent once:
sent twice, or after going back, it leads to what was sent the first time.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import IdempotencyConflict, InvalidInput
from groupline.gateways.phone import display_phone
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import Idempotency
from groupline.messages import media, queries, service
from groupline.messages.held_back import obstacle_of
from groupline.messages.media import Media
from groupline.messages.schemas import GroupsRefused, NewMessages, SendingNumber
from groupline.numbers.views import show_number
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.group_picker import Picker, chosen_ids, picker
from groupline.web.parsing import uuid_or_none
from groupline.web.rendering import CurrentPages, Pages, Toast

router = APIRouter(prefix="/send")

Sender = Annotated[Principal, Depends(page_allowed(Permission.SEND))]


_DRAFT: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person has entered."""

    number_id: UUID | None = None
    group_ids: frozenset[UUID] = frozenset()
    matching: tuple[str, ...] = ()
    """Searches of which every group that can be written to was chosen."""
    content: str = ""
    media_url: str = ""

    @property
    def fingerprint(self) -> str:
        facts = (self.number_id, sorted(self.group_ids), sorted(self.matching), *astuple(self)[3:])
        return hashlib.sha256(repr(facts).encode(errors="backslashreplace")).hexdigest()


class Batch(BaseModel):
    """What a draft became."""

    first: UUID
    last: UUID
    count: int

    @property
    def url(self) -> str:
        return f"/messages?batch={self.first}.{self.last}"

    @property
    def groups(self) -> str:
        return "1 group" if self.count == 1 else f"{self.count:,} groups"


@router.get("")
async def form(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    number: Annotated[str, Query(max_length=50)] = "",
    group: Annotated[list[str] | None, Query()] = None,
    draft: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    if not _DRAFT.fullmatch(draft):
        fresh = request.url.include_query_params(draft=_new_draft())
        return pages.redirect(f"{fresh.path}?{fresh.query}")
    chosen = frozenset(each for each in map(uuid_or_none, group or ()) if each is not None)
    typed = Typed(number_id=uuid_or_none(number), group_ids=chosen)
    async with runtime.database.reading() as session:
        earlier = await _sent_as(session, runtime, principal, draft)
    return await _page(request, runtime, pages, principal, typed, draft=draft, earlier=earlier)


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
    draft: Annotated[str, Form()] = "",
) -> Response:
    # A browser sends line breaks as CR LF, whatever the person typed.
    text = content.replace("\r\n", "\n")
    matching = tuple(groups_matching or ())
    typed = Typed(number_id, frozenset(groups or ()), matching, text, media_url.strip())
    try:
        return await _send(runtime, pages, principal, typed, draft)
    except InvalidInput as error:
        return await _page(request, runtime, pages, principal, typed, draft=draft, refused=error)
    except IdempotencyConflict:
        return await _offer_as_new(request, runtime, pages, principal, typed, draft=draft)


async def _send(
    runtime: Runtime, pages: Pages, principal: Principal, typed: Typed, draft: str
) -> Response:
    once = _once(runtime, draft, typed)
    async with runtime.database.reading() as session:
        is_known = await once.answered(session, principal.organization_id) is not None
    found = None
    if not is_known:  # what was sent before is not looked at again
        policy = runtime.media_policy
        found = await media.check_if_given(typed.media_url or None, policy=policy)

    async def effect(session: AsyncSession) -> Batch:
        ids = await _schedule(session, runtime, principal, typed, found)
        return Batch(first=ids[0], last=ids[-1], count=len(ids))

    answer = await once.once_in_transaction(principal, effect)
    batch = Batch.model_validate_json(answer.body)
    if answer.replayed:
        said: Toast = ("warning", "This was already sent. It was not sent again.")
    else:
        async with runtime.database.reading() as session:
            said = await sending(session, typed.number_id, batch.groups, runtime.clock.now())
    return pages.redirect(batch.url, toast=said)


async def sending(
    session: AsyncSession, number_id: UUID | None, groups: str, now: datetime
) -> Toast:
    """Of what was just handed over: whether it leaves, or what it waits for."""
    reason = await obstacle_of(session, number_id, now) if number_id is not None else None
    if reason is not None:
        return "warning", f"It waits to be sent to {groups}. {reason}"
    return "success", f"Sending to {groups}."


async def _schedule(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    typed: Typed,
    found: Media | None,
) -> list[UUID]:
    if typed.number_id is None:
        why = "Choose the number to send from."
        raise InvalidInput(why, fields={"number": why})
    group_ids = await chosen_ids(
        session,
        principal.organization_id,
        typed.number_id,
        chosen=sorted(typed.group_ids),
        matching=typed.matching,
    )
    return await service.schedule(
        session,
        principal.organization_id,
        NewMessages(
            number_id=typed.number_id,
            group_ids=group_ids,
            content=typed.content,
            media=found,
        ),
        actor=principal.actor,
        now=runtime.clock.now(),
    )


def _new_draft() -> str:
    return secrets.token_urlsafe(12)


def _once(runtime: Runtime, draft: str, typed: Typed) -> Idempotency:
    key = f"draft:{draft}" if _DRAFT.fullmatch(draft) else None
    return Idempotency(runtime, key, typed.fingerprint)


async def _sent_as(
    session: AsyncSession, runtime: Runtime, principal: Principal, draft: str
) -> Batch | None:
    answer = await _once(runtime, draft, Typed()).answered(session, principal.organization_id)
    return Batch.model_validate_json(answer.body) if answer else None


async def _offer_as_new(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    typed: Typed,
    *,
    draft: str,
) -> Response:
    """The draft was sent, and something else is in it now: that may be meant, or a mistake."""
    async with runtime.database.reading() as session:
        earlier = await _sent_as(session, runtime, principal, draft)
    return await _page(
        request,
        runtime,
        pages,
        principal,
        typed,
        draft=_new_draft(),
        earlier=earlier,
        refused=InvalidInput("This form was sent before with other content."),
    )


async def _page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    typed: Typed,
    *,
    draft: str,
    earlier: Batch | None = None,
    refused: InvalidInput | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        context = await _context(session, principal, typed, runtime.clock.now())
    return pages.render(
        request,
        "send.html",
        principal=principal,
        nav="send",
        status=200 if refused is None else refused.status,
        toasts=[("warning", f"Nothing was sent. {refused.detail}")] if refused and earlier else [],
        typed=typed,
        draft=draft if _DRAFT.fullmatch(draft) else _new_draft(),
        earlier=earlier,
        errors=_errors(refused),
        limit=service.MAX_CONTENT,
        phone=display_phone,
        **context,
    )


async def _context(
    session: AsyncSession, principal: Principal, typed: Typed, now: datetime
) -> dict[str, Any]:
    numbers = await queries.sending_numbers(session, principal.organization_id)
    number = _chosen(numbers, typed.number_id)
    picked: Picker | None = None
    pause: str | None = None
    if number is not None and number.paused_at is not None:
        view = await show_number(session, principal.organization_id, number.id, now)
        pause = view.shown.pause
    if number is not None:
        picked = await picker(
            session,
            principal.organization_id,
            number.id,
            chosen=typed.group_ids,
            matching=typed.matching,
        )
    return {"numbers": numbers, "number": number, "picker": picked, "pause": pause}


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
