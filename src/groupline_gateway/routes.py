"""The calls of the contract."""

from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from groupline_gateway import VERSION
from groupline_gateway.auth import presented_key
from groupline_gateway.clock import iso
from groupline_gateway.contract import (
    Connected,
    ConnectRequest,
    Error,
    Groups,
    Health,
    Invite,
    MessageStatus,
    MessageStatusRequest,
    Participant,
    Participants,
    SendAnswer,
    SendRequest,
    SessionReport,
    SessionReports,
    Status,
    Success,
)
from groupline_gateway.engines.port import (
    Accepted,
    Engine,
    GroupView,
    SendResult,
    SessionHealth,
    SessionView,
)
from groupline_gateway.ledger import Found, Ledger
from groupline_gateway.requests import (
    json_object,
    read_order,
    read_status_question,
    recipient_jid,
)

INVITE_LINK = "https://chat.whatsapp.com/"
_Responses: TypeAlias = dict[int | str, dict[str, Any]]
_UNKNOWN_SESSION: _Responses = {
    404: {
        "model": Error,
        "description": "The session is unknown",
    }
}
_NOT_CONNECTED: _Responses = {503: {"model": Error, "description": "The session is not connected"}}
_BAD_REQUEST: _Responses = {
    400: {"model": Error, "description": "The request is wrong; `error` says where"}
}


def contract_router(engine: Engine, ledger: Ledger) -> APIRouter:
    router = APIRouter()
    # Routes are tried in order, and that order shows in a load test: the frequent ones first.
    _add_sending(router, ledger)
    _add_sessions(router, engine)
    _add_groups(router, engine)
    _add_health(router, engine)
    return router


def _add_health(router: APIRouter, engine: Engine) -> None:
    @router.get("/health", tags=["gateway"], response_model=Health, summary="Is it alive?")
    async def health(request: Request) -> JSONResponse:
        """With the API key: version, engine, capabilities and the count of sessions.
        Without a key only that it is alive; with a wrong one 401."""
        if presented_key(request.scope) is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse(
            {
                "status": "ok",
                "version": ", ".join(filter(None, (VERSION, engine.library))),
                "engine": engine.name,
                "capabilities": list(engine.capabilities),
                "sessions": engine.session_count(),
            }
        )


def _add_sessions(router: APIRouter, engine: Engine) -> None:
    @router.post(
        "/connect",
        tags=["sessions"],
        response_model=Connected,
        summary="Pair a session, or bring its pairing back",
        responses=_BAD_REQUEST,
    )
    async def connect(body: ConnectRequest) -> JSONResponse:
        """A session that is paired already comes back without a QR code. Calling it again
        changes nothing."""
        view = await engine.connect(body)
        return JSONResponse(
            {"success": True, "sessionId": view.session_id, "status": view.status.value}
        )

    @router.get(
        "/sessions",
        tags=["sessions"],
        response_model=SessionReports,
        response_model_exclude_none=True,
        summary="All sessions, for whoever looks after this gateway",
    )
    async def sessions() -> JSONResponse:
        """With the memory and the restarts of their processes where the engine gives a session
        a process of its own."""
        health = engine.health()
        answer = SessionReports(
            sessions=[session_report(one) for one in health.sessions],
            limit=health.limit,
            memory_limit_mb=health.memory_limit_mb,
        )
        return JSONResponse(answer.model_dump(by_alias=True, exclude_none=True))

    @router.get(
        "/status/{session_id}",
        tags=["sessions"],
        response_model=Status,
        response_model_exclude_none=True,
        summary="How a session is now, with its QR code while one is shown",
        responses=_UNKNOWN_SESSION,
    )
    async def status(session_id: str) -> JSONResponse:
        return JSONResponse(status_json(engine.status(session_id)))

    @router.post(
        "/disconnect/{session_id}",
        tags=["sessions"],
        response_model=Success,
        summary="Log a session out and forget it",
        responses=_UNKNOWN_SESSION,
    )
    async def disconnect(session_id: str) -> JSONResponse:
        """404 means that it is gone already."""
        await engine.disconnect(session_id)
        return JSONResponse({"success": True})


def _add_groups(router: APIRouter, engine: Engine) -> None:
    responses = {**_UNKNOWN_SESSION, **_NOT_CONNECTED}

    @router.get(
        "/groups/{session_id}",
        tags=["groups"],
        response_model=Groups,
        summary="All groups of the session's number",
        responses=responses,
    )
    async def groups(
        session_id: str, with_links: Annotated[bool, Query(alias="includeInviteLinks")] = False
    ) -> JSONResponse:
        """The whole list in one answer. Invite links only for groups the number administers."""
        views = await engine.groups(session_id)
        listed = [group_json(view, with_link=with_links) for view in views]
        return JSONResponse({"groups": listed, "complete": True})

    @router.get(
        "/groups/{session_id}/{jid}/invite",
        tags=["groups"],
        response_model=Invite,
        summary="The invite link of a group",
        responses={**responses, 403: {"model": Error, "description": "Not an admin there"}},
    )
    async def invite(session_id: str, jid: str) -> JSONResponse:
        code = await engine.invite(session_id, recipient_jid(jid))
        return JSONResponse({"inviteCode": code, "inviteLink": INVITE_LINK + code})

    @router.get(
        "/groups/{session_id}/{jid}/participants",
        tags=["groups"],
        response_model=Participants,
        summary="Who is in a group",
        responses=responses,
    )
    async def participants(session_id: str, jid: str) -> JSONResponse:
        """An id may be a LID, and then there is often no phone number."""
        listed = await engine.participants(session_id, recipient_jid(jid))
        answer = Participants(
            participants=[
                Participant(
                    id=one.id,
                    phone=one.phone,
                    is_admin=one.is_admin,
                    is_super_admin=one.is_super_admin,
                )
                for one in listed.participants
            ],
            group_name=listed.group_name,
            total_participants=len(listed.participants),
        )
        return JSONResponse(answer.model_dump(by_alias=True, exclude_none=True))


