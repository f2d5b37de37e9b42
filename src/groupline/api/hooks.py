"""``/hooks/{gateway}/…``: where gateways report. Proven first, stored next, then applied."""

import json
from typing import Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Request

from groupline.errors import InvalidInput, MalformedRequest, NotFound, Unauthenticated
from groupline.gateways.webhook_secrets import valid_secrets
from groupline.http.context import CurrentRuntime
from groupline.inbound import store
from groupline.inbound.authenticity import is_authentic
from groupline.inbound.process import process_event
from groupline.inbound.reports import PATH_KINDS, Report, read_envelope, read_report
from groupline.models import Gateway
from groupline.runtime import Runtime

logger = structlog.get_logger()
router = APIRouter(prefix="/hooks")


@router.post("/{gateway_id}")
async def envelope(runtime: CurrentRuntime, request: Request, gateway_id: UUID) -> dict[str, bool]:
    """The one envelope of Groupline's own gateway."""
    body = await _proven_body(runtime, request, gateway_id)
    return await _take(runtime, gateway_id, read_envelope(body, received_at=runtime.clock.now()))


@router.post("/{gateway_id}/{path}")
async def by_path(
    runtime: CurrentRuntime, request: Request, gateway_id: UUID, path: str
) -> dict[str, bool]:
    """One address per kind of event, as the owner's gateway has it."""
    kind = PATH_KINDS.get(path)
    if kind is None:
        raise NotFound("There is no webhook of that name.")
    body = await _proven_body(runtime, request, gateway_id)
    report = read_report(kind, body, received_at=runtime.clock.now())
    return await _take(runtime, gateway_id, report)


async def _take(runtime: Runtime, gateway_id: UUID, report: Report) -> dict[str, bool]:
    """Stored in a transaction of its own: what follows may fail, the report is not lost."""
    now = runtime.clock.now()
    async with runtime.database.writing() as session:
        event_id = await store.keep(session, gateway_id, report, now)
    if event_id is not None:
        pace = runtime.settings.pace_seconds
        await process_event(runtime.database, event_id, now, pace_seconds=pace)
    return {"success": True}


async def _proven_body(runtime: Runtime, request: Request, gateway_id: UUID) -> dict[str, Any]:
    raw = await request.body()
    async with runtime.database.reading() as session:
        gateway = await session.get(Gateway, gateway_id)
    now = runtime.clock.now()
    known = valid_secrets(runtime.vault, gateway, now) if gateway else []
    secrets = [secret.value for secret in known]
    if gateway is None or not is_authentic(_lower(request), raw, secrets):
        if gateway is not None:
            await _count_rejection(runtime, gateway_id)
        raise Unauthenticated("This webhook does not prove that it comes from the gateway.")
    return _object(raw)


async def _count_rejection(runtime: Runtime, gateway_id: UUID) -> None:
    logger.warning("webhook.rejected", gateway=str(gateway_id))
    async with runtime.database.writing() as session:
        await store.count_rejection(session, gateway_id, runtime.clock.now())


def _lower(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:  # the latter: nested without end
        raise MalformedRequest("The body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise InvalidInput("A webhook's body is a JSON object.")
    return body
