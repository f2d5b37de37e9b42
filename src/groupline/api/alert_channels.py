"""Alert channels: where people are told of what they should know."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.alerts import service
from groupline.alerts.channels import load_services, shown
from groupline.alerts.rules import AlertKind
from groupline.alerts.send import try_channel
from groupline.alerts.service import ChannelInput
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import ApiModel, Listing, problems
from groupline.models import AlertChannel
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

router = APIRouter(prefix="/alert-channels", tags=["alerts"], dependencies=[Depends(load_services)])

Admin = Annotated[Principal, Depends(allowed(Permission.OUTGOING))]


class ChannelOut(ApiModel):
    id: UUID
    name: str = Field(examples=["On call"])
    service: str = Field(examples=["Telegram"])
    masked_url: str = Field(
        examples=["tgram://…"], description="The address without what could be a secret"
    )
    kinds: list[str] = Field(examples=[["number.disconnected", "message.failed"]])
    enabled: bool
    last_error: str | None = Field(description="Why the last attempt failed, if it did")
    last_error_at: datetime | None
    last_delivered_at: datetime | None
    created_at: datetime


class ChannelIn(ApiModel):
    name: str = Field(examples=["On call"])
    url: str = Field(
        examples=["mailtos://user:password@example.com?to=team@example.com"],
        description="An apprise address. Never shown again.",
        repr=False,
    )
    kinds: list[AlertKind] = Field(examples=[["number.disconnected", "message.failed"]])
    enabled: bool = True


class ChannelPatch(ApiModel):
    name: str | None = None
    url: str | None = Field(None, repr=False)
    kinds: list[AlertKind] | None = None
    enabled: bool | None = None


class TestOut(ApiModel):
    delivered: bool
    error: str | None = Field(description="Why it was not delivered")


@router.get("", summary="List the alert channels")
async def index(runtime: CurrentRuntime, principal: Admin) -> Listing[ChannelOut]:
    async with runtime.database.reading() as session:
        found = await service.list_channels(session, principal)
    return Listing(items=[_out(runtime, each) for each in found])


@router.post(
    "",
    status_code=201,
    summary="Add an alert channel",
    response_model=ChannelOut,
    responses=problems(409),
)
async def create(
    runtime: CurrentRuntime, principal: Admin, body: ChannelIn, once: CurrentIdempotency
) -> Response:
    """E-mail, Telegram, Slack, Discord and others, by their apprise address."""

    async def effect(session: AsyncSession) -> ChannelOut:
        made = await service.create_channel(
            session,
            runtime.vault,
            principal,
            ChannelInput(**body.model_dump()),
            allows=runtime.outgoing_allows,
            now=runtime.clock.now(),
        )
        return _out(runtime, made)

    return await once.in_transaction(principal, effect, status=201)


@router.get("/{channel_id}", summary="Show an alert channel")
async def show(runtime: CurrentRuntime, principal: Admin, channel_id: UUID) -> ChannelOut:
    async with runtime.database.reading() as session:
        return _out(runtime, await service.get_channel(session, principal, channel_id))


@router.patch("/{channel_id}", summary="Change an alert channel", responses=problems(409))
async def change(
    runtime: CurrentRuntime, principal: Admin, channel_id: UUID, body: ChannelPatch
) -> ChannelOut:
    async with runtime.database.writing() as session:
        changed = await service.change_channel(
            session,
            runtime.vault,
            principal,
            channel_id,
            ChannelInput(**body.model_dump()),
            allows=runtime.outgoing_allows,
            now=runtime.clock.now(),
        )
    return _out(runtime, changed)


@router.delete("/{channel_id}", status_code=204, summary="Remove an alert channel")
async def remove(runtime: CurrentRuntime, principal: Admin, channel_id: UUID) -> None:
    async with runtime.database.writing() as session:
        await service.remove_channel(
            session, runtime.vault, principal, channel_id, now=runtime.clock.now()
        )


@router.post("/{channel_id}/test", summary="Send a test alert, now")
async def test(runtime: CurrentRuntime, principal: Admin, channel_id: UUID) -> TestOut:
    """Answers when the service has taken it or refused it, after 30 seconds at the latest."""
    error = await try_channel(
        runtime.database,
        runtime.vault,
        principal,
        channel_id,
        allows=runtime.outgoing_allows,
        clock=runtime.clock,
    )
    return TestOut(delivered=error is None, error=error)


def _out(runtime: Runtime, channel: AlertChannel) -> ChannelOut:
    address = shown(runtime.vault.decrypt(channel.url))
    return ChannelOut(
        id=channel.id,
        name=channel.name,
        service=address.service,
        masked_url=address.masked,
        kinds=channel.kinds,
        enabled=channel.enabled,
        last_error=channel.last_error,
        last_error_at=channel.last_error_at,
        last_delivered_at=channel.last_delivered_at,
        created_at=channel.created_at,
    )
