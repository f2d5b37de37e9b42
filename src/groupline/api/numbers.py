"""Numbers: what is connected and on whose word, and what can be done about it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import Response

from groupline.api.sessions import SessionOut, session_out
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import (
    ApiModel,
    Cursor,
    Limit,
    Listing,
    encode_cursor,
    problems,
    uuid_cursor,
)
from groupline.models import EndedReason, SessionStatus, StatusSource
from groupline.numbers import service, views
from groupline.numbers.change import NumberChange, change_number
from groupline.numbers.context import Context
from groupline.numbers.handover import hand_over
from groupline.numbers.states import Cause, NextAction, NumberState
from groupline.numbers.views import NumberView
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

router = APIRouter(prefix="/numbers", tags=["numbers"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]
Connector = Annotated[Principal, Depends(allowed(Permission.CONNECT))]


class ServingSession(ApiModel):
    """The session that serves the number, or did last."""

    id: UUID
    status: SessionStatus
    status_source: StatusSource
    verified_at: datetime | None
    connected_at: datetime | None
    disconnected_at: datetime | None
    ended_reason: EndedReason | None
    last_error: str | None
    last_error_at: datetime | None


class GatewayState(ApiModel):
    id: UUID
    name: str
    unreachable_since: datetime | None
    last_error: str | None
    last_error_code: str | None


class NumberOut(ApiModel):
    id: UUID
    phone_number: str = Field(description="E.164 digits", examples=["919876543210"])
    display_phone: str = Field(examples=["+91 98765 43210"])
    display_name: str | None
    state: NumberState
    state_label: str = Field(description="The state in a few words, as its badge")
    state_cause: Cause | None = Field(description="Of a disconnection that no reconnect undoes")
    state_until: datetime | None = Field(
        description="When the cause, or the restriction, is over, where that is known"
    )
    state_text: str = Field(description="In sentences for people; times in the organization's zone")
    since: datetime | None
    next_action: NextAction
    session: ServingSession | None
    pairing_id: UUID | None = Field(description="A session that is being paired for this number")
    gateway: GatewayState | None
    follows: dict[str, int] = Field(description="What this number serves, by kind")
    messages_due: int = Field(description="Messages that wait or fall due within 2 hours")
    pace_seconds: float
    standby_number_id: UUID | None
    paused_at: datetime | None = Field(description="Since then nothing is sent from it")
    paused_by: str | None
    messages_waiting: int = Field(
        description="Messages that are due and wait for the end of the pause; 0 if it is not paused"
    )
    last_send_at: datetime | None
    last_ack_at: datetime | None
    restriction: str | None
    restricted_until: datetime | None = Field(description="As WhatsApp says; null if it does not")
    groups_synced_at: datetime | None
    last_sync: dict[str, Any] | None
    created_at: datetime


class HandoverIn(ApiModel):
    to: UUID = Field(description="The number that takes the work over")
    dry_run: bool = Field(True, description="true: only say what would happen")


class MissingGroupOut(ApiModel):
    id: UUID
    name: str | None
    messages: int = Field(description="Pending messages to it: they stay")


class HandoverOut(ApiModel):
    moved: bool = Field(description="false: nothing was changed, this is the preview")
    moves: dict[str, int]
    stays: dict[str, int]
    missing_groups: list[MissingGroupOut] = Field(
        description="Groups that the work is about and the other number is not in"
    )
    target_connected: bool


class NumberPatch(ApiModel):
    """What is not named stays as it is."""

    display_name: str | None = Field(None, max_length=80, description="Empty: none")
    pace_seconds: float = Field(
        1.0,
        ge=0,
        le=3600,
        description="Pause between two messages, counted from the start of a request: a gateway "
        "that takes longer than the pace is followed at once",
    )
    standby_number_id: UUID | None = Field(None, description="null removes it")
    paused: bool = Field(False, description="true: nothing is sent until it is false again")


@router.get("", summary="List the numbers with their state")
async def index(
    runtime: CurrentRuntime, principal: Reader, limit: Limit = 100, cursor: Cursor = None
) -> Listing[NumberOut]:
    async with runtime.database.reading() as session:
        found = await views.list_numbers(
            session,
            principal.organization_id,
            runtime.clock.now(),
            after=uuid_cursor(cursor),
            limit=limit + 1,
        )
    shown = found[:limit]
    more = len(found) > limit
    return Listing(
        items=[_out(view) for view in shown],
        next_cursor=encode_cursor(str(shown[-1].number.id)) if more else None,
    )


@router.get("/{number_id}", summary="Show a number")
async def show(runtime: CurrentRuntime, principal: Reader, number_id: UUID) -> NumberOut:
    return await _number_out(runtime, principal, number_id)


@router.patch("/{number_id}", summary="Change a number's name, pace, standby or pause")
async def change(
    runtime: CurrentRuntime, principal: Connector, number_id: UUID, body: NumberPatch
) -> NumberOut:
    async with runtime.database.writing() as session:
        await change_number(
            session,
            principal.organization_id,
            number_id,
            NumberChange(**body.model_dump(exclude_unset=True)),
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    return await _number_out(runtime, principal, number_id)


@router.post("/{number_id}/verify", summary="Ask the gateway now", responses=problems(409, 502))
async def verify(runtime: CurrentRuntime, principal: Operator, number_id: UUID) -> NumberOut:
    """502 if the gateway gives no answer: the number is then as before."""
    context = Context.of(runtime)
    await service.verify_number(
        context, principal.organization_id, number_id, actor=principal.actor
    )
    return await _number_out(runtime, principal, number_id)


@router.post("/{number_id}/reconnect", response_model=SessionOut, responses=problems(409, 502))
async def reconnect(
    runtime: CurrentRuntime, principal: Connector, once: CurrentIdempotency, number_id: UUID
) -> Response:
    """Revive the last pairing, or pair anew under this number. The answer is the session that
    is being connected; it may show a QR code in a moment."""

    async def effect() -> SessionOut:
        row = await service.reconnect(
            Context.of(runtime), principal.organization_id, number_id, actor=principal.actor
        )
        return await session_out(runtime, principal, row.id)

    return await once.around(principal, effect)


@router.post("/{number_id}/disconnect", summary="Disconnect", responses=problems(409))
async def disconnect(runtime: CurrentRuntime, principal: Connector, number_id: UUID) -> NumberOut:
    context = Context.of(runtime)
    await service.disconnect_number(
        context, principal.organization_id, number_id, actor=principal.actor
    )
    return await _number_out(runtime, principal, number_id)


@router.post("/{number_id}/handover", summary="Move a number's work to another number")
async def handover(
    runtime: CurrentRuntime, principal: Connector, number_id: UUID, body: HandoverIn
) -> HandoverOut:
    """What is planned moves: events, unfinished campaigns, pending messages, the default of the
    organization. Messages to groups that the other number is not in stay."""
    async with runtime.database.writing() as session:
        done = await hand_over(
            session,
            principal.organization_id,
            number_id,
            body.to,
            dry_run=body.dry_run,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    return HandoverOut.model_validate(done)


async def _number_out(runtime: Runtime, principal: Principal, number_id: UUID) -> NumberOut:
    async with runtime.database.reading() as session:
        view = await views.show_number(
            session, principal.organization_id, number_id, runtime.clock.now()
        )
    return _out(view)


def _out(view: NumberView) -> NumberOut:
    number = view.number
    return NumberOut(
        id=number.id,
        phone_number=number.phone_number,
        display_phone=view.phone,
        display_name=number.display_name,
        state=view.shown.state,
        state_label=view.shown.label,
        state_cause=view.shown.cause,
        state_until=view.shown.until,
        state_text=view.shown.sentence,
        since=view.since,
        next_action=view.shown.next_action,
        session=ServingSession.model_validate(view.session) if view.session else None,
        pairing_id=view.pairing.id if view.pairing else None,
        gateway=GatewayState.model_validate(view.gateway) if view.gateway else None,
        follows=view.follows,
        messages_due=view.messages_due,
        pace_seconds=number.pace_seconds,
        standby_number_id=number.standby_number_id,
        paused_at=number.paused_at,
        paused_by=view.pause.by if view.pause else None,
        messages_waiting=view.pause.waiting if view.pause else 0,
        last_send_at=number.last_send_at,
        last_ack_at=number.last_ack_at,
        restriction=number.restriction,
        restricted_until=view.restricted_until,
        groups_synced_at=number.synced_at,
        last_sync=number.last_sync,
        created_at=number.created_at,
    )
