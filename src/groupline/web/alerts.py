"""Settings → Alerts: the channels, and what they were told."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from groupline.alerts import queries, service
from groupline.alerts.channels import load_services, shown
from groupline.alerts.rules import ALERT_KINDS, KIND_WORDS
from groupline.alerts.send import try_channel
from groupline.alerts.service import ChannelInput
from groupline.errors import Conflict, InvalidInput
from groupline.http.auth import page_allowed, safe_next
from groupline.http.context import CurrentRuntime
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.rendering import CurrentPages, Pages

HERE: Final = "/settings/alerts"
router = APIRouter(prefix=HERE, dependencies=[Depends(load_services)])

Admin = Annotated[Principal, Depends(page_allowed(Permission.OUTGOING))]
Operator = Annotated[Principal, Depends(page_allowed(Permission.OPERATE))]
Kinds = Annotated[list[str] | None, Form()]
_RECENT: Final = 30
_EMPTY: Final = {"name": "", "url": "", "kinds": list(ALERT_KINDS)}


@router.get("")
async def index(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Admin
) -> Response:
    return await _page(request, runtime, pages, principal)


@router.post("")
async def add(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Admin,
    name: Annotated[str, Form(max_length=1000)] = "",
    url: Annotated[str, Form(max_length=4000)] = "",
    kinds: Kinds = None,
) -> Response:
    wanted = ChannelInput(name=name, url=url, kinds=kinds or [])
    try:
        async with runtime.database.writing() as session:
            made = await service.create_channel(
                session,
                runtime.vault,
                principal,
                wanted,
                allows=runtime.outgoing_allows,
                now=runtime.clock.now(),
            )
    except (InvalidInput, Conflict) as error:
        values = {"name": name, "url": url, "kinds": kinds or []}
        return await _page(request, runtime, pages, principal, values=values, errors=_fields(error))
    said = f"“{made.name}” is added. Send a test to see that it works."
    return pages.redirect(HERE, toast=("success", said))


@router.get("/{channel_id}")
async def show(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Admin,
    channel_id: UUID,
) -> Response:
    return await _channel_page(request, runtime, pages, principal, channel_id)


@router.post("/{channel_id}")
async def save(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Admin,
    channel_id: UUID,
    name: Annotated[str, Form(max_length=1000)] = "",
    url: Annotated[str, Form(max_length=4000)] = "",
    kinds: Kinds = None,
) -> Response:
    """Without an address the present one stays: it is shown to nobody."""
    wanted = ChannelInput(name=name, url=url.strip() or None, kinds=kinds or [])
    try:
        await _change(runtime, principal, channel_id, wanted)
    except (InvalidInput, Conflict) as error:
        values = {"name": name, "url": url, "kinds": kinds or []}
        return await _channel_page(
            request, runtime, pages, principal, channel_id, values=values, errors=_fields(error)
        )
    return pages.redirect(HERE, toast=("success", "The channel is saved."))


@router.post("/{channel_id}/enable")
async def enable(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Admin, channel_id: UUID
) -> Response:
    await _change(runtime, principal, channel_id, ChannelInput(enabled=True))
    return pages.redirect(HERE, toast=("success", "The channel is on."))


@router.post("/{channel_id}/disable")
async def disable(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Admin, channel_id: UUID
) -> Response:
    await _change(runtime, principal, channel_id, ChannelInput(enabled=False))
    return pages.redirect(HERE, toast=("success", "The channel is off: it is told nothing."))


@router.post("/{channel_id}/test")
async def test(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Admin, channel_id: UUID
) -> Response:
    error = await try_channel(
        runtime.database,
        runtime.vault,
        principal,
        channel_id,
        allows=runtime.outgoing_allows,
        clock=runtime.clock,
    )
    if error is not None:
        return pages.redirect(HERE, toast=("error", f"The test did not arrive. {error}"))
    return pages.redirect(HERE, toast=("success", "The service took the test."))


@router.post("/{channel_id}/remove")
async def remove(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Admin, channel_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        channel = await service.remove_channel(
            session, runtime.vault, principal, channel_id, now=runtime.clock.now()
        )
    return pages.redirect(HERE, toast=("success", f"“{channel.name}” is removed."))


@router.post("/raised/{alert_id}/put-away")
async def put_away(
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    alert_id: UUID,
    back: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    async with runtime.database.writing() as session:
        await service.put_away(session, principal, alert_id, now=runtime.clock.now())
    return pages.redirect(safe_next(back), toast=("success", "Put away."))


async def _change(
    runtime: Runtime, principal: Principal, channel_id: UUID, wanted: ChannelInput
) -> None:
    async with runtime.database.writing() as session:
        await service.change_channel(
            session,
            runtime.vault,
            principal,
            channel_id,
            wanted,
            allows=runtime.outgoing_allows,
            now=runtime.clock.now(),
        )


def _fields(error: InvalidInput | Conflict) -> dict[str, str]:
    if isinstance(error, InvalidInput):
        return error.fields
    return {"name" if error.extra.get("state") == "name_taken" else "": error.detail}


async def _page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    *,
    values: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> Response:
    organization_id = principal.organization_id
    async with runtime.database.reading() as session:
        channels = await service.list_channels(session, principal)
        alerts = await queries.recent_alerts(session, organization_id, limit=_RECENT)
        told = await queries.deliveries_of_alerts(
            session, organization_id, [each.id for each in alerts]
        )
    return pages.render(
        request,
        "alerts.html",
        principal=principal,
        nav="alerts",
        status=422 if errors else 200,
        channels=[(each, shown(runtime.vault.decrypt(each.url))) for each in channels],
        alerts=alerts,
        told=told,
        kinds=_kinds(),
        words=KIND_WORDS,
        values=values or _EMPTY,
        errors=errors or {},
    )


async def _channel_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    channel_id: UUID,
    *,
    values: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        channel = await service.get_channel(session, principal, channel_id)
    return pages.render(
        request,
        "alerts/show.html",
        principal=principal,
        nav="alerts",
        status=422 if errors else 200,
        channel=channel,
        address=shown(runtime.vault.decrypt(channel.url)),
        kinds=_kinds(),
        values=values or {"name": channel.name, "url": "", "kinds": channel.kinds},
        errors=errors or {},
    )


def _kinds() -> list[tuple[str, str, str]]:
    return [(each, *KIND_WORDS[each]) for each in ALERT_KINDS]
