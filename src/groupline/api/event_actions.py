"""What is done with a workshop or webinar: run, move, call off, copy, send now."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.api.event_models import (
    CancelledEventOut,
    DuplicateIn,
    EventDetail,
    MovePlanOut,
    PreflightOut,
    RefreshedOut,
    RefreshIn,
    RescheduleIn,
    RunIn,
    RunOut,
    SendIn,
    SentOut,
    detail_facts,
    move_out,
    preflight_out,
    refreshed_out,
    run_out,
)
from groupline.api.event_times import read_times, time_notes
from groupline.events import service
from groupline.events.calendar import calendar_of
from groupline.events.pending import count_stale, refresh_texts
from groupline.events.preflight_run import Preflights
from groupline.events.queries import get_event
from groupline.events.reschedule import NewTime, reschedule
from groupline.events.run import run_sequence
from groupline.events.send import NewSend, from_template, send_now
from groupline.events.timeline import timeline
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import problems, read_time
from groupline.messages import media
from groupline.models import EventKind
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]
Sender = Annotated[Principal, Depends(allowed(Permission.SEND))]


def add_actions(router: APIRouter, kind: EventKind) -> None:
    _add_running(router, kind)
    _add_moving(router, kind)
    _add_ending(router, kind)
    _add_sending(router, kind)
    _add_calendar(router, kind)
    _add_preflight(router, kind)


def _add_running(router: APIRouter, kind: EventKind) -> None:
    @router.post(
        "/{event_id}/run-sequence",
        summary="Schedule one message for each step and group",
        response_model=RunOut,
        responses=problems(404, 409, 422),
    )
    async def run(
        *,
        runtime: CurrentRuntime,
        sender: Sender,
        once: CurrentIdempotency,
        event_id: UUID,
        body: Annotated[RunIn | None, Body()] = None,
    ) -> Response:
        """Again, or twice at once, it adds only what is missing. A text without a value refuses it
        with 422 `unresolved_variables`; `unresolved` of that answer names each and where it stands.
        """

        async def effect(session: AsyncSession) -> RunOut:
            result = await run_sequence(
                session,
                sender.organization_id,
                event_id,
                kind=kind,
                include_cancelled=body is not None and body.include_cancelled,
                actor=sender.actor,
                now=runtime.clock.now(),
            )
            return run_out(result)

        return await once.in_transaction(sender, effect)

    @router.post(
        "/{event_id}/refresh-texts",
        summary="Give pending messages the text of their template and values as they are now",
        response_model=RefreshedOut,
        responses=problems(404),
    )
    async def refresh(
        runtime: CurrentRuntime,
        sender: Sender,
        once: CurrentIdempotency,
        event_id: UUID,
        body: RefreshIn,
    ) -> Response:
        now = runtime.clock.now()

        async def effect(session: AsyncSession) -> RefreshedOut:
            await get_event(session, sender.organization_id, event_id, now=now, kind=kind)
            refreshed = await refresh_texts(
                session,
                sender.organization_id,
                event_id=event_id,
                dry_run=body.dry_run,
                actor=sender.actor,
                now=now,
            )
            return refreshed_out(refreshed)

        return await once.in_transaction(sender, effect)


def _add_moving(router: APIRouter, kind: EventKind) -> None:
    @router.post(
        "/{event_id}/reschedule",
        summary="Move it, and its pending messages",
        response_model=MovePlanOut,
        responses=problems(404, 409, 422),
    )
    async def move(
        runtime: CurrentRuntime,
        sender: Sender,
        once: CurrentIdempotency,
        event_id: UUID,
        body: RescheduleIn,
    ) -> Response:
        """The dry run shows the old and the new times of each step. The same start as before
        brings pending messages to the times that the steps have by now."""
        now, organization_id, zone = runtime.clock.now(), sender.organization_id, sender.timezone

        async def effect(session: AsyncSession) -> MovePlanOut:
            view = await get_event(session, organization_id, event_id, now=now, kind=kind)
            times = read_times(body.starts_at, body.ends_at, zone)
            new = NewTime.of(view, times.starts_at, ends_at=times.ends_at, timezone=body.timezone)
            plan = await reschedule(
                session,
                organization_id,
                event_id,
                new,
                past=body.past,
                dry_run=body.dry_run,
                actor=sender.actor,
                now=now,
            )
            return move_out(plan, time_notes(new.of_event(view), times.clocks))

        return await once.in_transaction(sender, effect)

    @router.post(
        "/{event_id}/duplicate",
        status_code=201,
        summary="The same once more, without its messages",
        response_model=EventDetail,
        responses=problems(404, 422),
    )
    async def duplicate(
        *,
        runtime: CurrentRuntime,
        operator: Operator,
        once: CurrentIdempotency,
        event_id: UUID,
        body: Annotated[DuplicateIn | None, Body()] = None,
    ) -> Response:
        wanted, now = body or DuplicateIn.model_construct(), runtime.clock.now()
        starts, clock = None, None
        if wanted.starts_at is not None:
            starts, clock = read_time(wanted.starts_at, operator.timezone)

        async def effect(session: AsyncSession) -> EventDetail:
            copy_id = await service.duplicate(
                session,
                operator.organization_id,
                event_id,
                kind=kind,
                starts_at=starts,
                title=wanted.title,
                actor=operator.actor,
                now=now,
            )
            view = await get_event(session, operator.organization_id, copy_id, now=now)
            return EventDetail(**detail_facts(view, 0, {"startsAt": clock}))

        return await once.in_transaction(operator, effect, status=201)


def _add_ending(router: APIRouter, kind: EventKind) -> None:
    @router.post(
        "/{event_id}/cancel",
        summary="Call it off, with all messages that have not left",
        response_model=CancelledEventOut,
        responses=problems(404, 409),
    )
    async def cancel(
        runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, event_id: UUID
    ) -> Response:
        now = runtime.clock.now()

        async def effect(session: AsyncSession) -> CancelledEventOut:
            count = await service.cancel(
                session,
                operator.organization_id,
                event_id,
                kind=kind,
                actor=operator.actor,
                now=now,
            )
            view = await get_event(session, operator.organization_id, event_id, now=now)
            return CancelledEventOut(**detail_facts(view, 0), cancelled_messages=count)

        return await once.in_transaction(operator, effect)

    @router.post(
        "/{event_id}/done",
        summary="Mark it as done",
        response_model=EventDetail,
        responses=problems(404, 409),
    )
    async def done(
        runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, event_id: UUID
    ) -> Response:
        now = runtime.clock.now()

        async def effect(session: AsyncSession) -> EventDetail:
            await service.finish(
                session,
                operator.organization_id,
                event_id,
                kind=kind,
                actor=operator.actor,
                now=now,
            )
            view = await get_event(session, operator.organization_id, event_id, now=now)
            return EventDetail(**detail_facts(view, await count_stale(session, view)))

        return await once.in_transaction(operator, effect)


def _add_sending(router: APIRouter, kind: EventKind) -> None:
    @router.post(
        "/{event_id}/send",
        status_code=201,
        summary="Send something to its groups now",
        response_model=SentOut,
        responses=problems(404, 409, 422),
    )
    async def send(
        runtime: CurrentRuntime,
        sender: Sender,
        once: CurrentIdempotency,
        event_id: UUID,
        body: SendIn,
    ) -> Response:
        wanted = await _looked_at(runtime, sender, event_id, kind, body)

        async def effect(session: AsyncSession) -> SentOut:
            ids = await send_now(
                session,
                sender.organization_id,
                event_id,
                wanted,
                kind=kind,
                actor=sender.actor,
                now=runtime.clock.now(),
            )
            return SentOut(scheduled=len(ids), message_ids=ids)

        return await once.in_transaction(sender, effect, status=201)


def _add_calendar(router: APIRouter, kind: EventKind) -> None:
    @router.get(
        "/{event_id}/calendar.ics",
        summary="It and its messages as a calendar file",
        response_class=Response,
        responses={200: {"content": {"text/calendar": {"example": "BEGIN:VCALENDAR"}}}},
    )
    async def calendar(runtime: CurrentRuntime, reader: Reader, event_id: UUID) -> Response:
        """Importing it again updates the same entries."""
        now = runtime.clock.now()
        async with runtime.database.reading() as session:
            view = await get_event(session, reader.organization_id, event_id, now=now, kind=kind)
            steps = await timeline(session, view, now)
        url = f"{runtime.settings.effective_base_url}/{kind}s/{event_id}"
        return Response(
            calendar_of(view, steps, url=url), media_type="text/calendar; charset=utf-8"
        )


def _add_preflight(router: APIRouter, kind: EventKind) -> None:
    @router.post(
        "/{event_id}/preflight",
        summary="Look for what stands between it and its messages",
        response_model=PreflightOut,
        responses=problems(404, 409),
    )
    async def preflight(
        runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, event_id: UUID
    ) -> Response:
        """The worker does the same 24 hours and one hour before the start."""

        async def effect() -> PreflightOut:
            preflights = Preflights(runtime.database, runtime.clock, runtime.media_policy)
            looked = await preflights.look(
                operator.organization_id, event_id, kind=kind, actor=operator.actor
            )
            return preflight_out(looked)

        return await once.around(operator, effect)


async def _looked_at(
    runtime: Runtime, sender: Principal, event_id: UUID, kind: EventKind, body: SendIn
) -> NewSend:
    """With its media, looked at before any transaction."""
    content, url, media_type = body.content, body.media_url, body.media_type
    organization_id = sender.organization_id
    async with runtime.database.reading() as session:
        await get_event(session, organization_id, event_id, now=runtime.clock.now(), kind=kind)
        if body.template_id is not None:
            content, url, media_type = await from_template(
                session, organization_id, body.template_id
            )
    found = await media.check_if_given(url, media_type, policy=runtime.media_policy)
    return NewSend(content, found, body.group_ids)
