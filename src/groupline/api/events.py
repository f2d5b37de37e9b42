"""Workshops and webinars: the same routes under two words."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.api.event_actions import add_actions
from groupline.api.event_import import add_import
from groupline.api.event_models import (
    EventChangesIn,
    EventDetail,
    EventEdited,
    EventGroupOut,
    EventIn,
    EventOut,
    EventVariableOut,
    GroupsIn,
    GroupsOut,
    VariablesIn,
    VariablesOut,
    detail_facts,
    edited_out,
    event_out,
    group_out,
)
from groupline.api.event_times import Clocks, read_times
from groupline.errors import InvalidInput
from groupline.events import service
from groupline.events.clock_changes import ClockChange
from groupline.events.clock_changes import Field as ClockField
from groupline.events.edit import edit
from groupline.events.group_queries import event_groups
from groupline.events.groups import set_groups
from groupline.events.pending import count_stale
from groupline.events.queries import get_event, list_events
from groupline.events.schemas import (
    EventCursor,
    EventFilter,
    EventInput,
    EventView,
    Period,
)
from groupline.events.texts import needed_names
from groupline.events.values import set_values
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import (
    ApiModel,
    Cursor,
    Limit,
    Listing,
    decode_cursor,
    encode_cursor,
    problems,
    read_time,
)
from groupline.messages.variables import scan
from groupline.models import EventKind, EventStatus
from groupline.orgs.rules import Permission, Principal

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]


class GroupsOfEvent(ApiModel):
    items: list[EventGroupOut]
    total: int


def router_of(kind: EventKind) -> APIRouter:
    router = APIRouter(prefix=f"/{kind}s", tags=[f"{kind}s"])
    add_import(router, kind)
    _add_resource(router, kind)
    _add_parts(router, kind)
    add_actions(router, kind)
    return router


def _add_resource(router: APIRouter, kind: EventKind) -> None:
    @router.get("", summary=f"List {kind}s", responses=problems(422))
    async def index(
        runtime: CurrentRuntime,
        reader: Reader,
        wanted: Annotated[EventFilter, Depends(_filter_of(kind))],
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Listing[EventOut]:
        """`period=upcoming` lists the soonest first, everything else the latest first."""
        async with runtime.database.reading() as session:
            views = await list_events(
                session,
                reader.organization_id,
                wanted,
                after=read_cursor(cursor),
                limit=limit + 1,
                now=runtime.clock.now(),
            )
        page, next_cursor = cut(views, limit)
        return Listing(items=[event_out(view) for view in page], next_cursor=next_cursor)

    @router.post(
        "",
        status_code=201,
        response_model=EventDetail,
        summary=f"Plan a {kind}",
        responses=problems(404, 409, 422),
    )
    async def create(
        runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, body: EventIn
    ) -> Response:
        now = runtime.clock.now()

        async def effect(session: AsyncSession) -> EventDetail:
            event_id, clocks = await _create(session, operator, kind, body, now)
            return await detail(session, operator, event_id, now, clocks=clocks)

        return await once.in_transaction(operator, effect, status=201)

    @router.get("/{event_id}", summary=f"Show a {kind}")
    async def show(runtime: CurrentRuntime, reader: Reader, event_id: UUID) -> EventDetail:
        async with runtime.database.reading() as session:
            return await detail(session, reader, event_id, runtime.clock.now(), kind)

    @router.patch("/{event_id}", summary=f"Change a {kind}", responses=problems(404, 409, 422))
    async def change(
        runtime: CurrentRuntime, operator: Operator, event_id: UUID, body: EventChangesIn
    ) -> EventEdited:
        """Its time cannot change here while messages are pending: see `reschedule`.

        With `dryRun` nothing changes, and the answer says what would follow for its messages.
        """
        now, organization_id = runtime.clock.now(), operator.organization_id
        async with runtime.database.writing() as session:
            view = await get_event(session, organization_id, event_id, now=now, kind=kind)
            wanted, clocks = _changed(view, body, operator)
            edited = await edit(
                session,
                organization_id,
                event_id,
                wanted,
                kind=kind,
                dry_run=body.dry_run,
                actor=operator.actor,
                now=now,
            )
            view = await get_event(session, organization_id, event_id, now=now)
            stale = await count_stale(session, view)
            return edited_out(view, stale, edited, clocks)

    @router.delete(
        "/{event_id}",
        status_code=204,
        summary=f"Delete a {kind} of which nothing was sent",
        responses=problems(404, 409),
    )
    async def remove(
        runtime: CurrentRuntime,
        operator: Operator,
        event_id: UUID,
        cancel_messages: Annotated[
            bool, Query(alias="cancelMessages", description="Its pending messages go too")
        ] = False,
    ) -> None:
        """With pending messages it needs `cancelMessages`; the 409 says how many there are."""
        async with runtime.database.writing() as session:
            await service.remove(
                session,
                operator.organization_id,
                event_id,
                kind=kind,
                cancel_messages=cancel_messages,
                actor=operator.actor,
                now=runtime.clock.now(),
            )


def _add_parts(router: APIRouter, kind: EventKind) -> None:
    @router.get("/{event_id}/groups", summary="Its groups")
    async def groups(runtime: CurrentRuntime, reader: Reader, event_id: UUID) -> GroupsOfEvent:
        """All of them, with why its number cannot write to some."""
        async with runtime.database.reading() as session:
            view = await get_event(
                session, reader.organization_id, event_id, now=runtime.clock.now(), kind=kind
            )
            found = await event_groups(session, view.organization_id, view.id, view.number_id)
        return GroupsOfEvent(items=[group_out(each) for each in found], total=len(found))

    @router.put(
        "/{event_id}/groups", summary="Choose its groups", responses=problems(404, 409, 422)
    )
    async def put_groups(
        runtime: CurrentRuntime, operator: Operator, event_id: UUID, body: GroupsIn
    ) -> GroupsOut:
        """Taking out a group with pending messages needs `cancelMessages`."""
        async with runtime.database.writing() as session:
            changed = await set_groups(
                session,
                operator.organization_id,
                event_id,
                body.group_ids,
                kind=kind,
                cancel_messages=body.cancel_messages,
                actor=operator.actor,
                now=runtime.clock.now(),
            )
        return GroupsOut.model_validate(changed)

    @router.get("/{event_id}/variables", summary="The values of its variables")
    async def variables(runtime: CurrentRuntime, reader: Reader, event_id: UUID) -> VariablesOut:
        async with runtime.database.reading() as session:
            view = await get_event(
                session, reader.organization_id, event_id, now=runtime.clock.now(), kind=kind
            )
            return await _variables(session, view)

    @router.put(
        "/{event_id}/variables",
        summary="Give its variables values",
        responses=problems(404, 409, 422),
    )
    async def put_variables(
        runtime: CurrentRuntime, operator: Operator, event_id: UUID, body: VariablesIn
    ) -> VariablesOut:
        """Messages that are pending keep their text until `refresh-texts`."""
        now, organization_id = runtime.clock.now(), operator.organization_id
        async with runtime.database.writing() as session:
            await set_values(
                session,
                organization_id,
                event_id,
                body.values,
                kind=kind,
                actor=operator.actor,
                now=now,
            )
            view = await get_event(session, organization_id, event_id, now=now)
            return await _variables(session, view)


# --- what the routes share ------------------------------------------------------------------


def _filter_of(kind: EventKind) -> type[EventFilter]:
    def read(
        period: Annotated[Period, Query(description="By its time; `past` includes done")] = "all",
        status: EventStatus | None = None,
        q: Annotated[str, Query(max_length=200, description="In the title")] = "",
    ) -> EventFilter:
        return EventFilter(kind, period, q.strip(), status)

    return read  # type: ignore[return-value]  # a dependency: it is called for its result


async def detail(
    session: AsyncSession,
    principal: Principal,
    event_id: UUID,
    now: datetime,
    kind: EventKind | None = None,
    *,
    clocks: Clocks | None = None,
) -> EventDetail:
    view = await get_event(session, principal.organization_id, event_id, now=now, kind=kind)
    return EventDetail(**detail_facts(view, await count_stale(session, view), clocks))


def _wanted(body: EventIn, zone: str) -> tuple[EventInput, Clocks]:
    """A time without an offset is in the zone of the organization."""
    times = read_times(body.starts_at, body.ends_at, zone)
    wanted = EventInput(
        title=body.title,
        starts_at=times.starts_at,
        timezone=body.timezone or zone,
        ends_at=times.ends_at,
        number_id=body.number_id,
        sequence_id=body.sequence_id,
    )
    return wanted, times.clocks


async def _create(
    session: AsyncSession, operator: Principal, kind: EventKind, body: EventIn, now: datetime
) -> tuple[UUID, Clocks]:
    organization_id = operator.organization_id
    wanted, clocks = _wanted(body, operator.timezone)
    event_id = await service.create(
        session, organization_id, kind, wanted, actor=operator.actor, now=now
    )
    if body.group_ids:
        await set_groups(
            session, organization_id, event_id, body.group_ids, actor=operator.actor, now=now
        )
    if body.variables:
        await set_values(
            session, organization_id, event_id, body.variables, actor=operator.actor, now=now
        )
    return event_id, clocks


def _changed(
    view: EventView, body: EventChangesIn, operator: Principal
) -> tuple[EventInput, Clocks]:
    given = {name: getattr(body, name) for name in body.model_fields_set - {"dry_run"}}
    for name in ("title", "starts_at", "timezone"):
        if name in given and given[name] is None:
            why = "cannot be empty"
            raise InvalidInput(f"The {name.replace('_', ' ')} {why}.", fields={name: why})
    clocks: dict[ClockField, ClockChange | None] = {}
    for name, field in _TIMES.items():
        if given.get(name) is not None:
            given[name], clocks[field] = read_time(given[name], operator.timezone)
    if "starts_at" in given and "ends_at" not in given and view.ends_at is not None:
        given["ends_at"] = given["starts_at"] + (view.ends_at - view.starts_at)
    return replace(view.facts, **given), clocks


_TIMES: Final[Mapping[str, ClockField]] = {"starts_at": "startsAt", "ends_at": "endsAt"}


async def _variables(session: AsyncSession, view: EventView) -> VariablesOut:
    needed = needed_names(step.content for step in view.steps)
    names = [*needed, *(name for name in view.values if name not in needed)]
    items = [
        EventVariableOut(
            name=name,
            value=view.values.get(name),
            needed=name in needed,
            steps=[step.title for step in view.steps if name in scan(step.content).names],
        )
        for name in names
    ]
    return VariablesOut(items=items, stale_texts=await count_stale(session, view))


def read_cursor(cursor: str | None) -> EventCursor | None:
    if cursor is None:
        return None
    after = EventCursor.from_keys(decode_cursor(cursor, keys=2))
    if after is None:
        why = "is not valid"
        raise InvalidInput("This cursor is not one of ours.", fields={"cursor": why})
    return after


def cut(views: list[EventView], limit: int) -> tuple[list[EventView], str | None]:
    """A page, and the cursor to the next one, out of one row more than the page holds."""
    if len(views) <= limit:
        return views, None
    last = views[limit - 1]
    return views[:limit], encode_cursor(*EventCursor(last.starts_at, last.id).keys)


WORDS: tuple[Literal["workshop", "webinar"], ...] = ("workshop", "webinar")
workshops_router, webinars_router = (router_of(kind) for kind in WORDS)
