"""Settings → Gateways, for administrators of the installation."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from groupline.chronicle.unplaced import Outcome, count_waiting, unplaced_reports
from groupline.errors import Conflict, InvalidInput
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.port import Probe
from groupline.gateways.service import (
    GatewayInput,
    change_gateway,
    get_gateway,
    list_gateways,
    note_probe,
    register_gateway,
    remove_gateway,
)
from groupline.gateways.webhook_secrets import (
    KEPT_FOR,
    Rotation,
    drop_old_webhook_secret,
    rotate_webhook_secret,
    valid_secrets,
)
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import encode_cursor, uuid_cursor
from groupline.inbound.store import KEPT_FOR as REPORTS_KEPT_FOR
from groupline.models import Gateway
from groupline.numbers.context import Context
from groupline.numbers.strays import held_sessions, lists_sessions, log_out_stray
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.parsing import count_or_zero
from groupline.web.rendering import CurrentPages, Pages

router = APIRouter(prefix="/settings/gateways")

Administrator = Annotated[Principal, Depends(page_allowed(Permission.INSTALLATION))]
_HERE = "/settings/gateways"
_REPORTS_ON_A_PAGE: Final = 50
_EMPTY: dict[str, Any] = {"name": "", "baseUrl": "", "auth": AuthScheme.API_KEY.value}


@dataclass(frozen=True, slots=True)
class Edited:
    """What somebody wanted a gateway to be, and why it cannot."""

    gateway_id: UUID
    values: dict[str, str]
    errors: dict[str, str]


@router.get("")
async def index(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Administrator
) -> Response:
    return await _page(request, runtime, pages, principal, _EMPTY)


@router.post("")
async def add(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Administrator,
    name: Annotated[str, Form()] = "",
    base_url: Annotated[str, Form(alias="baseUrl")] = "",
    api_key: Annotated[str, Form(alias="apiKey")] = "",
    webhook_secret: Annotated[str, Form(alias="webhookSecret")] = "",
    auth: Annotated[AuthScheme, Form()] = AuthScheme.API_KEY,
) -> Response:
    wanted = GatewayInput(
        name=name,
        base_url=base_url,
        api_key=api_key,
        auth=auth,
        webhook_secret=webhook_secret or None,
    )
    try:
        async with runtime.database.writing() as session:
            gateway = await register_gateway(
                session, runtime.vault, wanted, actor=principal.actor, now=runtime.clock.now()
            )
    except InvalidInput as error:
        values = {"name": name, "baseUrl": base_url, "auth": auth.value}
        return await _page(request, runtime, pages, principal, values, errors=error.fields)
    except Conflict as error:
        values = {"name": name, "baseUrl": base_url, "auth": auth.value}
        errors = {"name": error.detail}
        return await _page(request, runtime, pages, principal, values, errors=errors)
    return pages.redirect(_HERE, toast=("success", f"{gateway.name} is registered."))


@router.post("/{gateway_id}/edit")
async def edit(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Administrator,
    gateway_id: UUID,
    name: Annotated[str, Form()] = "",
    base_url: Annotated[str, Form(alias="baseUrl")] = "",
    api_key: Annotated[str, Form(alias="apiKey")] = "",
    max_in_flight: Annotated[str, Form(alias="maxInFlight")] = "",
) -> Response:
    """Saves, asks the gateway as it is now, and says what came of it."""
    wanted = GatewayInput(
        name=name,
        base_url=base_url,
        api_key=api_key.strip() or None,
        max_in_flight=count_or_zero(max_in_flight),
    )
    values = {"name": name, "baseUrl": base_url, "maxInFlight": max_in_flight}
    try:
        async with runtime.database.writing() as session:
            gateway = await change_gateway(
                session,
                runtime.vault,
                gateway_id,
                wanted,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
    except (InvalidInput, Conflict) as error:
        errors = error.fields if isinstance(error, InvalidInput) else {"name": error.detail}
        edited = Edited(gateway_id, values, errors)
        return await _page(request, runtime, pages, principal, _EMPTY, edited=edited)
    found = await _ask(runtime, gateway)
    if found.error is not None:
        words = f"{gateway.name} is saved. But it is not as it should be: {found.error}"
        return pages.redirect(_HERE, toast=("error", words))
    words = f"{gateway.name} is saved, and answers{_latency(found)}."
    return pages.redirect(_HERE, toast=("success", words))


@router.post("/{gateway_id}/probe")
async def probe(
    runtime: CurrentRuntime, pages: CurrentPages, _: Administrator, gateway_id: UUID
) -> Response:
    async with runtime.database.reading() as session:
        gateway = await get_gateway(session, gateway_id)
    found = await _ask(runtime, gateway)
    if found.error is not None:
        return pages.redirect(_HERE, toast=("error", f"{gateway.name}: {found.error}"))
    return pages.redirect(_HERE, toast=("success", f"{gateway.name} answers{_latency(found)}."))


@router.post("/{gateway_id}/rotate-secret")
async def rotate_secret(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Administrator,
    gateway_id: UUID,
    keep_days: Annotated[int, Form(alias="keepDays", ge=0, le=90)] = KEPT_FOR.days,
) -> Response:
    """The new secret is on this page and on no other."""
    async with runtime.database.writing() as session:
        done = await rotate_webhook_secret(
            session,
            runtime.vault,
            gateway_id,
            keep_old_for=timedelta(days=keep_days),
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    return await _page(request, runtime, pages, principal, _EMPTY, made=done)


@router.post("/{gateway_id}/drop-secret")
async def drop_secret(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Administrator, gateway_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        gateway = await drop_old_webhook_secret(
            session, runtime.vault, gateway_id, actor=principal.actor, now=runtime.clock.now()
        )
    words = f"Only the newest webhook secret of {gateway.name} is good now."
    return pages.redirect(_HERE, toast=("success", words))


@router.get("/{gateway_id}/sessions")
async def sessions(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Administrator,
    gateway_id: UUID,
) -> Response:
    """What the gateway holds, and what of it is known nowhere here."""
    return pages.render(
        request,
        "settings_gateway_sessions.html",
        principal=principal,
        nav="gateways",
        holding=await held_sessions(Context.of(runtime), principal.organization_id, gateway_id),
    )


@router.post("/{gateway_id}/sessions/log-out")
async def log_out_session(
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Administrator,
    gateway_id: UUID,
    name: Annotated[str, Form(max_length=200)],
) -> Response:
    await log_out_stray(Context.of(runtime), gateway_id, name, actor=principal.actor)
    words = "The gateway has logged the session out."
    return pages.redirect(f"{_HERE}/{gateway_id}/sessions", toast=("success", words))


@router.get("/{gateway_id}/reports")
async def reports(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Administrator,
    gateway_id: UUID,
    tab: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """What it reported, and what could not be given to any message or session."""
    outcome: Outcome | None = next((each for each in get_args(Outcome) if each == tab), None)
    async with runtime.database.reading() as session:
        gateway = await get_gateway(session, gateway_id)
        page = await unplaced_reports(
            session,
            principal.organization_id,
            gateway_id,
            outcome=outcome,
            before=uuid_cursor(cursor),
            limit=_REPORTS_ON_A_PAGE,
        )
        waiting = await count_waiting(session, gateway_id)
    here = f"{_HERE}/{gateway_id}/reports"
    next_url = None
    if page.next_before is not None:
        asked = {"tab": outcome or "", "cursor": encode_cursor(str(page.next_before))}
        next_url = f"{here}?{urlencode(asked)}"
    return pages.render(
        request,
        "settings_gateway_reports.html",
        principal=principal,
        nav="gateways",
        gateway=gateway,
        reports=page.items,
        outcome=outcome,
        waiting=waiting,
        kept_days=REPORTS_KEPT_FOR.days,
        here=here,
        next_url=next_url,
    )


@router.post("/{gateway_id}/enable")
async def enable(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Administrator, gateway_id: UUID
) -> Response:
    return await _switch(runtime, pages, principal, gateway_id, enabled=True)


@router.post("/{gateway_id}/disable")
async def disable(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Administrator, gateway_id: UUID
) -> Response:
    return await _switch(runtime, pages, principal, gateway_id, enabled=False)


@router.post("/{gateway_id}/remove")
async def remove(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Administrator, gateway_id: UUID
) -> Response:
    try:
        async with runtime.database.writing() as session:
            await remove_gateway(
                session, gateway_id, actor=principal.actor, now=runtime.clock.now()
            )
    except Conflict as error:
        return pages.redirect(_HERE, toast=("error", f"{error.detail} {error.hint}"))
    return pages.redirect(_HERE, toast=("success", "The gateway is removed."))


async def _ask(runtime: Runtime, gateway: Gateway) -> Probe:
    """Asks the gateway, and stores what it said."""
    found = await runtime.gateways.probe(gateway)
    async with runtime.database.writing() as session:
        await note_probe(session, gateway.id, found, runtime.clock.now())
    return found


def _latency(found: Probe) -> str:
    return "" if found.latency_ms is None else f" within {found.latency_ms:.0f} ms"


async def _switch(
    runtime: Runtime, pages: Pages, principal: Principal, gateway_id: UUID, *, enabled: bool
) -> Response:
    async with runtime.database.writing() as session:
        gateway = await change_gateway(
            session,
            runtime.vault,
            gateway_id,
            GatewayInput(enabled=enabled),
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    word = "in use again" if enabled else "disabled: nothing new is connected through it"
    return pages.redirect(_HERE, toast=("success", f"{gateway.name} is {word}."))


async def _page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    values: dict[str, Any],
    *,
    errors: dict[str, str] | None = None,
    edited: Edited | None = None,
    made: Rotation | None = None,
) -> Response:
    now = runtime.clock.now()
    async with runtime.database.reading() as session:
        gateways = await list_gateways(session)
    return pages.render(
        request,
        "settings_gateways.html",
        principal=principal,
        nav="gateways",
        status=422 if errors or edited else 200,
        gateways=gateways,
        secrets={row.id: valid_secrets(runtime.vault, row, now) for row in gateways},
        lists_sessions=lists_sessions,
        made=made,
        kept_days=KEPT_FOR.days,
        hooks_url=f"{runtime.settings.effective_base_url}/hooks",
        values=values,
        errors=errors or {},
        edited=edited,
        schemes=[("api_key", "X-API-Key"), ("bearer", "Authorization: Bearer")],
    )
