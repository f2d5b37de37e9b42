"""Gateways that do not answer, and those that do again: read from their rows, not the journal."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.alerts import queries
from groupline.alerts.intake import good_news, new_alert
from groupline.alerts.rules import UNREACHABLE_AFTER
from groupline.models import Alert, Gateway

KINDS: Final = ("gateway.unreachable", "gateway.refused")


Told = tuple[UUID, UUID | None, str]
"""Who was told of which gateway, and what."""


class Standing(Enum):
    QUIET = "quiet"
    """All gateways answer, and nobody believes anything else."""
    FAILING = "failing"
    """Nothing to tell yet, but that may change with time alone."""
    CHANGED = "changed"
    """``look`` would find something to write."""


async def standing(session: AsyncSession, now: datetime) -> Standing:
    alerts = await queries.open_gateway_alerts(session, KINDS)
    failing = await queries.failing_gateways(session)
    if set(map(_told, alerts)) != set(await _wanted(session, failing, now)):
        return Standing.CHANGED
    return Standing.FAILING if failing else Standing.QUIET


async def look(session: AsyncSession, now: datetime) -> None:
    """One alert per organization for as long as a gateway fails in the same way."""
    wanted = await _wanted(session, await queries.failing_gateways(session), now)
    alerts = await queries.open_gateway_alerts(session, KINDS)
    told = set(map(_told, alerts))
    failing = {gateway.id for gateway in wanted.values()}
    for alert in alerts:
        if _told(alert) not in wanted:
            alert.resolved_at = now
            if alert.subject_id not in failing and alert.raised_at is not None:
                good_news(session, alert, "gateway.reachable", now, now)
    for who, gateway in wanted.items():
        if who not in told:
            _open(session, who[0], gateway, now)
    await session.flush()


async def _wanted(
    session: AsyncSession, failing: Sequence[Gateway], now: datetime
) -> dict[Told, Gateway]:
    """Who has to be told of what, as things are."""
    return {
        (organization_id, gateway.id, kind_of(gateway)): gateway
        for gateway in _alarming(failing, now)
        for organization_id in await queries.organizations_at(session, gateway.id)
    }


def _told(alert: Alert) -> Told:
    return (alert.organization_id, alert.subject_id, alert.kind)


def kind_of(gateway: Gateway) -> str:
    return "gateway.refused" if gateway.last_error_code == "auth" else "gateway.unreachable"


def _alarming(failing: Sequence[Gateway], now: datetime) -> list[Gateway]:
    """One that refuses our key does so for good; one that does not answer may only restart."""
    return [
        gateway
        for gateway in failing
        if kind_of(gateway) == "gateway.refused"
        or (gateway.unreachable_since or now) <= now - UNREACHABLE_AFTER
    ]


def _open(session: AsyncSession, organization_id: UUID, gateway: Gateway, now: datetime) -> None:
    since = gateway.unreachable_since or now
    session.add(
        new_alert(
            organization_id,
            kind_of(gateway),
            f"{gateway.id.hex}:{since.isoformat()}:{now.isoformat()}",
            subject=("gateway", gateway.id),
            data={"error": gateway.last_error, "since": since.isoformat()},
            happened_at=since,
            due_at=now,
            now=now,
        )
    )
