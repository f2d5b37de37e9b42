"""Settings → WhatsApp connection: what is done to a number, and cleaning up the history."""

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from groupline.errors import InvalidInput
from groupline.gateways.phone import display_phone
from groupline.http.context import CurrentRuntime
from groupline.models import WhatsappSession
from groupline.numbers import service, states, views
from groupline.numbers.change import NumberChange, change_number
from groupline.numbers.context import Context
from groupline.numbers.handover import hand_over
from groupline.numbers.history import clean_up
from groupline.numbers.states import NumberState
from groupline.numbers.views import NumberView
from groupline.orgs.rules import Principal
from groupline.runtime import Runtime
from groupline.web.connection import (
    CLEAN_UP_AFTER_DAYS,
    HERE,
    Connector,
    Operator,
    cleanup_ages,
    follows,
    verified,
)
from groupline.web.rendering import CurrentPages

router = APIRouter(prefix=HERE)


@router.post("/numbers/{number_id}/reconnect")
async def reconnect(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Connector, number_id: UUID
) -> Response:
    row = await service.reconnect(
        Context.of(runtime), principal.organization_id, number_id, actor=principal.actor
    )
    if row.status == "connected":
        return pages.redirect(HERE, toast=("success", "Connected again, without a scan."))
    return pages.redirect(f"{HERE}?session={row.id}")


@router.post("/numbers/{number_id}/verify")
async def verify_number(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, number_id: UUID
) -> Response:
    context = Context.of(runtime)
    row = await service.verify_number(
        context, principal.organization_id, number_id, actor=principal.actor
    )
    async with runtime.database.reading() as session:
        view = await views.show_number(
            session, principal.organization_id, number_id, context.clock.now()
        )
    return pages.redirect(HERE, toast=verified(row, view.shown.connection))


@router.post("/numbers/{number_id}/disconnect")
async def disconnect(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Connector, number_id: UUID
) -> Response:
    row = await service.disconnect_number(
        Context.of(runtime), principal.organization_id, number_id, actor=principal.actor
    )
    if row.logout_confirmed_at is not None:
        return pages.redirect(HERE, toast=("success", "Disconnected, and logged out."))
    words = "Disconnected. The gateway is told to log out as soon as it answers."
    return pages.redirect(HERE, toast=("warning", words))


@router.post("/numbers/{number_id}/rename")
async def rename(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    number_id: UUID,
    name: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    async with runtime.database.writing() as session:
        await change_number(
            session,
            principal.organization_id,
            number_id,
            NumberChange(display_name=name),
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    return pages.redirect(HERE, toast=("success", "The name was saved."))


@router.post("/numbers/{number_id}/standby")
async def standby(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    number_id: UUID,
    standby_id: Annotated[str, Form(alias="standbyId", max_length=50)] = "",
) -> Response:
    chosen = _uuid_or_none(standby_id)
    async with runtime.database.writing() as session:
        await change_number(
            session,
            principal.organization_id,
            number_id,
            NumberChange(standby_number_id=chosen),
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    words = "The standby was removed." if chosen is None else "The standby was saved."
    return pages.redirect(HERE, toast=("success", words))


@router.post("/numbers/{number_id}/pause")
async def pause(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Connector, number_id: UUID
) -> Response:
    view = await _set_paused(runtime, principal, number_id, paused=True)
    words = f"{view.phone} is paused: nothing is sent until somebody resumes it."
    return pages.redirect(HERE, toast=("success", words))


@router.post("/numbers/{number_id}/resume")
async def resume(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Connector, number_id: UUID
) -> Response:
    view = await _set_paused(runtime, principal, number_id, paused=False)
    if view.shown.state in _SENDS:
        return pages.redirect(HERE, toast=("success", f"{view.phone} sends again."))
    words = f"{view.phone} is no longer paused. But it does not send yet: {view.shown.sentence}"
    return pages.redirect(HERE, toast=("warning", words))


_SENDS: Final = frozenset({NumberState.CONNECTED, NumberState.VERIFYING, NumberState.SUSPECT})


async def _set_paused(
    runtime: Runtime, principal: Principal, number_id: UUID, *, paused: bool
) -> NumberView:
    organization_id, now = principal.organization_id, runtime.clock.now()
    async with runtime.database.writing() as session:
        await change_number(
            session,
            organization_id,
            number_id,
            NumberChange(paused=paused),
            actor=principal.actor,
            now=now,
        )
        return await views.show_number(session, organization_id, number_id, now)


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise InvalidInput("This is not one of your numbers.") from error


@router.get("/numbers/{number_id}/handover")
async def preview_handover(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    number_id: UUID,
    to: Annotated[str, Query(max_length=50)] = "",
) -> Response:
    """Choose the other number, and see what moves and what stays."""
    target_id, now = _uuid_or_none(to), runtime.clock.now()
    async with runtime.database.reading() as session:
        numbers = await views.list_numbers(session, principal.organization_id, now)
        source = await views.show_number(session, principal.organization_id, number_id, now)
        preview = None
        if target_id is not None and target_id != number_id:
            preview = await hand_over(
                session,
                principal.organization_id,
                number_id,
                target_id,
                dry_run=True,
                actor=principal.actor,
                now=now,
            )
    return pages.render(
        request,
        "connection_handover.html",
        principal=principal,
        nav="connection",
        source=source,
        targets=[(view.number.id, view.name) for view in numbers if view.number.id != number_id],
        preview=preview,
        phone=display_phone,
        follows=follows,
    )


@router.post("/numbers/{number_id}/handover")
async def handover(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    number_id: UUID,
    to: Annotated[UUID, Form()],
) -> Response:
    async with runtime.database.writing() as session:
        done = await hand_over(
            session,
            principal.organization_id,
            number_id,
            to,
            dry_run=False,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    moved = follows(done.moves) or "nothing"
    words = f"Handed over to {display_phone(done.target.phone_number)}: {moved}."
    return pages.redirect(HERE, toast=("success", words))


# --- cleaning up ----------------------------------------------------------------------------


@router.get("/cleanup")
async def preview_cleanup(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    days: Annotated[int, Query(alias="olderThanDays", ge=0, le=3650)] = CLEAN_UP_AFTER_DAYS,
) -> Response:
    found, _ = await _clean_up(runtime, principal, days, dry_run=True)
    async with runtime.database.reading() as session:
        described = await views.describe_sessions(session, found)
    return pages.render(
        request,
        "connection_cleanup.html",
        principal=principal,
        nav="connection",
        found=described,
        days=days,
        ages=cleanup_ages(days),
        phone=display_phone,
        ended=states.ended_sentence,
    )


@router.post("/cleanup")
async def cleanup(
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    days: Annotated[int, Form(alias="olderThanDays", ge=0, le=3650)] = CLEAN_UP_AFTER_DAYS,
) -> Response:
    _, deleted = await _clean_up(runtime, principal, days, dry_run=False)
    words = f"Removed {deleted} session{'' if deleted == 1 else 's'} from the history."
    return pages.redirect(HERE, toast=("success", words))


async def _clean_up(
    runtime: Runtime, principal: Principal, days: int, *, dry_run: bool
) -> tuple[list[WhatsappSession], int]:
    done = await clean_up(
        Context.of(runtime),
        principal.organization_id,
        older_than=timedelta(days=days),
        dry_run=dry_run,
        actor=principal.actor,
    )
    return list(done.sessions), done.deleted
