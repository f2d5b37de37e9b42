"""Settings → WhatsApp connection: the numbers, connecting them, and the history of sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from markupsafe import Markup, escape
from starlette.responses import Response

from groupline.errors import GrouplineError, InvalidInput, NotFound
from groupline.gateways.phone import display_phone
from groupline.gateways.port import Proxy, SimulatedPhone, SimulatedPhones
from groupline.gateways.service import list_gateways
from groupline.groups.overview import sync_states
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import decode_cursor, encode_cursor
from groupline.models import Gateway, WhatsappSession
from groupline.numbers import queries, rules, service, states, views
from groupline.numbers.ask import verify_session
from groupline.numbers.context import Context
from groupline.numbers.history import delete_session
from groupline.numbers.qr import is_image, qr_svg
from groupline.numbers.start import load_target
from groupline.numbers.views import SessionFilter, SessionView
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.rendering import CurrentPages, Pages, Toast

HERE = "/settings/connection"
router = APIRouter(prefix=HERE)

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(page_allowed(Permission.OPERATE))]
Connector = Annotated[Principal, Depends(page_allowed(Permission.CONNECT))]
SessionId = Annotated[UUID | None, Query(alias="session")]

CLEAN_UP_AFTER_DAYS = 30
_ON_A_PAGE = 20

Start = Literal["simulator", "phone"]
"""What somebody wants to begin with: phones that exist only here, or a real one."""


# --- the page -------------------------------------------------------------------------------


@router.get("")
async def index(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    session_id: SessionId = None,
    start: Annotated[Start | None, Query()] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """With ``start`` the dialog to connect a number is open, on a gateway of this kind."""
    await _ask_for_proof(runtime, principal)
    return await _page(
        request, runtime, pages, principal, session_id=session_id, start=start, cursor=cursor
    )


def _empty_form(start: Start | None, gateways: Sequence[Gateway]) -> dict[str, Any]:
    names = ("label", "pairingPhone", "proxyHost", "proxyPort", "proxyUsername")
    fitting = [row.id for row in gateways if (row.engine == "simulator") == (start == "simulator")]
    chosen = fitting[0] if start and fitting else ""
    values = dict.fromkeys(names, "") | {"gatewayId": chosen}
    return {"values": values, "errors": {}, "open": start is not None}


async def _ask_for_proof(runtime: Runtime, principal: Principal) -> None:
    """Whoever opens the page wants to know what is so now."""
    async with runtime.database.writing() as session:
        await queries.ask_to_verify(
            session,
            principal.organization_id,
            runtime.clock.now(),
            older_than=rules.FRESH_PROOF,
        )


async def _page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    *,
    session_id: UUID | None = None,
    start: Start | None = None,
    cursor: str | None = None,
    status: int = 200,
    connecting: dict[str, Any] | None = None,
) -> Response:
    organization_id, now = principal.organization_id, runtime.clock.now()
    may_connect = principal.may(Permission.CONNECT)
    async with runtime.database.reading() as session:
        numbers = await views.list_numbers(session, organization_id, now)
        history = await views.list_sessions(
            session,
            organization_id,
            SessionFilter(ended_or_pending=True),
            before=_place(cursor),
            limit=_ON_A_PAGE + 1,
        )
        gateways = [row for row in await list_gateways(session) if row.enabled]
        syncs = {each.number_id: each for each in await sync_states(session, organization_id, now)}
    panel = None
    if may_connect and session_id is not None:
        panel = await _panel(runtime, principal, session_id)
    shown = history[:_ON_A_PAGE]
    names = {view.number.id: view.name for view in numbers}
    return pages.render(
        request,
        "connection.html",
        principal=principal,
        nav="connection",
        status=status,
        numbers=numbers,
        names=names,
        syncs=syncs,
        choices={each: [pair for pair in names.items() if pair[0] != each] for each in names},
        history=shown,
        next_url=_next_url(shown[-1].row) if len(history) > _ON_A_PAGE else None,
        gateways=gateways,
        panel=panel,
        may_connect=may_connect,
        may_send=principal.may(Permission.SEND),
        may_operate=principal.may(Permission.OPERATE),
        form=connecting or _empty_form(start, gateways),
        phone=display_phone,
        ended=states.ended_sentence,
        follows=follows,
        pairing=queries.PAIRING,
        days=CLEAN_UP_AFTER_DAYS,
        ages=cleanup_ages(CLEAN_UP_AFTER_DAYS),
    )


def cleanup_ages(chosen: int) -> list[tuple[int, str]]:
    """What "Clean up old sessions" offers, and what was chosen, if it is another age."""
    days = sorted({0, 1, 7, CLEAN_UP_AFTER_DAYS, 90, 365, chosen})
    return [(each, _ago(each)) for each in days]


def _ago(days: int) -> str:
    if days == 0:
        return "at any time"
    return f"more than {'a day' if days == 1 else f'{days} days'} ago"


def _place(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    at, session_id = decode_cursor(cursor, keys=2)
    try:
        return datetime.fromisoformat(str(at)), UUID(str(session_id))
    except ValueError as error:
        raise InvalidInput("This is not a place in the history.") from error


def _next_url(row: WhatsappSession) -> str:
    return f"{HERE}?cursor={encode_cursor(row.created_at.isoformat(), str(row.id))}"


_KINDS = {
    "workshops": ("workshop", "workshops"),
    "webinars": ("webinar", "webinars"),
    "campaigns": ("campaign", "campaigns"),
    "groups": ("group", "groups"),
    "messages": ("pending message", "pending messages"),
}


def follows(counts: dict[str, int]) -> str:
    """`2 workshops, 27 groups`, without what there is none of."""
    parts = [
        f"{counts[kind]:,} {one if counts[kind] == 1 else many}"
        for kind, (one, many) in _KINDS.items()
        if counts.get(kind)
    ]
    if counts.get("organizations"):
        parts.append("the organization's community number")
    return ", ".join(parts)


# --- connecting -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Panel:
    """The dialog of one pairing."""

    view: SessionView
    code: Markup | None
    phones: list[SimulatedPhone]
    """Simulated ones that can scan with a click."""
    is_simulated: bool
    """Its gateway has no real phones at all."""


async def _panel(runtime: Runtime, principal: Principal, session_id: UUID) -> Panel:
    view = await _followed(runtime, principal.organization_id, session_id)
    row = view.row
    async with runtime.database.reading() as session:
        gateway = (await load_target(session, principal.organization_id, row.id)).gateway
    is_simulated = gateway.engine == "simulator"
    can_scan = is_simulated and row.status == "qr_pending"
    phones = await _phones(runtime, gateway) if can_scan else []
    return Panel(view, _code(row), phones, is_simulated)


async def _followed(runtime: Runtime, organization_id: UUID, session_id: UUID) -> SessionView:
    """The pairing, or the new one that took its place because it could not be revived."""
    now = runtime.clock.now()
    async with runtime.database.writing() as session:
        view = await views.show_session(session, organization_id, session_id)
        if view.row.status == "disconnected" and view.row.number_id is not None:
            fresh = await queries.pairing_for(session, organization_id, view.row.number_id, now)
            if fresh is not None:
                view = await views.show_session(session, organization_id, fresh.id)
        if view.row.status in queries.PAIRING:
            await queries.ask_to_verify(
                session,
                organization_id,
                now,
                older_than=timedelta(seconds=2),
                session_id=view.row.id,
            )
    return view


def _code(row: WhatsappSession) -> Markup | None:
    if row.qr_code is None:
        return None
    if is_image(row.qr_code):
        return Markup('<img src="{}" alt="">').format(escape(row.qr_code))
    return Markup(qr_svg(row.qr_code))  # noqa: S704 - drawn here, with no text of the code in it


async def _phones(runtime: Runtime, gateway: Gateway) -> list[SimulatedPhone]:
    driver = runtime.gateways.driver(gateway)
    if not isinstance(driver, SimulatedPhones):
        return []
    try:
        return await driver.list_phones()
    except GrouplineError:
        return []  # the card of the number says what is wrong with the gateway


@router.get("/sessions/{session_id}")
async def pairing(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    session_id: UUID,
) -> Response:
    """One pairing: the part of the dialog that renews itself, and a page without the script."""
    return pages.render(
        request,
        "connection_pairing.html",
        principal=principal,
        nav="connection",
        panel=await _panel(runtime, principal, session_id),
        may_send=principal.may(Permission.SEND),
        phone=display_phone,
        ended=states.ended_sentence,
        follows=follows,
    )


@router.post("/connect")
async def connect(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    gateway_id: Annotated[UUID | None, Form(alias="gatewayId")] = None,
    label: Annotated[str, Form(max_length=200)] = "",
    pairing_phone: Annotated[str, Form(alias="pairingPhone", max_length=50)] = "",
    proxy_host: Annotated[str, Form(alias="proxyHost", max_length=253)] = "",
    proxy_port: Annotated[str, Form(alias="proxyPort", max_length=5)] = "",
    proxy_username: Annotated[str, Form(alias="proxyUsername", max_length=200)] = "",
    proxy_password: Annotated[str, Form(alias="proxyPassword", max_length=200)] = "",
) -> Response:
    values = {
        "gatewayId": gateway_id,
        "label": label,
        "pairingPhone": pairing_phone,
        "proxyHost": proxy_host,
        "proxyPort": proxy_port,
        "proxyUsername": proxy_username,
    }
    try:
        wish = service.ConnectWish(
            gateway_id=gateway_id,
            label=label,
            pairing_phone=pairing_phone or None,
            proxy=_proxy(proxy_host, proxy_port, proxy_username, proxy_password),
        )
        row = await service.connect(
            Context.of(runtime), principal.organization_id, wish, actor=principal.actor
        )
    except InvalidInput as error:
        errors = error.fields or {"": error.detail}
        form = {"values": values, "errors": errors, "open": True}
        return await _page(request, runtime, pages, principal, status=422, connecting=form)
    return pages.redirect(f"{HERE}?session={row.id}")


def _proxy(host: str, port: str, username: str, password: str) -> Proxy | None:
    if not host.strip():
        return None
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InvalidInput(
            "The proxy needs a port.", fields={"proxyPort": "A number between 1 and 65535."}
        )
    return Proxy(host.strip(), int(port), username or None, password or None)


@router.post("/sessions/{session_id}/scan")
async def scan(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Connector,
    session_id: UUID,
    number: Annotated[str, Form(max_length=20)],
) -> Response:
    """Lets a simulated phone scan the code. The answer comes when it is committed."""
    async with runtime.database.reading() as session:
        target = await load_target(session, principal.organization_id, session_id)
    driver = runtime.gateways.driver(target.gateway)
    if target.gateway.engine != "simulator" or not isinstance(driver, SimulatedPhones):
        raise NotFound("This gateway has no simulated phones.")
    await driver.scan(number, target.session.gateway_session_id)
    context = Context.of(runtime)
    await verify_session(context, principal.organization_id, session_id, actor=principal.actor)
    return pages.redirect(f"{HERE}?session={session_id}")


@router.post("/sessions/{session_id}/cancel")
async def cancel(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Connector, session_id: UUID
) -> Response:
    context = Context.of(runtime)
    await service.cancel(context, principal.organization_id, session_id, actor=principal.actor)
    return pages.redirect(HERE, toast=("success", "The pairing was cancelled."))


@router.post("/sessions/{session_id}/verify")
async def verify(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, session_id: UUID
) -> Response:
    context = Context.of(runtime)
    applied = await verify_session(
        context, principal.organization_id, session_id, actor=principal.actor
    )
    return pages.redirect(HERE, toast=verified(applied.session))


def verified(row: WhatsappSession, why: str | None = None) -> Toast:
    """Of a number it is known in more words why it is not connected."""
    if row.status == "connected":
        return "success", "The gateway confirms: connected."
    if row.status == "disconnected":
        why = (
            why
            or row.last_error
            or (states.ended_sentence(row.ended_reason) if row.ended_reason else "")
        )
        return "warning", f"Not connected. {why}"
    return "warning", row.status_detail or "It is still being connected."


@router.post("/sessions/{session_id}/delete")
async def delete(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Connector, session_id: UUID
) -> Response:
    context = Context.of(runtime)
    await delete_session(context, principal.organization_id, session_id, actor=principal.actor)
    return pages.redirect(HERE, toast=("success", "The session was deleted from the history."))
