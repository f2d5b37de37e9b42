"""What a script would ask in a dialog, as a page."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from groupline.errors import NotFound
from groupline.http.auth import page_allowed, safe_next
from groupline.http.context import CurrentRuntime
from groupline.http.formatting import whatsapp_html
from groupline.messages import queries
from groupline.messages.shown import shown
from groupline.messages.variables import plain
from groupline.orgs.rules import Permission, Principal
from groupline.web.rendering import CurrentPages

router = APIRouter(prefix="/messages")


Question = Literal["cancel", "discard", "it-arrived", "not-arrived", "call-off"]
"""Decisions that are asked about. To send again what failed is not."""


@router.get("/{message_id}/ask/{decision}")
async def ask(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Annotated[Principal, Depends(page_allowed(Permission.SEND))],
    message_id: UUID,
    decision: Question,
    back: Annotated[str, Query(max_length=500)] = "/messages",
) -> Response:
    """Asked only as long as it can be decided so."""
    async with runtime.database.reading() as session:
        view = await queries.get_view(session, principal.organization_id, message_id)
    if view is None:
        raise NotFound("There is no such message.")
    action = decision.replace("-", "_")
    if action not in shown(view, None, runtime.clock.now()).actions:
        return pages.redirect(f"/messages/{message_id}")
    return pages.render(
        request,
        "messages/ask.html",
        principal=principal,
        nav="messages",
        message=view,
        action=action,
        text=whatsapp_html(plain(view.content)),
        back=safe_next(back),
    )
