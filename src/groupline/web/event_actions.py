"""What a person does with an event: run, move, send now, copy, call off, delete."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, cast
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import InvalidInput
from groupline.events import service
from groupline.events.pending import refresh_texts
from groupline.events.preflight_run import Preflights
from groupline.events.preflight_store import Looked
from groupline.events.reschedule import NewTime, reschedule
from groupline.events.run import run_sequence
from groupline.events.schemas import EventView, MovePlan, PastRule, Refreshed
from groupline.events.texts import UnresolvedVariables
from groupline.http.context import CurrentRuntime
from groupline.models import EventKind
from groupline.orgs.rules import Principal, check_timezone, timezone_names
from groupline.runtime import Runtime
from groupline.text import amount
from groupline.web.event_parts import run_toast
from groupline.web.event_shared import (
    EventId,
    Operator,
    Sender,
    clock_notes,
    find,
    left_if_over,
    pending_count,
    read_times,
    wall_clock,
    why_over,
    words,
)
from groupline.web.rendering import CurrentPages, Pages, Toast

_DRAFT: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


def add_actions(router: APIRouter, kind: EventKind) -> None:
    _add_running(router, kind)
    _add_moving(router, kind)
    _add_ending(router, kind)


# --- run ------------------------------------------------------------------------------------


def _add_running(router: APIRouter, kind: EventKind) -> None:
    @router.post("/{event_id}/run")
    async def run(
        *,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Sender,
        event_id: EventId,
        include_cancelled: Annotated[bool, Form()] = False,
    ) -> Response:
        try:
            async with runtime.database.writing() as session:
                result = await run_sequence(
                    session,
                    principal.organization_id,
                    event_id,
                    kind=kind,
                    include_cancelled=include_cancelled,
                    actor=principal.actor,
                    now=runtime.clock.now(),
                )
        except UnresolvedVariables:
            asked = f"/{kind}s/{event_id}/variables?missing=true"
            return pages.redirect(asked, toast=("warning", "Nothing was scheduled yet."))
        return pages.redirect(f"/{kind}s/{event_id}", toast=run_toast(result))

    @router.post("/{event_id}/preflight")
    async def preflight(
        runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, event_id: EventId
    ) -> Response:
        preflights = Preflights(runtime.database, runtime.clock, runtime.media_policy)
        looked = await preflights.look(
            principal.organization_id, event_id, kind=kind, actor=principal.actor
        )
        return pages.redirect(f"/{kind}s/{event_id}", toast=_looked(looked))

    @router.post("/{event_id}/refresh-texts")
    async def refresh(
        runtime: CurrentRuntime, pages: CurrentPages, principal: Sender, event_id: EventId
    ) -> Response:
        await find(runtime, principal, kind, event_id)
        async with runtime.database.writing() as session:
            refreshed = await refresh_texts(
                session,
                principal.organization_id,
                event_id=event_id,
                dry_run=False,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
        return pages.redirect(f"/{kind}s/{event_id}", toast=_refreshed(refreshed))


def _refreshed(refreshed: Refreshed) -> Toast:
    said = f"{amount(refreshed.messages, 'message has', 'messages have')} the new text."
    if not refreshed.kept:
        return "success", said
    kept = amount(refreshed.kept, "keeps", "keep")
    return "warning", f"{said} {kept} the old one: {refreshed.unresolved[0].sentence}"


def _looked(looked: Looked) -> Toast:
    if not looked.findings:
        return "success", "Checked: nothing stands in the way."
    problems, warnings = looked.problems, len(looked.findings) - looked.problems
    said = f"Checked: {problems:,} to put right" + (f", {warnings:,} to know." if warnings else ".")
    return ("warning" if problems else "success"), said


# --- move -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    """Where somebody wants to move an event, as they typed it."""

    starts: str = ""
    ends: str = ""
    timezone: str = ""
    past: str = "cancel"

    @property
    def is_given(self) -> bool:
        return bool(self.starts)

    @property
    def rule(self) -> PastRule:
        return cast("PastRule", self.past) if self.past in ("cancel", "send") else "cancel"

    def read(self, event: EventView) -> tuple[NewTime, list[str]]:
        """With what a change of the clocks in the chosen zone does to it."""
        zone = ZoneInfo(check_timezone(self.timezone))
        times = read_times(self.starts, self.ends, zone, event)
        new = NewTime(times.starts_at, times.ends_at, self.timezone)
        return new, clock_notes(new.of_event(event), times.clocks)


def _asked(
    starts: Annotated[str, Query(max_length=40)] = "",
    ends: Annotated[str, Query(max_length=40)] = "",
    timezone: Annotated[str, Query(max_length=100)] = "",
    past: Annotated[str, Query(max_length=10)] = "cancel",
) -> Move:
    return Move(starts, ends, timezone, past)


def _ordered(
    starts: Annotated[str, Form(max_length=40)],
    ends: Annotated[str, Form(max_length=40)] = "",
    timezone: Annotated[str, Form(max_length=100)] = "",
    past: Annotated[str, Form(max_length=10)] = "cancel",
) -> Move:
    return Move(starts, ends, timezone, past)


def _add_moving(router: APIRouter, kind: EventKind) -> None:
    @router.get("/{event_id}/reschedule")
    async def preview(
        *,
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Sender,
        event_id: EventId,
        asked: Annotated[Move, Depends(_asked)],
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        if left := left_if_over(pages, event):
            return left
        notes: list[str] = []
        plan, refused = None, None
        if asked.is_given:
            try:
                async with runtime.database.reading() as session:
                    plan, notes = await _move(
                        session, runtime, principal, event, asked, dry_run=True
                    )
            except InvalidInput as error:
                refused = error
        return _move_page(
            request, pages, principal, event, asked, plan=plan, notes=notes, refused=refused
        )

    @router.post("/{event_id}/reschedule")
    async def move(
        *,
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Sender,
        event_id: EventId,
        asked: Annotated[Move, Depends(_ordered)],
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        try:
            async with runtime.database.writing() as session:
                plan, notes = await _move(session, runtime, principal, event, asked, dry_run=False)
        except InvalidInput as error:
            return _move_page(request, pages, principal, event, asked, refused=error)
        return pages.redirect(f"/{kind}s/{event_id}", toast=_moved(plan, notes))


async def _move(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    event: EventView,
    asked: Move,
    *,
    dry_run: bool,
) -> tuple[MovePlan, list[str]]:
    new, notes = asked.read(event)
    plan = await reschedule(
        session,
        principal.organization_id,
        event.id,
        new,
        past=asked.rule,
        dry_run=dry_run,
        actor=principal.actor,
        now=runtime.clock.now(),
    )
    return plan, notes


def _moved(plan: MovePlan, notes: Sequence[str]) -> Toast:
    said = [f"Moved. {plan.count('moves'):,} messages go at their new times."]
    if now := plan.count("sends_now"):
        said.append(f"{now:,} go at once.")
    if gone := plan.count("cancelled"):
        said.append(f"{gone:,} are cancelled: their new time is over.")
    return ("warning" if notes else "success"), " ".join([*said, *notes])


def _move_page(
    request: Request,
    pages: Pages,
    principal: Principal,
    event: EventView,
    asked: Move,
    *,
    plan: MovePlan | None = None,
    notes: Sequence[str] = (),
    refused: InvalidInput | None = None,
) -> Response:
    if not asked.is_given:
        ends = wall_clock(event.ends_at, event.zone) if event.ends_at else ""
        asked = Move(wall_clock(event.starts_at, event.zone), ends, event.timezone)
    names = {"startsAt": "starts", "endsAt": "ends"}
    fields = refused.fields if refused else {}
    return pages.render(
        request,
        "events/reschedule.html",
        principal=principal,
        nav=f"{event.kind}s",
        status=200 if refused is None else refused.status,
        **words(event.kind),
        event=event,
        asked=asked,
        plan=plan,
        notes=notes,
        errors={names.get(name, name): why for name, why in fields.items()},
        timezones=[(name, name) for name in timezone_names(asked.timezone)],
        new_zone=ZoneInfo(asked.timezone) if plan else event.zone,
    )


# --- copy, call off, delete -----------------------------------------------------------------


def _add_ending(router: APIRouter, kind: EventKind) -> None:
    @router.post("/{event_id}/duplicate")
    async def duplicate(
        runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, event_id: EventId
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        async with runtime.database.writing() as session:
            copy_id = await service.duplicate(
                session,
                principal.organization_id,
                event_id,
                kind=kind,
                title=f"{event.title[:180]} (copy)",
                actor=principal.actor,
                now=runtime.clock.now(),
            )
        said = "This is the copy, with the same groups and values. Give it its time."
        return pages.redirect(f"/{kind}s/{copy_id}/edit", toast=("success", said))

    @router.get("/{event_id}/cancel")
    async def consequences(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        return pages.render(
            request,
            "events/cancel.html",
            principal=principal,
            nav=f"{kind}s",
            **words(kind),
            event=event,
            over=why_over(event),
            pending=pending_count(event),
            sent=event.counts.get("sent", 0),
            deletable=not set(event.counts) - {"scheduled", "waiting", "cancelled"},
        )

    @router.post("/{event_id}/cancel")
    async def cancel(
        runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, event_id: EventId
    ) -> Response:
        async with runtime.database.writing() as session:
            count = await service.cancel(
                session,
                principal.organization_id,
                event_id,
                kind=kind,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
        said = f"Cancelled, with {count:,} message{'' if count == 1 else 's'}."
        return pages.redirect(f"/{kind}s/{event_id}", toast=("success", said))

    @router.post("/{event_id}/done")
    async def done(
        runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, event_id: EventId
    ) -> Response:
        async with runtime.database.writing() as session:
            await service.finish(
                session,
                principal.organization_id,
                event_id,
                kind=kind,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
        return pages.redirect(f"/{kind}s/{event_id}", toast=("success", "It is done."))

    @router.post("/{event_id}/delete")
    async def delete(
        *,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
        cancel_messages: Annotated[bool, Form()] = False,
    ) -> Response:
        async with runtime.database.writing() as session:
            await service.remove(
                session,
                principal.organization_id,
                event_id,
                kind=kind,
                cancel_messages=cancel_messages,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
        return pages.redirect(f"/{kind}s", toast=("success", f"The {kind} is deleted."))
