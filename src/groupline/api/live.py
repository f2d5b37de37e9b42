"""``GET /api/v1/events``: what changed, as it changes."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import StreamingResponse

from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.live import stream_changes
from groupline.orgs.rules import Permission, Principal

router = APIRouter(tags=["live"])


@router.get(
    "/events",
    response_class=StreamingResponse,
    summary="Hear what changes",
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(
    runtime: CurrentRuntime, principal: Annotated[Principal, Depends(allowed(Permission.READ))]
) -> StreamingResponse:
    """Server-sent events: ``{"topic": "messages", "id": …}`` says that something of that topic
    changed and is worth fetching. After ``event: resync`` fetch everything that you show."""
    return stream_changes(runtime.announcements, principal.organization_id)
