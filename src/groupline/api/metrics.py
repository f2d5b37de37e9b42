"""``/metrics`` for Prometheus: what the database knows, read at the moment of asking."""

import hmac
import ipaddress
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Info
from prometheus_client.exposition import generate_latest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from starlette.responses import Response

from groupline.build import current_build, current_version
from groupline.errors import Unauthenticated
from groupline.heartbeat import living_workers
from groupline.http.context import CurrentRuntime
from groupline.messages.overdue import count_overdue
from groupline.models import (
    AlertDelivery,
    Gateway,
    InboundEvent,
    ScheduledWhatsappMessage,
    WebhookDelivery,
    WhatsappSession,
)
from groupline.runtime import Runtime

router = APIRouter()

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


@router.get("/metrics")
async def metrics(runtime: CurrentRuntime, request: Request) -> Response:
    """For this machine itself, or with the bearer token of ``METRICS_TOKEN``."""
    if not (_is_local(request) or _has_token(request, runtime.settings.metrics_token)):
        raise Unauthenticated(
            "Metrics are for this machine, or for callers with the metrics token.",
            hint="Set GROUPLINE_METRICS_TOKEN and send it as a bearer token.",
        )
    return Response(generate_latest(await _collect(runtime)), media_type=CONTENT_TYPE_LATEST)


def _is_local(request: Request) -> bool:
    """From loopback, and not through a proxy: behind one, everybody would be local."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _has_token(request: Request, token: str | None) -> bool:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return token is not None and hmac.compare_digest(given.encode(), token.encode())


async def _collect(runtime: Runtime) -> CollectorRegistry:
    registry = CollectorRegistry()
    now = runtime.clock.now()
    Info("groupline_build", "What runs", registry=registry).info(
        {"version": current_version(), "build": current_build()}
    )
    workers = Gauge("groupline_workers", "Workers alive", registry=registry)
    overdue = Gauge("groupline_messages_overdue", "Late without a reason", registry=registry)
    async with runtime.database.reading() as session:
        workers.set(await living_workers(session, now))
        overdue.set(await count_overdue(session, now))
        await _count_by(
            session, registry, "groupline_messages", ScheduledWhatsappMessage.status, "status"
        )
        await _count_by(session, registry, "groupline_sessions", WhatsappSession.status, "status")
        await _count_by(
            session, registry, "groupline_webhook_deliveries", WebhookDelivery.status, "status"
        )
        await _count_by(
            session, registry, "groupline_alert_deliveries", AlertDelivery.status, "status"
        )
        await _gateways(session, registry)
        waiting = select(func.count()).where(InboundEvent.next_try_at.is_not(None))
        Gauge(
            "groupline_webhooks_waiting", "Webhooks that match nothing yet", registry=registry
        ).set((await session.execute(waiting)).scalar_one())
    return registry


async def _count_by(
    session: AsyncSession,
    registry: CollectorRegistry,
    name: str,
    column: InstrumentedAttribute[Any],
    label: str,
) -> None:
    gauge = Gauge(name, f"Rows by {label}", [label], registry=registry)
    for value, count in await session.execute(select(column, func.count()).group_by(column)):
        gauge.labels(value).set(count)


async def _gateways(session: AsyncSession, registry: CollectorRegistry) -> None:
    up = Gauge("groupline_gateway_reachable", "1: it answers", ["gateway"], registry=registry)
    rejected = Gauge(
        "groupline_webhooks_rejected", "Webhooks answered with 401", ["gateway"], registry=registry
    )
    for gateway in await session.scalars(select(Gateway).where(Gateway.enabled.is_(True))):
        up.labels(gateway.name).set(gateway.unreachable_since is None)
        rejected.labels(gateway.name).set(gateway.webhooks_rejected)
