"""Workshops and webinars: the list, one of them, and the form. The same pages under two words."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import NotFound
from groupline.events.calendar import calendar_of
from groupline.events.pending import count_stale
from groupline.events.preflight_now import looks_now
from groupline.events.preflight_run import estimates_of
from groupline.events.preflight_store import Looked
from groupline.events.queries import count_events, list_events
from groupline.events.schemas import (
    EventCursor,
    EventFilter,
    EventView,
    Period,
)
from groupline.events.timeline import step_messages, timeline
from groupline.gateways.phone import display_phone
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import decode_cursor, encode_cursor, uuid_cursor
from groupline.messages.schemas import Filter, MessageView
from groupline.messages.shown import Shown, all_shown
from groupline.models import EventKind
from groupline.numbers.workers import none_runs
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.event_actions import add_actions
from groupline.web.event_form import add_form
from groupline.web.event_import import add_imports
from groupline.web.event_parts import add_parts
from groupline.web.event_send import add_sending
from groupline.web.event_shared import (
    EventId,
    Reader,
    clock_notes,
    find,
    pending_count,
    words,
)
from groupline.web.freshness import fresh_until
from groupline.web.rendering import CurrentPages

_ON_A_PAGE: Final = 30
_MESSAGES_ON_A_PAGE: Final = 100
TABS: Final[tuple[tuple[Period, str], ...]] = (
    ("upcoming", "Upcoming"),
    ("past", "Past"),
    ("cancelled", "Cancelled"),
)


def router_of(kind: EventKind) -> APIRouter:
    router = APIRouter(prefix=f"/{kind}s")
    _add_list(router, kind)
    add_imports(router, kind)
    add_form(router, kind)
    _add_one(router, kind)
    add_parts(router, kind)
    add_actions(router, kind)
    add_sending(router, kind)
    return router


# --- the list -------------------------------------------------------------------------------


def _add_list(router: APIRouter, kind: EventKind) -> None:
    @router.get("")
    async def index(
        *,
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Reader,
        period: Annotated[str, Query(max_length=20)] = "upcoming",
        q: Annotated[str, Query(max_length=200)] = "",
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Response:
        asked = EventFilter(kind, _period(period), q.strip())
        async with runtime.database.reading() as session:
            context = await _listing(session, runtime, principal, asked, _after(cursor))
        return pages.render(
            request, "events.html", principal=principal, nav=f"{kind}s", **words(kind), **context
        )


def _period(text: str) -> Period:
    return next((key for key, _ in TABS if key == text), "upcoming")


def _after(cursor: str | None) -> EventCursor | None:
    return None if cursor is None else EventCursor.from_keys(decode_cursor(cursor, keys=2))


async def _listing(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    asked: EventFilter,
    after: EventCursor | None,
) -> dict[str, Any]:
    now, organization_id = runtime.clock.now(), principal.organization_id
    views = await list_events(
        session, organization_id, asked, after=after, limit=_ON_A_PAGE + 1, now=now
    )
    page, more = views[:_ON_A_PAGE], len(views) > _ON_A_PAGE
    last = page[-1] if more else None
    cursor = last and encode_cursor(*EventCursor(last.starts_at, last.id).keys)
    counts = {
        key: await count_events(session, organization_id, EventFilter(asked.kind, key), now)
        for key, _ in TABS
    }
    return {
        "asked": asked,
        "no_worker": await none_runs(session, now),
        "rows": page,
        "looked": await _looked(session, page, now),
        "tabs": [
            (key, label, list_url(asked.kind, key), f"{counts[key]:,}") for key, label in TABS
        ],
        "total": await count_events(session, organization_id, asked, now),
        "next_url": cursor and list_url(asked.kind, asked.period, asked.query, cursor),
        "phone": display_phone,
        "may_operate": principal.may(Permission.OPERATE),
    }


def list_url(kind: EventKind, period: str, query: str = "", cursor: str = "") -> str:
    asked = {
        "period": "" if period == "upcoming" else period,
        "q": query,
        "cursor": cursor,
    }
    text = urlencode({name: value for name, value in asked.items() if value})
    return f"/{kind}s?{text}" if text else f"/{kind}s"


# --- one of them ----------------------------------------------------------------------------


def _add_one(router: APIRouter, kind: EventKind) -> None:
    @router.get("/{event_id}")
    async def show(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Reader,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        async with runtime.database.reading() as session:
            steps = await timeline(session, event, runtime.clock.now())
            stale = await count_stale(session, event)
            looked = await _looked(session, [event], runtime.clock.now())
            no_worker = await none_runs(session, runtime.clock.now())
            estimates = await estimates_of(session, event, runtime.clock.now())
            until = await _until(session, event, (), runtime.clock.now())
        return pages.render(
            request,
            "events/show.html",
            principal=principal,
            nav=f"{kind}s",
            **words(kind),
            event=event,
            pending=pending_count(event),
            phone=display_phone,
            may_operate=principal.may(Permission.OPERATE),
            may_send=principal.may(Permission.SEND),
            steps=steps,
            no_worker=no_worker,
            until=until,
            stale=stale,
            looked=looked.get(event_id),
            estimates={str(each.step_id): each for each in estimates},
            clock_notes=clock_notes(event.facts),
        )

    @router.get("/{event_id}/calendar.ics")
    async def calendar(runtime: CurrentRuntime, principal: Reader, event_id: EventId) -> Response:
        event = await find(runtime, principal, kind, event_id)
        async with runtime.database.reading() as session:
            steps = await timeline(session, event, runtime.clock.now())
        url = f"{runtime.settings.effective_base_url}/{kind}s/{event_id}"
        return Response(
            calendar_of(event, steps, url=url),
            media_type="text/calendar; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{kind}.ics"'},
        )

    @router.get("/{event_id}/steps/{step_id}")
    async def step(
        *,
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Reader,
        event_id: EventId,
        step_id: str,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        now = runtime.clock.now()
        async with runtime.database.reading() as session:
            steps = await timeline(session, event, now)
            found = next((each for each in steps if each.key == step_id), None)
            if found is None:
                raise NotFound(f"This {kind} has no such step.")
            views = await step_messages(
                session,
                event,
                found.step.id if found.step else None,
                after=uuid_cursor(cursor),
                limit=_MESSAGES_ON_A_PAGE + 1,
            )
            page = views[:_MESSAGES_ON_A_PAGE]
            rows = await all_shown(session, page, now)
            until = await _until(session, event, rows, now)
        more = len(views) > _MESSAGES_ON_A_PAGE
        here = f"/{kind}s/{event_id}/steps/{step_id}"
        return pages.render(
            request,
            "events/step.html",
            principal=principal,
            nav=f"{kind}s",
            **words(kind),
            event=event,
            step=found,
            rows=rows,
            until=until,
            next_url=f"{here}?cursor={encode_cursor(str(page[-1].id))}" if more else None,
            here=here,
            phone=display_phone,
            may_send=principal.may(Permission.SEND),
        )


async def _looked(
    session: AsyncSession, events: Iterable[EventView], now: datetime
) -> dict[UUID, Looked]:
    """What stands in the way of those that have not begun; after that their messages tell it."""
    coming = [event for event in events if event.status == "planned" and event.starts_at > now]
    if not coming:
        return {}
    numbers = {event.id: event.number_id for event in coming}
    return await looks_now(session, coming[0].organization_id, numbers, now)


async def _until(
    session: AsyncSession,
    event: EventView,
    rows: Iterable[tuple[MessageView, Shown]],
    now: datetime,
) -> datetime | None:
    counted = Filter(event_id=event.id)
    until = await fresh_until(session, event.organization_id, counted, rows, now)
    begins = event.starts_at if event.starts_at > now else None
    return min((at for at in (until, begins) if at is not None), default=None)


workshops_router, webinars_router = router_of("workshop"), router_of("webinar")
