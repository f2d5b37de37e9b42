"""Gateways, for administrators of the installation."""

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

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
    drop_old_webhook_secret,
    rotate_webhook_secret,
    valid_secrets,
)
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import ApiModel, problems
from groupline.models import Gateway
from groupline.numbers.context import Context
from groupline.numbers.strays import Known, held_sessions, log_out_stray
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

router = APIRouter(prefix="/gateways", tags=["gateways"])

Administrator = Annotated[Principal, Depends(allowed(Permission.INSTALLATION))]


class GatewayOut(ApiModel):
    id: UUID
    name: str
    kind: str
    base_url: str
    built_in: bool
    enabled: bool
    max_in_flight: int
    reachable: bool | None = Field(description="null: not asked yet")
    last_seen_at: datetime | None
    unreachable_since: datetime | None
    last_error: str | None
    last_error_code: str | None
    version: str | None
    engine: str | None
    capabilities: list[str]
    webhook_secrets: int = Field(description="How many are valid: two during a rotation")
    old_webhook_secret_until: datetime | None = Field(
        description="During a rotation: until then the old one is valid"
    )
    last_webhook_at: datetime | None
    webhooks_rejected: int = Field(description="Webhooks refused with 401 so far")
    webhook_rejected_at: datetime | None = Field(description="The last of them")


class GatewayList(ApiModel):
    items: list[GatewayOut]
    next_cursor: None = None


class GatewayIn(ApiModel):
    name: str = Field(examples=["VPS"])
    kind: str = Field("groupline", examples=["groupline"])
    base_url: str = Field(examples=["http://127.0.0.1:3001"])
    api_key: str = Field("", repr=False)
    auth: Literal["api_key", "bearer"] = "api_key"
    webhook_secret: str | None = Field(None, repr=False)
    max_in_flight: int | None = None


class GatewayPatch(ApiModel):
    name: str | None = None
    base_url: str | None = None
    api_key: str | None = Field(None, repr=False)
    auth: Literal["api_key", "bearer"] | None = None
    webhook_secret: str | None = Field(
        None, repr=False, description="The one before it stays valid for a week"
    )
    max_in_flight: int | None = None
    enabled: bool | None = None


class RotateIn(ApiModel):
    keep_old_days: int = Field(7, ge=0, le=90, description="For so long the old one stays valid")


class RotatedOut(ApiModel):
    secret: str = Field(description="The new secret. It is not shown again", repr=False)
    old_valid_until: datetime | None = Field(description="null: there is no valid old one")
    gateway: GatewayOut


class HeldSessionOut(ApiModel):
    gateway_session_id: str
    status: str | None = Field(description="In the gateway's own words")
    since: datetime | None
    phone: str | None = Field(description="As the gateway shows it, often only the last digits")
    number_name: str | None = Field(
        description="Of the number that it serves, where that is one of this organization"
    )
    number_phone: str | None = Field(description="Of the same number, whole")
    detail: str | None = Field(description="What is wrong with it, as a sentence")
    memory_mb: float | None = Field(description="Of its own process, where it has one")
    restarts: int | None = Field(description="Of this process, since the gateway started")
    known: Known = Field(description="nowhere: neither a session here, nor one being logged out")


class HeldSessionList(ApiModel):
    items: list[HeldSessionOut]
    next_cursor: None = None
    strays: int = Field(description="How many are known nowhere here")
    limit: int | None = Field(description="How many the gateway takes, where it says so")
    memory_limit_mb: int | None = Field(description="Of the process of one session")


class ProbeOut(ApiModel):
    reachable: bool
    authenticated: bool | None
    latency_ms: float | None
    version: str | None
    engine: str | None
    capabilities: list[str]
    error: str | None


@router.get("", summary="List the gateways")
async def index(runtime: CurrentRuntime, _: Administrator) -> GatewayList:
    async with runtime.database.reading() as session:
        return GatewayList(items=[_out(runtime, row) for row in await list_gateways(session)])


@router.post("", status_code=201, summary="Register a gateway")
async def create(runtime: CurrentRuntime, admin: Administrator, body: GatewayIn) -> GatewayOut:
    async with runtime.database.writing() as session:
        gateway = await register_gateway(
            session, runtime.vault, _input(body), actor=admin.actor, now=runtime.clock.now()
        )
    return _out(runtime, gateway)


@router.get("/{gateway_id}", summary="Show a gateway")
async def show(runtime: CurrentRuntime, _: Administrator, gateway_id: UUID) -> GatewayOut:
    async with runtime.database.reading() as session:
        return _out(runtime, await get_gateway(session, gateway_id))


@router.patch("/{gateway_id}", summary="Change a gateway, or rotate its webhook secret")
async def change(
    runtime: CurrentRuntime, admin: Administrator, gateway_id: UUID, body: GatewayPatch
) -> GatewayOut:
    async with runtime.database.writing() as session:
        gateway = await change_gateway(
            session,
            runtime.vault,
            gateway_id,
            _input(body),
            actor=admin.actor,
            now=runtime.clock.now(),
        )
    return _out(runtime, gateway)


@router.delete("/{gateway_id}", status_code=204, summary="Remove a gateway without a history")
async def remove(runtime: CurrentRuntime, admin: Administrator, gateway_id: UUID) -> None:
    async with runtime.database.writing() as session:
        await remove_gateway(session, gateway_id, actor=admin.actor, now=runtime.clock.now())


