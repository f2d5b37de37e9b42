"""Sequences: their steps in an order, when each is due, and the events that follow."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import InvalidInput, NotFound
from groupline.events import sequences, step_rules
from groupline.events.schemas import StepView
from groupline.events.sequence_schemas import SequenceView, StepInput
from groupline.events.sequence_updates import update_events
from groupline.events.sequences import ChangeSteps
from groupline.events.steps import in_words
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.name_lists import name_cursor, removed
from groupline.web.parsing import uuid_or_none
from groupline.web.rendering import CurrentPages, Toast
from groupline.web.sequence_steps import StepForm, TypedStep
from groupline.web.sequence_views import list_page, sequence_page, step_page

router = APIRouter(prefix="/sequences")

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(page_allowed(Permission.OPERATE))]
Name = Annotated[str, Form(max_length=1_000)]


def _id(text: str) -> UUID:
    found = uuid_or_none(text)
    if found is None:
        raise NotFound("There is no such sequence.")
    return found


@router.get("")
async def index(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    after = name_cursor(cursor)
    return await list_page(request, runtime, pages, principal, query=q, after=after)


@router.post("")
async def create(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    name: Name = "",
) -> Response:
    try:
        async with runtime.database.writing() as session:
            view = await sequences.create_sequence(
                session,
                principal.organization_id,
                name,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
    except InvalidInput as error:
        return await list_page(request, runtime, pages, principal, name=name, refused=error)
    toast: Toast = ("success", f"Made “{view.name}”. Now add its steps.")
    return pages.redirect(f"/sequences/{view.id}", toast=toast)


@router.get("/{sequence_id}")
async def show(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    sequence_id: str,
    starts_at: Annotated[str, Query(max_length=50)] = "",
) -> Response:
    return await sequence_page(
        request, runtime, pages, principal, _id(sequence_id), starts_at=starts_at
    )


@router.post("/{sequence_id}/rename")
async def rename(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    sequence_id: UUID,
    name: Name = "",
) -> Response:
    try:
        async with runtime.database.writing() as session:
            view = await sequences.rename_sequence(
                session,
                principal.organization_id,
                sequence_id,
                name,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
    except InvalidInput as error:
        return await sequence_page(
            request, runtime, pages, principal, sequence_id, name=name, rename_refused=error
        )
    return pages.redirect(f"/sequences/{view.id}", toast=("success", f"Now “{view.name}”."))


@router.post("/{sequence_id}/duplicate")
async def duplicate(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, sequence_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        copy = await sequences.duplicate_sequence(
            session,
            principal.organization_id,
            sequence_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    return pages.redirect(f"/sequences/{copy.id}", toast=("success", f"Made “{copy.name}”."))


@router.post("/{sequence_id}/remove")
async def remove(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, sequence_id: UUID
) -> Response:
    async def remove_it(session: AsyncSession) -> None:
        await sequences.remove_sequence(
            session,
            principal.organization_id,
            sequence_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )

    return await removed(runtime, pages, "/sequences", sequence_id, remove_it)


@router.post("/{sequence_id}/update-events")
async def bring_in_line(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, sequence_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        done = await update_events(
            session,
            principal.organization_id,
            sequence_id,
            dry_run=False,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = ", ".join(
        f"{done.count(what):,} {word}"
        for what, word in (
            ("added", "scheduled"),
            ("moved", "moved"),
            ("rewritten", "rewritten"),
            ("cancelled", "called off"),
        )
        if done.count(what)
    )
    return pages.redirect(
        f"/sequences/{sequence_id}", toast=("success", f"Messages: {said or 'nothing to do'}.")
    )


# --- steps ----------------------------------------------------------------------------------


@router.post("/{sequence_id}/steps")
async def add_step(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    sequence_id: UUID,
    form: StepForm,
) -> Response:
    await _need(runtime, principal, sequence_id)
    try:
        step = form.input(None)
        await _change(runtime, principal, sequence_id, lambda steps: [*steps, step])
    except InvalidInput as error:
        return await sequence_page(
            request, runtime, pages, principal, sequence_id, step=form, step_refused=error
        )
    said = f"Added: {in_words(step.timing)}."
    return pages.redirect(f"/sequences/{sequence_id}", toast=("success", said))


@router.post("/{sequence_id}/order")
async def reorder(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    sequence_id: UUID,
    step: Annotated[list[UUID] | None, Form()] = None,
    move: Annotated[str, Form(max_length=60)] = "",
) -> Response:
    """The steps as the page lists them; ``move`` is the button of one: its id, and up or down."""
    moved_id, _, way = move.partition(":")
    moving = uuid_or_none(moved_id)

    def change(steps: list[StepInput]) -> Sequence[StepInput]:
        order = step_rules.ordered(steps, step or [])
        if moving is None:
            return order
        return step_rules.moved(order, moving, -1 if way == "up" else 1)

    await _change(runtime, principal, sequence_id, change)
    return pages.redirect(f"/sequences/{sequence_id}", toast=("success", "Saved the order."))


@router.get("/{sequence_id}/steps/{step_id}")
async def edit_step(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    sequence_id: str,
    step_id: str,
) -> Response:
    view = await _need(runtime, principal, _id(sequence_id))
    step = _step(view, _id(step_id))
    return await step_page(
        request, runtime, pages, principal, view=view, step=step, form=TypedStep.of(step)
    )


@router.post("/{sequence_id}/steps/{step_id}")
async def save_step(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    sequence_id: UUID,
    step_id: UUID,
    form: StepForm,
) -> Response:
    view = await _need(runtime, principal, sequence_id)
    step = _step(view, step_id)
    try:
        wanted = form.input(step_id)
        await _change(
            runtime,
            principal,
            sequence_id,
            lambda steps: [wanted if each.id == step_id else each for each in steps],
        )
    except InvalidInput as error:
        return await step_page(
            request, runtime, pages, principal, view=view, step=step, form=form, refused=error
        )
    said = f"Saved: {in_words(wanted.timing)}."
    return pages.redirect(f"/sequences/{sequence_id}", toast=("success", said))


@router.post("/{sequence_id}/steps/{step_id}/remove")
async def remove_step(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    sequence_id: UUID,
    step_id: UUID,
) -> Response:
    await _change(
        runtime,
        principal,
        sequence_id,
        lambda steps: [each for each in steps if each.id != step_id],
    )
    said = "Removed. What was scheduled for it is still there."
    return pages.redirect(f"/sequences/{sequence_id}", toast=("success", said))


async def _need(runtime: Runtime, principal: Principal, sequence_id: UUID) -> SequenceView:
    async with runtime.database.reading() as session:
        return await sequences.get_sequence(session, principal.organization_id, sequence_id)


def _step(view: SequenceView, step_id: UUID) -> StepView:
    step = next((each for each in view.steps if each.id == step_id), None)
    if step is None:
        raise NotFound("There is no such step.")
    return step


async def _change(
    runtime: Runtime, principal: Principal, sequence_id: UUID, change: ChangeSteps
) -> None:
    async with runtime.database.writing() as session:
        await sequences.change_steps(
            session,
            principal.organization_id,
            sequence_id,
            change,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
