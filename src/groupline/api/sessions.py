"""Sessions: connect a phone, see its QR code, verify, cancel, disconnect, and the history."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import Response

from groupline.errors import InvalidInput, NotFound
from groupline.gateways.port import Proxy
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
)
from groupline.models import EndedReason, SessionStatus, StatusSource, WhatsappSession
from groupline.numbers import queries, service, states, views
from groupline.numbers.ask import verify_session
from groupline.numbers.context import Context
from groupline.numbers.history import clean_up, delete_session
from groupline.numbers.qr import is_image, qr_svg
from groupline.numbers.views import SessionFilter, SessionView
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

router = APIRouter(prefix="/sessions", tags=["sessions"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]
Connector = Annotated[Principal, Depends(allowed(Permission.CONNECT))]

_WATCHED = timedelta(seconds=2)


class QrOut(ApiModel):
    text: str | None = Field(description="null: the gateway sent a picture")
    image_url: str | None = Field(description="The picture that the gateway sent, as a data URL")
    svg_url: str
    expires_at: datetime | None


class SessionOut(ApiModel):
    id: UUID
    status: SessionStatus
    status_source: StatusSource
    status_detail: str | None
    verified_at: datetime | None
    number_id: UUID | None
    phone_number: str | None = Field(description="E.164 digits", examples=["919876543210"])
    expected_number_id: UUID | None = Field(description="The number that a reconnect wants back")
    other_phone: bool = Field(description="Another phone than the expected one has scanned")
    gateway_id: UUID
    gateway_name: str
    label: str | None
    has_proxy: bool
    qr: QrOut | None = Field(description="For those who may connect numbers")
    pairing_code: str | None
    last_error: str | None
    last_error_at: datetime | None
    connected_at: datetime | None
    disconnected_at: datetime | None
    ended_reason: EndedReason | None
    ended_text: str | None
    replaced_by_id: UUID | None
    migration: dict[str, int] | None = Field(
        description="What followed the number to this session, by kind"
    )
    logout_pending: bool = Field(description="The gateway has not yet confirmed the logout")
    created_at: datetime


class ProxyIn(ApiModel):
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(ge=1, le=65535)
    username: str | None = Field(None, max_length=200)
    password: str | None = Field(None, max_length=200, repr=False)


class ConnectIn(ApiModel):
    gateway_id: UUID | None = Field(None, description="Without it, the default gateway")
    label: str | None = None
    proxy: ProxyIn | None = None
    pairing_phone: str | None = Field(
        None, description="Also ask for a code to type on this phone", examples=["+919876543210"]
    )


class CleanUpIn(ApiModel):
    older_than_days: int = Field(30, ge=0, le=3650)
    dry_run: bool = Field(True, description="true: only say what would be removed")


class CleanUpOut(ApiModel):
    sessions: list[SessionOut]
    deleted: int


@router.post("", status_code=201, response_model=SessionOut, responses=problems(409, 502))
async def connect(
    runtime: CurrentRuntime, principal: Connector, once: CurrentIdempotency, body: ConnectIn
) -> Response:
    """Connect a phone. The answer is the committed session; its QR code follows in a moment:
    ask for the session again, or hear the topic `sessions`."""

    async def effect() -> SessionOut:
        row = await service.connect(
            Context.of(runtime), principal.organization_id, _wish(body), actor=principal.actor
        )
        return await session_out(runtime, principal, row.id)

    return await once.around(principal, effect, status=201)


def _wish(body: ConnectIn) -> service.ConnectWish:
    return service.ConnectWish(
        gateway_id=body.gateway_id,
        label=body.label,
        proxy=Proxy(**body.proxy.model_dump()) if body.proxy else None,
        pairing_phone=body.pairing_phone,
    )


@router.get("", summary="List sessions, newest first; ended ones are the history")
async def index(
    *,
    runtime: CurrentRuntime,
    principal: Reader,
    status: SessionStatus | None = None,
    number_id: Annotated[UUID | None, Query(alias="numberId")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Listing[SessionOut]:
    before = _place(cursor) if cursor else None
    wanted = SessionFilter(status=status, number_id=number_id)
    async with runtime.database.reading() as session:
        found = await views.list_sessions(
            session, principal.organization_id, wanted, before=before, limit=limit + 1
        )
    shown = found[:limit]
    more = len(found) > limit
    return Listing(
        items=[_out(principal, view) for view in shown],
        next_cursor=_cursor_of(shown[-1].row) if more else None,
    )


def _cursor_of(row: WhatsappSession) -> str:
    return encode_cursor(row.created_at.isoformat(), str(row.id))


def _place(cursor: str) -> tuple[datetime, UUID]:
    at, session_id = decode_cursor(cursor, keys=2)
    try:
        return datetime.fromisoformat(str(at)), UUID(str(session_id))
    except ValueError as error:
        raise InvalidInput(
            "This cursor is not one of ours.", fields={"cursor": "is not valid"}
        ) from error


@router.post("/cleanup", summary="Clean up old sessions, or say what that would remove")
async def cleanup(runtime: CurrentRuntime, principal: Connector, body: CleanUpIn) -> CleanUpOut:
    done = await clean_up(
        Context.of(runtime),
        principal.organization_id,
        older_than=timedelta(days=body.older_than_days),
        dry_run=body.dry_run,
        actor=principal.actor,
    )
    async with runtime.database.reading() as session:
        found = await views.describe_sessions(session, done.sessions)
    return CleanUpOut(sessions=[_out(principal, view) for view in found], deleted=done.deleted)


@router.get("/{session_id}", summary="Show a session; one being paired is followed closely")
async def show(runtime: CurrentRuntime, principal: Reader, session_id: UUID) -> SessionOut:
    answer = await session_out(runtime, principal, session_id)
    if answer.status in queries.PAIRING:
        async with runtime.database.writing() as session:
            await queries.ask_to_verify(
                session,
                principal.organization_id,
                runtime.clock.now(),
                older_than=_WATCHED,
                session_id=session_id,
            )
    return answer


@router.get(
    "/{session_id}/qr.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}}},
    summary="The QR code as a picture",
)
async def qr(runtime: CurrentRuntime, principal: Connector, session_id: UUID) -> Response:
    async with runtime.database.reading() as session:
        row = await queries.get_session(session, principal.organization_id, session_id)
    if row.qr_code is None:
        raise NotFound(
            "This session shows no QR code right now.",
            hint="A code is shown while the session is qr_pending; a new one follows an old one.",
        )
    return Response(qr_svg(row.qr_code), media_type="image/svg+xml")


@router.post("/{session_id}/verify", summary="Ask the gateway now", responses=problems(502))
async def verify(runtime: CurrentRuntime, principal: Operator, session_id: UUID) -> SessionOut:
    """502 if the gateway gives no answer: the session is then as before."""
    context = Context.of(runtime)
    applied = await verify_session(
        context, principal.organization_id, session_id, actor=principal.actor
    )
    return await session_out(runtime, principal, applied.session.id)


@router.post("/{session_id}/cancel", summary="Cancel a pairing", responses=problems(409))
async def cancel(runtime: CurrentRuntime, principal: Connector, session_id: UUID) -> SessionOut:
    context = Context.of(runtime)
    await service.cancel(context, principal.organization_id, session_id, actor=principal.actor)
    return await session_out(runtime, principal, session_id)


@router.post("/{session_id}/disconnect", summary="Disconnect", responses=problems(409))
async def disconnect(runtime: CurrentRuntime, principal: Connector, session_id: UUID) -> SessionOut:
    """Recorded as the person's word, also while the gateway cannot be reached: it is logged out
    there as soon as it can be."""
    context = Context.of(runtime)
    await service.disconnect(context, principal.organization_id, session_id, actor=principal.actor)
    return await session_out(runtime, principal, session_id)


@router.delete("/{session_id}", status_code=204, responses=problems(409))
async def delete(runtime: CurrentRuntime, principal: Connector, session_id: UUID) -> None:
    """Delete a session from the history. Groups, events, campaigns and messages belong to the
    number and stay."""
    await delete_session(
        Context.of(runtime), principal.organization_id, session_id, actor=principal.actor
    )


async def session_out(runtime: Runtime, principal: Principal, session_id: UUID) -> SessionOut:
    """What is committed, as this principal may see it."""
    async with runtime.database.reading() as session:
        return _out(
            principal, await views.show_session(session, principal.organization_id, session_id)
        )


def _out(principal: Principal, view: SessionView) -> SessionOut:
    row = view.row
    may_scan = principal.may(Permission.CONNECT)
    return SessionOut(
        id=row.id,
        status=row.status,
        status_source=row.status_source,
        status_detail=row.status_detail,
        verified_at=row.verified_at,
        number_id=row.number_id,
        phone_number=view.phone,
        expected_number_id=row.expected_number_id,
        other_phone=view.other_phone,
        gateway_id=row.gateway_id,
        gateway_name=view.gateway_name,
        label=row.label,
        has_proxy=row.proxy is not None,
        qr=_qr(row) if may_scan else None,
        pairing_code=row.pairing_code if may_scan else None,
        last_error=row.last_error,
        last_error_at=row.last_error_at,
        connected_at=row.connected_at,
        disconnected_at=row.disconnected_at,
        ended_reason=row.ended_reason,
        ended_text=states.ended_sentence(row.ended_reason) if row.ended_reason else None,
        replaced_by_id=row.replaced_by_id,
        migration=row.migration,
        logout_pending=row.logout_requested_at is not None and row.logout_confirmed_at is None,
        created_at=row.created_at,
    )


def _qr(row: WhatsappSession) -> QrOut | None:
    code = row.qr_code
    if code is None:
        return None
    return QrOut(
        text=None if is_image(code) else code,
        image_url=code if is_image(code) else None,
        svg_url=f"/api/v1/sessions/{row.id}/qr.svg",
        expires_at=row.qr_expires_at,
    )
