"""Settings → Webhooks: endpoints, and the log of what was delivered to each."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import Response

from groupline.errors import Conflict, InvalidInput
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import encode_cursor, time_cursor
from groupline.models import DeliveryStatus
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.rendering import CurrentPages, Pages
from groupline.webhooks import service
from groupline.webhooks.rules import EVENT_TYPES
from groupline.webhooks.service import EndpointInput, NewEndpoint, shown_host

HERE: Final = "/settings/webhooks"
router = APIRouter(prefix=HERE)

Admin = Annotated[Principal, Depends(page_allowed(Permission.OUTGOING))]
Types = Annotated[list[str] | None, Form(alias="eventTypes")]
_ON_A_PAGE: Final = 50
_EMPTY: Final = {"url": "", "description": "", "eventTypes": ["number.disconnected"]}

WORDS: Final = {
    "number.connected": "A number is connected.",
    "number.disconnected": "A number is disconnected, with what is due on it.",
    "number.restricted": "WhatsApp restricts what a number may send.",
    "message.sent": "A message was sent.",
    "message.failed": "A message failed for good.",
    "message.uncertain": "Nobody knows whether a message arrived.",
    "message.expired": "A message did not leave in time.",
    "campaign.finished": "Every message of a campaign has its end.",
    "groups.synced": "The groups of a number were synced.",
    "preflight.failed": "An event is not ready shortly before it begins.",
}


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
    url: Annotated[str, Form(max_length=4000)] = "",
    description: Annotated[str, Form(max_length=1000)] = "",
    event_types: Types = None,
) -> Response:
    values = {"url": url, "description": description, "eventTypes": event_types or []}
    wanted = EndpointInput(url=url, event_types=event_types or [], description=description)
    try:
        async with runtime.database.writing() as session:
            made = await service.create_endpoint(
                session,
                runtime.vault,
                principal,
                wanted,
                allows=runtime.outgoing_allows,
                now=runtime.clock.now(),
            )
    except InvalidInput as error:
        return await _page(request, runtime, pages, principal, values=values, errors=error.fields)
    except Conflict as error:
        return await _page(
            request, runtime, pages, principal, values=values, errors={"": error.detail}
        )
    return await _page(request, runtime, pages, principal, made=made)


@router.get("/{endpoint_id}")
async def show(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Admin,
    endpoint_id: UUID,
    status: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    return await _endpoint_page(
        request, runtime, pages, principal, endpoint_id, status=status, cursor=cursor
    )


@router.post("/{endpoint_id}")
async def save(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Admin,
    endpoint_id: UUID,
    url: Annotated[str, Form(max_length=4000)] = "",
    description: Annotated[str, Form(max_length=1000)] = "",
    event_types: Types = None,
) -> Response:
    wanted = EndpointInput(url=url, event_types=event_types or [], description=description)
    try:
        await _change(runtime, principal, endpoint_id, wanted)
    except InvalidInput as error:
        values = {"url": url, "description": description, "eventTypes": event_types or []}
        return await _endpoint_page(
            request, runtime, pages, principal, endpoint_id, values=values, errors=error.fields
        )
    return pages.redirect(f"{HERE}/{endpoint_id}", toast=("success", "The webhook is saved."))


@router.post("/{endpoint_id}/enable")
async def enable(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Admin, endpoint_id: UUID
) -> Response:
    await _change(runtime, principal, endpoint_id, EndpointInput(enabled=True))
    said = "It is on. It is sent what happens from now on."
    return pages.redirect(f"{HERE}/{endpoint_id}", toast=("success", said))


@router.post("/{endpoint_id}/disable")
async def disable(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Admin, endpoint_id: UUID
) -> Response:
    await _change(runtime, principal, endpoint_id, EndpointInput(enabled=False))
    return pages.redirect(f"{HERE}/{endpoint_id}", toast=("success", "It is off."))


@router.post("/{endpoint_id}/rotate")
async def rotate(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Admin,
    endpoint_id: UUID,
) -> Response:
    async with runtime.database.writing() as session:
        made = await service.rotate_secret(
            session, runtime.vault, principal, endpoint_id, now=runtime.clock.now()
        )
    return await _endpoint_page(request, runtime, pages, principal, endpoint_id, made=made)


@router.post("/{endpoint_id}/test")
async def test(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Admin, endpoint_id: UUID
) -> Response:
    try:
        async with runtime.database.writing() as session:
            await service.send_test(session, principal, endpoint_id, now=runtime.clock.now())
    except Conflict as error:
        toast = ("error", f"{error.detail} {error.hint or ''}".strip())
        return pages.redirect(f"{HERE}/{endpoint_id}", toast=toast)  # type: ignore[arg-type]
    said = "A test is on its way. The log says what becomes of it."
    return pages.redirect(f"{HERE}/{endpoint_id}", toast=("success", said))


@router.post("/{endpoint_id}/remove")
async def remove(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Admin, endpoint_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        await service.remove_endpoint(session, principal, endpoint_id, now=runtime.clock.now())
    return pages.redirect(HERE, toast=("success", "The webhook is removed."))


@router.post("/{endpoint_id}/deliveries/{delivery_id}/retry")
async def retry(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Admin,
    endpoint_id: UUID,
    delivery_id: UUID,
) -> Response:
    try:
        async with runtime.database.writing() as session:
            await service.send_again(
                session, principal, endpoint_id, delivery_id, now=runtime.clock.now()
            )
    except Conflict as error:
        toast = ("error", f"{error.detail} {error.hint or ''}".strip())
        return pages.redirect(f"{HERE}/{endpoint_id}", toast=toast)  # type: ignore[arg-type]
    return pages.redirect(f"{HERE}/{endpoint_id}", toast=("success", "It is sent again."))


async def _change(
    runtime: Runtime, principal: Principal, endpoint_id: UUID, wanted: EndpointInput
) -> None:
    async with runtime.database.writing() as session:
        await service.change_endpoint(
            session,
            principal,
            endpoint_id,
            wanted,
            allows=runtime.outgoing_allows,
            now=runtime.clock.now(),
        )


async def _page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    *,
    values: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
    made: NewEndpoint | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        endpoints = await service.list_endpoints(session, principal)
    return pages.render(
        request,
        "webhooks.html",
        principal=principal,
        nav="webhooks",
        status=422 if errors else 200,
        endpoints=endpoints,
        host=shown_host,
        types=_types(),
        values=values or _EMPTY,
        errors=errors or {},
        made=made,
    )


async def _endpoint_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    endpoint_id: UUID,
    *,
    status: str = "",
    cursor: str | None = None,
    values: dict[str, Any] | None = None,
    errors: dict[str, str] | None = None,
    made: NewEndpoint | None = None,
) -> Response:
    asked = status if status in get_args(DeliveryStatus) else ""
    async with runtime.database.reading() as session:
        endpoint = await service.get_endpoint(session, principal, endpoint_id)
        found = await service.list_deliveries(
            session,
            principal,
            endpoint_id,
            status=asked or None,
            before=time_cursor(cursor),
            limit=_ON_A_PAGE + 1,
        )
    shown = found[:_ON_A_PAGE]
    present = {
        "url": endpoint.url,
        "description": endpoint.description or "",
        "eventTypes": endpoint.event_types,
    }
    return pages.render(
        request,
        "webhooks/show.html",
        principal=principal,
        nav="webhooks",
        status=422 if errors else 200,
        endpoint=endpoint,
        host=shown_host(endpoint.url),
        deliveries=shown,
        asked=asked,
        next_url=_next_url(endpoint_id, asked, shown) if len(found) > _ON_A_PAGE else None,
        types=_types(),
        values=values or present,
        errors=errors or {},
        made=made,
    )


def _next_url(endpoint_id: UUID, asked: str, shown: Sequence[Any]) -> str:
    last = shown[-1]
    cursor = encode_cursor(last.created_at.isoformat(), str(last.id))
    status = f"status={asked}&" if asked else ""
    return f"{HERE}/{endpoint_id}?{status}cursor={cursor}"


def _types() -> list[tuple[str, str, str]]:
    return [(each, each, WORDS[each]) for each in EVENT_TYPES]
