"""The stream that tells open pages what has changed (server-sent events)."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

from starlette.responses import StreamingResponse

from groupline.db import RESYNC, Announcement, Announcements
from groupline.db.announce import WORKER_TOPICS

KEEP_ALIVE_SECONDS = 20.0
_RESYNC_LINES = 'event: resync\ndata: {"topic":"*","id":null}\n\n'


def stream_changes(announcements: Announcements, organization_id: UUID) -> StreamingResponse:
    """Tells one organization's changes, and those of the installation, to one client."""
    return StreamingResponse(
        _lines(announcements, organization_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(announcements: Announcements, organization_id: UUID) -> AsyncIterator[str]:
    async with announcements.subscribe() as heard:
        yield "retry: 2000\n\n"
        while True:
            try:
                announcement = await asyncio.wait_for(anext(heard), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            except StopAsyncIteration:
                return
            line = _line(announcement, organization_id)
            if line is not None:
                yield line


def _line(announcement: Announcement, organization_id: UUID) -> str | None:
    if announcement == RESYNC:
        return _RESYNC_LINES
    if announcement.topic in WORKER_TOPICS:
        return None
    if announcement.organization_id not in (None, organization_id):
        return None
    subject = announcement.subject_id
    data = {"topic": announcement.topic, "id": str(subject) if subject else None}
    return f"data: {json.dumps(data)}\n\n"
