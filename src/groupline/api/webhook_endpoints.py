"""Outgoing webhooks: endpoints, and the log of what was delivered to them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

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
    time_cursor,
)
from groupline.models import DeliveryStatus
from groupline.orgs.rules import Permission, Principal
from groupline.webhooks import service
from groupline.webhooks.rules import EventType
from groupline.webhooks.service import EndpointInput, NewEndpoint

router = APIRouter(prefix="/webhook-endpoints", tags=["webhooks"])

Admin = Annotated[Principal, Depends(allowed(Permission.OUTGOING))]


class EndpointOut(ApiModel):
    id: UUID
    url: str = Field(examples=["https://example.com/hooks/groupline"])
    description: str | None
    event_types: list[str] = Field(examples=[["message.failed", "number.disconnected"]])
    enabled: bool
    last_error: str | None = Field(description="Why the last attempt failed, if it did")
    last_error_at: datetime | None
    rotated_at: datetime | None = Field(description="When its secret was replaced")
    created_at: datetime


class NewEndpointOut(EndpointOut):
    secret: str = Field(
        description="Signs what is sent (Standard Webhooks). It is in this answer only."
    )


class EndpointIn(ApiModel):
    url: str = Field(examples=["https://example.com/hooks/groupline"])
    event_types: list[EventType] = Field(examples=[["message.failed", "number.disconnected"]])
    description: str | None = None
    enabled: bool = True


class EndpointPatch(ApiModel):
    url: str | None = None
    event_types: list[EventType] | None = None
    description: str | None = None
    enabled: bool | None = None


class DeliveryOut(ApiModel):
    id: UUID
    event_type: str = Field(examples=["message.failed"])
    status: DeliveryStatus = Field(description="pending: it is tried, or tried again")
    attempts: int
    next_attempt_at: datetime | None
    response_status: int | None = Field(description="HTTP status of the last answer")
    last_error: str | None
    delivered_at: datetime | None
    created_at: datetime
    payload: dict[str, Any]


@router.get("", summary="List the webhook endpoints")
async def index(runtime: CurrentRuntime, principal: Admin) -> Listing[EndpointOut]:
    async with runtime.database.reading() as session:
        found = await service.list_endpoints(session, principal)
    return Listing(items=[EndpointOut.model_validate(each) for each in found])


@router.post(
    "",
    status_code=201,
    summary="Add a webhook endpoint",
    response_model=NewEndpointOut,
    responses=problems(409),
)
async def create(
    runtime: CurrentRuntime, principal: Admin, body: EndpointIn, once: CurrentIdempotency
) -> Response:
    """It is sent what happens from now on."""

    async def effect(session: AsyncSession) -> NewEndpointOut:
        made = await service.create_endpoint(
            session,
            runtime.vault,
            principal,
            EndpointInput(**body.model_dump()),
            allows=runtime.outgoing_allows,
            now=runtime.clock.now(),
        )
        return _with_secret(made)

    return await once.in_transaction(principal, effect, status=201)


@router.get("/{endpoint_id}", summary="Show a webhook endpoint")
async def show(runtime: CurrentRuntime, principal: Admin, endpoint_id: UUID) -> EndpointOut:
    async with runtime.database.reading() as session:
        found = await service.get_endpoint(session, principal, endpoint_id)
    return EndpointOut.model_validate(found)


@router.patch("/{endpoint_id}", summary="Change a webhook endpoint, or switch it off")
async def change(
    runtime: CurrentRuntime, principal: Admin, endpoint_id: UUID, body: EndpointPatch
) -> EndpointOut:
    """What happens while it is off is not sent later."""
    async with runtime.database.writing() as session:
        changed = await service.change_endpoint(
            session,
            principal,
            endpoint_id,
            EndpointInput(**body.model_dump()),
            allows=runtime.outgoing_allows,
            now=runtime.clock.now(),
        )
    return EndpointOut.model_validate(changed)


@router.delete("/{endpoint_id}", status_code=204, summary="Remove a webhook endpoint")
async def remove(runtime: CurrentRuntime, principal: Admin, endpoint_id: UUID) -> None:
    """What was not delivered yet never will be."""
    async with runtime.database.writing() as session:
        await service.remove_endpoint(session, principal, endpoint_id, now=runtime.clock.now())


@router.post(
    "/{endpoint_id}/rotate-secret",
    summary="Replace the secret of an endpoint",
    response_model=NewEndpointOut,
    responses=problems(409),
)
async def rotate(
    runtime: CurrentRuntime, principal: Admin, endpoint_id: UUID, once: CurrentIdempotency
) -> Response:
    """The one before it signs as well for a day: both signatures are sent."""

    async def effect(session: AsyncSession) -> NewEndpointOut:
        made = await service.rotate_secret(
            session, runtime.vault, principal, endpoint_id, now=runtime.clock.now()
        )
        return _with_secret(made)

    return await once.in_transaction(principal, effect)


@router.post(
    "/{endpoint_id}/test",
    status_code=202,
    summary="Send a test event",
    response_model=DeliveryOut,
    responses=problems(409),
)
async def test(
    runtime: CurrentRuntime, principal: Admin, endpoint_id: UUID, once: CurrentIdempotency
) -> Response:
    """A delivery like any other, of the type `webhook.test`; the log says what became of it."""

    async def effect(session: AsyncSession) -> DeliveryOut:
        made = await service.send_test(session, principal, endpoint_id, now=runtime.clock.now())
        return DeliveryOut.model_validate(made)

    return await once.in_transaction(principal, effect, status=202)


@router.get("/{endpoint_id}/deliveries", summary="List the deliveries to an endpoint")
async def deliveries(
    *,
    runtime: CurrentRuntime,
    principal: Admin,
    endpoint_id: UUID,
    status: Annotated[DeliveryStatus | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listing[DeliveryOut]:
    """Newest first. They are kept for 30 days unless a setting says otherwise."""
    async with runtime.database.reading() as session:
        await service.get_endpoint(session, principal, endpoint_id)
        found = await service.list_deliveries(
            session,
            principal,
            endpoint_id,
            status=status,
            before=time_cursor(cursor),
            limit=limit + 1,
        )
    shown = found[:limit]
    last = shown[-1] if len(found) > limit else None
    return Listing(
        items=[DeliveryOut.model_validate(each) for each in shown],
        next_cursor=encode_cursor(last.created_at.isoformat(), str(last.id)) if last else None,
    )


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/retry",
    status_code=202,
    summary="Send a delivery again",
    response_model=DeliveryOut,
    responses=problems(409),
)
async def retry(
    *,
    runtime: CurrentRuntime,
    principal: Admin,
    endpoint_id: UUID,
    delivery_id: UUID,
    once: CurrentIdempotency,
) -> Response:
    """At once, and with the same `webhook-id`: a receiver that has it may drop it."""

    async def effect(session: AsyncSession) -> DeliveryOut:
        found = await service.send_again(
            session, principal, endpoint_id, delivery_id, now=runtime.clock.now()
        )
        return DeliveryOut.model_validate(found)

    return await once.in_transaction(principal, effect, status=202)


def _with_secret(made: NewEndpoint) -> NewEndpointOut:
    facts = EndpointOut.model_validate(made.endpoint).model_dump()
    return NewEndpointOut(**facts, secret=made.secret)