def _add_sending(router: APIRouter, ledger: Ledger) -> None:
    @router.post(
        "/send",
        tags=["messages"],
        response_model=SendAnswer,
        response_model_exclude_none=True,
        summary="Send one message",
        openapi_extra=_body_of(SendRequest),
        responses={
            **_BAD_REQUEST,
            **_UNKNOWN_SESSION,
            **_NOT_CONNECTED,
            409: {"model": Error, "description": "The clientRef belongs to another message"},
            429: {"model": Error, "description": "The number is restricted, or sends too fast"},
            502: {"model": Error, "description": "WhatsApp turned it down; it was not sent"},
            504: {"model": Error, "description": "It may have gone out; nobody knows yet"},
        },
    )
    async def send(request: Request) -> JSONResponse:
        """With `clientRef` the message reaches WhatsApp at most once, however often this call
        is made and whatever crashes in between; repetitions answer `"existing": true`.
        After a 4xx, a 503 or `"success": false` nothing was sent; after a 504 nobody knows."""
        order = read_order(await json_object(request))
        return JSONResponse(send_json(await ledger.send(order)))

    @router.post(
        "/message-status",
        tags=["messages"],
        response_model=MessageStatus,
        response_model_exclude_none=True,
        summary="What became of a message",
        openapi_extra=_body_of(MessageStatusRequest),
        responses={
            **_BAD_REQUEST,
            504: {"model": Error, "description": "It may have gone out; this gateway cannot tell"},
        },
    )
    async def message_status(request: Request) -> JSONResponse:
        """By `clientRef` the answer is exact and survives restarts: `found: false` is a
        definite "not sent", `pending` means that it is being sent right now, or may have gone
        out under this `messageId` and WhatsApp has not said so yet. A reference that begins with
        a UUIDv7 from before the records of this gateway is not denied, but answered with 504.
        By `groupJid` it is the last message to that group since the gateway started."""
        question = read_status_question(await json_object(request))
        if question.client_ref is not None:
            found = await ledger.find(question.client_ref)
        else:
            found = ledger.find_last(question.session_id, str(question.recipient))
        return JSONResponse(found_json(found))


def _body_of(model: type[SendRequest | MessageStatusRequest]) -> dict[str, Any]:
    """Documents a body that the route reads by itself."""
    schema = model.model_json_schema(by_alias=True)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def status_json(view: SessionView) -> dict[str, Any]:
    """Fields that have no value are left out, as other gateways do."""
    restriction = view.restriction
    fields = {
        "sessionId": view.session_id,
        "status": view.status.value,
        "qr": view.qr,
        "qrExpiresAt": None if view.qr_expires_at is None else iso(view.qr_expires_at),
        "pairingCode": view.pairing_code,
        "phoneNumber": None if view.phone is None else f"+{view.phone}",
        "reason": None if view.reason is None else view.reason.value,
        "since": iso(view.since),
        "detail": view.detail,
        "restriction": None
        if restriction is None
        else restriction.model_dump(by_alias=True, exclude_none=True),
    }
    return {name: value for name, value in fields.items() if value is not None}


def session_report(health: SessionHealth) -> SessionReport:
    view = health.view
    return SessionReport(
        session_id=view.session_id,
        status=view.status,
        since=iso(view.since),
        phone_number=None if view.phone is None else f"…{view.phone[-2:]}",
        detail=view.detail,
        memory_mb=health.memory_mb,
        restarts=health.restarts,
    )


def group_json(view: GroupView, *, with_link: bool) -> dict[str, Any]:
    fields = {
        "id": view.jid,
        "name": view.name,
        "participants": view.size,
        "isAdmin": view.is_admin,
        "isCommunity": view.is_community,
        "isCommunityAnnounce": view.is_community_announce,
        "announceOnly": view.announce_only,
    }
    if with_link and view.invite_code is not None:
        fields["inviteLink"] = INVITE_LINK + view.invite_code
    return fields


def send_json(result: SendResult) -> dict[str, Any]:
    fields: dict[str, Any] = {"success": True}
    if isinstance(result, Accepted):
        fields["accepted"] = True
    else:
        fields["messageId"] = result.message_id
    if result.existing:
        fields["existing"] = True
    return fields


def found_json(found: Found | None) -> dict[str, Any]:
    if found is None:
        return {"found": False}
    fields = {
        "found": True,
        "messageId": found.message_id,
        "status": found.status.value,
        "timestamp": None if found.at is None else iso(found.at),
        "error": found.error,
    }
    return {name: value for name, value in fields.items() if value is not None}