@router.post("/{gateway_id}/probe", summary="Ask a gateway now")
async def probe(runtime: CurrentRuntime, _: Administrator, gateway_id: UUID) -> ProbeOut:
    found = await probe_gateway(runtime, gateway_id)
    return ProbeOut(
        reachable=found.reachable,
        authenticated=found.authenticated,
        latency_ms=found.latency_ms,
        version=found.version,
        engine=found.engine,
        capabilities=found.capabilities.as_json(),
        error=found.error,
    )


async def probe_gateway(runtime: Runtime, gateway_id: UUID) -> Probe:
    """Asks the gateway, and stores what it said."""
    async with runtime.database.reading() as session:
        gateway = await get_gateway(session, gateway_id)
    found = await runtime.gateways.driver(gateway).probe()
    async with runtime.database.writing() as session:
        await note_probe(session, gateway_id, found, runtime.clock.now())
    return found


@router.post(
    "/{gateway_id}/rotate-webhook-secret",
    response_model=RotatedOut,
    responses=problems(409),
    summary="Make a new webhook secret",
)
async def rotate(
    runtime: CurrentRuntime,
    admin: Administrator,
    once: CurrentIdempotency,
    gateway_id: UUID,
    body: RotateIn,
) -> Response:
    """The new secret is valid at once, and shown this once. The old one stays valid until it is
    dropped, or its time is up: put the new one into the gateway meanwhile."""

    async def effect(session: AsyncSession) -> RotatedOut:
        done = await rotate_webhook_secret(
            session,
            runtime.vault,
            gateway_id,
            keep_old_for=timedelta(days=body.keep_old_days),
            actor=admin.actor,
            now=runtime.clock.now(),
        )
        return RotatedOut(
            secret=done.secret,
            old_valid_until=done.old_valid_until,
            gateway=_out(runtime, done.gateway),
        )

    return await once.in_transaction(admin, effect)


@router.post("/{gateway_id}/drop-old-webhook-secret", responses=problems(409))
async def drop_old_secret(
    runtime: CurrentRuntime, admin: Administrator, gateway_id: UUID
) -> GatewayOut:
    """From now on webhooks that prove themselves with the old secret are refused."""
    async with runtime.database.writing() as session:
        gateway = await drop_old_webhook_secret(
            session, runtime.vault, gateway_id, actor=admin.actor, now=runtime.clock.now()
        )
    return _out(runtime, gateway)


@router.get(
    "/{gateway_id}/sessions",
    responses=problems(409, 502),
    summary="List what a gateway holds, and what of it is known nowhere here",
)
async def held(runtime: CurrentRuntime, admin: Administrator, gateway_id: UUID) -> HeldSessionList:
    """What is known nowhere here is never removed by itself: it may be another installation's.
    409 for a gateway that lists nothing."""
    holding = await held_sessions(Context.of(runtime), admin.organization_id, gateway_id)
    return HeldSessionList(
        items=[
            HeldSessionOut(
                gateway_session_id=each.session.id,
                status=each.session.status,
                since=each.session.since,
                phone=each.session.phone,
                number_name=each.name,
                number_phone=each.phone,
                detail=each.session.detail,
                memory_mb=each.session.memory_mb,
                restarts=each.session.restarts,
                known=each.known,
            )
            for each in holding.held
        ],
        strays=holding.strays,
        limit=holding.limit,
        memory_limit_mb=holding.memory_limit_mb,
    )


@router.post(
    "/{gateway_id}/sessions/{gateway_session_id}/log-out",
    status_code=204,
    responses=problems(409, 502),
    summary="Log out a session that is known nowhere here",
)
async def log_out_held(
    runtime: CurrentRuntime,
    admin: Administrator,
    gateway_id: UUID,
    gateway_session_id: Annotated[str, Path(max_length=200)],
) -> None:
    context = Context.of(runtime)
    await log_out_stray(context, gateway_id, gateway_session_id, actor=admin.actor)


def _input(body: GatewayIn | GatewayPatch) -> GatewayInput:
    facts = body.model_dump()
    scheme = facts.pop("auth")
    return GatewayInput(**facts, auth=None if scheme is None else AuthScheme(scheme))


def _out(runtime: Runtime, gateway: Gateway) -> GatewayOut:
    secrets = valid_secrets(runtime.vault, gateway, runtime.clock.now())
    asked = gateway.last_seen_at is not None or gateway.unreachable_since is not None
    return GatewayOut(
        id=gateway.id,
        name=gateway.name,
        kind=gateway.kind,
        base_url=gateway.base_url,
        built_in=gateway.managed_engine is not None,
        enabled=gateway.enabled,
        max_in_flight=gateway.max_in_flight,
        reachable=gateway.unreachable_since is None if asked else None,
        last_seen_at=gateway.last_seen_at,
        unreachable_since=gateway.unreachable_since,
        last_error=gateway.last_error,
        last_error_code=gateway.last_error_code,
        version=gateway.version,
        engine=gateway.engine,
        capabilities=gateway.capabilities,
        webhook_secrets=len(secrets),
        old_webhook_secret_until=secrets[1].valid_until if len(secrets) > 1 else None,
        last_webhook_at=gateway.last_webhook_at,
        webhooks_rejected=gateway.webhooks_rejected,
        webhook_rejected_at=gateway.webhook_rejected_at,
    )
