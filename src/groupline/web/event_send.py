"""Sending something to the groups of an event now. Each form is a draft, and is sent once."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import GrouplineError, IdempotencyConflict, InvalidInput
from groupline.events.choices import template_choices
from groupline.events.schemas import EventView
from groupline.events.send import NewSend, from_template, send_now
from groupline.gateways.phone import display_phone
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import Idempotency
from groupline.messages import media
from groupline.messages.schemas import GroupsRefused
from groupline.messages.service import MAX_CONTENT
from groupline.models import EventKind
from groupline.orgs.rules import Principal
from groupline.runtime import Runtime
from groupline.web.event_shared import EventId, Sender, find, left_if_over, words
from groupline.web.rendering import CurrentPages, Pages, Toast
from groupline.web.send import sending

_DRAFT: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a person wants to send, as they entered it."""

    content: str = ""
    media_url: str = ""
    template_id: str = ""
    draft: str = ""

    @property
    def fingerprint(self) -> str:
        facts = (self.content, self.media_url, self.template_id)
        return hashlib.sha256(repr(facts).encode(errors="backslashreplace")).hexdigest()


def _letter(
    content: Annotated[str, Form(max_length=4 * MAX_CONTENT)] = "",
    media_url: Annotated[str, Form(max_length=4000)] = "",
    template_id: Annotated[str, Form(max_length=50)] = "",
    draft: Annotated[str, Form(max_length=200)] = "",
) -> Letter:
    return Letter(content.replace("\r\n", "\n"), media_url.strip(), template_id, draft)


class Count(BaseModel):
    count: int


def add_sending(router: APIRouter, kind: EventKind) -> None:
    @router.get("/{event_id}/send")
    async def form(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Sender,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        if left := left_if_over(pages, event):
            return left
        return await _send_page(request, runtime, pages, principal, event, letter=Letter())

    @router.post("/{event_id}/send")
    async def send(
        *,
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Sender,
        event_id: EventId,
        letter: Annotated[Letter, Depends(_letter)],
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        try:
            said = await _send(runtime, principal, event, letter)
        except (InvalidInput, IdempotencyConflict) as error:
            return await _send_page(
                request, runtime, pages, principal, event, letter=letter, refused=error
            )
        return pages.redirect(f"/{kind}s/{event_id}/steps/by-hand", toast=said)


async def _send(runtime: Runtime, principal: Principal, event: EventView, letter: Letter) -> Toast:
    """A draft is sent once, also when it is sent twice."""
    content, url, media_type = letter.content, letter.media_url or None, None
    if letter.template_id:
        async with runtime.database.reading() as session:
            content, url, media_type = await from_template(
                session, principal.organization_id, _template_id(letter.template_id)
            )
    found = await media.check_if_given(url, media_type, policy=runtime.media_policy)

    async def effect(session: AsyncSession) -> Count:
        ids = await send_now(
            session,
            principal.organization_id,
            event.id,
            NewSend(content, found),
            actor=principal.actor,
            now=runtime.clock.now(),
        )
        return Count(count=len(ids))

    key = f"event:{event.id}:{letter.draft}" if _DRAFT.fullmatch(letter.draft) else None
    once = Idempotency(runtime, key, letter.fingerprint)
    answer = await once.once_in_transaction(principal, effect)
    count = Count.model_validate_json(answer.body).count
    if answer.replayed:
        return "warning", "This was already sent. It was not sent again."
    groups = f"{count:,} group{'' if count == 1 else 's'}"
    async with runtime.database.reading() as session:
        return await sending(session, event.number_id, groups, runtime.clock.now())


def _template_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        why = "Choose a template of the list."
        raise InvalidInput(why, fields={"template_id": why}) from error


async def _send_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    event: EventView,
    *,
    letter: Letter,
    refused: GrouplineError | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        templates = await template_choices(session, principal.organization_id)
    return pages.render(
        request,
        "events/send.html",
        principal=principal,
        nav=f"{event.kind}s",
        status=200 if refused is None else refused.status,
        **words(event.kind),
        event=event,
        letter=letter,
        draft=secrets.token_urlsafe(12),
        templates=templates,
        errors=_send_errors(refused),
        limit=MAX_CONTENT,
        phone=display_phone,
    )


def _send_errors(refused: GrouplineError | None) -> dict[str, str]:
    if refused is None:
        return {}
    if isinstance(refused, InvalidInput) and not isinstance(refused, GroupsRefused):
        names = {"mediaUrl": "media_url", "content": "content", "template_id": "template_id"}
        fields = {names[name]: refused.detail for name in refused.fields if name in names}
        return fields or {"": refused.detail}
    return {"": refused.detail}
