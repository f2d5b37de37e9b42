"""What an admin does with webhook endpoints and their deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.errors import Conflict, NotFound
from groupline.ids import new_id
from groupline.models import WebhookDelivery, WebhookEndpoint
from groupline.net import Allows
from groupline.orgs.rules import Principal, check_all
from groupline.vault import Vault
from groupline.webhooks import queries
from groupline.webhooks.queries import NewDelivery
from groupline.webhooks.rules import (
    TEST_EVENT,
    check_event_types,
    check_url,
    clean_description,
    new_secret,
)

MOST_ENDPOINTS: Final = 20


@dataclass(frozen=True, slots=True)
class EndpointInput:
    """What is given is changed; ``None`` leaves it as it is."""

    url: str | None = None
    event_types: Sequence[str] | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    endpoint: WebhookEndpoint
    secret: str


async def list_endpoints(session: AsyncSession, principal: Principal) -> Sequence[WebhookEndpoint]:
    return await queries.endpoints_of(session, principal.organization_id)


async def get_endpoint(
    session: AsyncSession, principal: Principal, endpoint_id: UUID, *, for_change: bool = False
) -> WebhookEndpoint:
    found = await queries.endpoint(
        session, principal.organization_id, endpoint_id, for_change=for_change
    )
    if found is None:
        raise NotFound("There is no such webhook endpoint.")
    return found


async def create_endpoint(
    session: AsyncSession,
    vault: Vault,
    principal: Principal,
    wanted: EndpointInput,
    *,
    allows: Allows,
    now: datetime,
) -> NewEndpoint:
    """The secret is in this answer and nowhere else."""
    values = _checked(replace(wanted, enabled=None), allows)
    present = await queries.endpoints_of(session, principal.organization_id)
    if len(present) >= MOST_ENDPOINTS:
        raise Conflict(
            f"There are {MOST_ENDPOINTS} webhook endpoints already, which is the most.",
            hint="Remove one first.",
            state="too_many",
        )
    secret = new_secret()
    endpoint = WebhookEndpoint(
        id=new_id(),
        organization_id=principal.organization_id,
        secret=vault.encrypt(secret),
        enabled=wanted.enabled is not False,
        created_at=now,
        **values,
    )
    session.add(endpoint)
    await session.flush()
    await _tell(session, principal, endpoint, "webhook_endpoint.created", now=now)
    return NewEndpoint(endpoint, secret)


async def change_endpoint(
    session: AsyncSession,
    principal: Principal,
    endpoint_id: UUID,
    wanted: EndpointInput,
    *,
    allows: Allows,
    now: datetime,
) -> WebhookEndpoint:
    endpoint = await get_endpoint(session, principal, endpoint_id, for_change=True)
    values = _checked(wanted, allows)
    changed = {name: value for name, value in values.items() if getattr(endpoint, name) != value}
    for name, value in changed.items():
        setattr(endpoint, name, value)
    if changed.get("enabled"):
        endpoint.enabled_at = now
    if changed:
        await session.flush()
        await _tell(
            session, principal, endpoint, "webhook_endpoint.changed", now=now, changed=list(changed)
        )
    return endpoint


async def remove_endpoint(
    session: AsyncSession, principal: Principal, endpoint_id: UUID, *, now: datetime
) -> None:
    """What was not delivered yet never will be."""
    endpoint = await get_endpoint(session, principal, endpoint_id, for_change=True)
    endpoint.removed_at, endpoint.enabled = now, False
    await queries.fail_pending(session, endpoint, "The endpoint was removed.")
    await session.flush()
    await _tell(session, principal, endpoint, "webhook_endpoint.removed", now=now)


async def rotate_secret(
    session: AsyncSession, vault: Vault, principal: Principal, endpoint_id: UUID, *, now: datetime
) -> NewEndpoint:
    """The one before it signs as well for a day."""
    endpoint = await get_endpoint(session, principal, endpoint_id, for_change=True)
    secret = new_secret()
    endpoint.previous_secret, endpoint.rotated_at = endpoint.secret, now
    endpoint.secret = vault.encrypt(secret)
    await session.flush()
    await _tell(session, principal, endpoint, "webhook_endpoint.secret_rotated", now=now)
    return NewEndpoint(endpoint, secret)


async def send_test(
    session: AsyncSession, principal: Principal, endpoint_id: UUID, *, now: datetime
) -> WebhookDelivery:
    """A delivery like any other, of an event that means nothing."""
    endpoint = await get_endpoint(session, principal, endpoint_id, for_change=True)
    if not endpoint.enabled:
        raise _disabled()
    payload = {
        "type": TEST_EVENT,
        "timestamp": now.isoformat(),
        "data": {"endpointId": str(endpoint.id)},
    }
    wanted = NewDelivery(endpoint.organization_id, endpoint.id, new_id(), TEST_EVENT, payload)
    (delivery_id,) = await queries.add_deliveries(session, [wanted], now)
    await _announce(session, endpoint)
    return await _delivery(session, principal, endpoint.id, delivery_id)


async def list_deliveries(
    session: AsyncSession,
    principal: Principal,
    endpoint_id: UUID,
    *,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[WebhookDelivery]:
    return await queries.deliveries_of(
        session,
        principal.organization_id,
        endpoint_id,
        status=status,
        before=before,
        limit=limit,
    )


async def send_again(
    session: AsyncSession,
    principal: Principal,
    endpoint_id: UUID,
    delivery_id: UUID,
    *,
    now: datetime,
) -> WebhookDelivery:
    """At once, with the same id. One that had been given up is tried once more."""
    endpoint = await get_endpoint(session, principal, endpoint_id, for_change=True)
    delivery = await _delivery(session, principal, endpoint_id, delivery_id)
    if not endpoint.enabled:
        raise _disabled()
    if delivery.claimed_until is not None and delivery.claimed_until > now:
        raise Conflict("It is being delivered right now.", state="delivering")
    delivery.status, delivery.delivered_at = "pending", None
    delivery.next_attempt_at, delivery.claimed_until = now, None
    await session.flush()
    await _announce(session, endpoint)
    return delivery


async def _delivery(
    session: AsyncSession, principal: Principal, endpoint_id: UUID, delivery_id: UUID
) -> WebhookDelivery:
    found = await queries.delivery_for_change(
        session, principal.organization_id, endpoint_id, delivery_id
    )
    if found is None:
        raise NotFound("There is no such delivery.")
    return found


def _disabled() -> Conflict:
    return Conflict(
        "The endpoint is switched off.", hint="Switch it on first.", state="endpoint_disabled"
    )


def _checked(wanted: EndpointInput, allows: Allows) -> dict[str, Any]:
    """The columns to write. Raises ``InvalidInput`` that names all that is wrong at once."""
    url, event_types, description = wanted.url, wanted.event_types, wanted.description
    values: dict[str, Any] = {}

    def check(name: str, value: object) -> None:
        values[name] = value

    checks = []
    if url is not None:
        checks.append(lambda: check("url", check_url(url, allows)))
    if event_types is not None:
        checks.append(lambda: check("event_types", check_event_types(event_types)))
    if description is not None:
        checks.append(lambda: check("description", clean_description(description)))
    if wanted.enabled is not None:
        values["enabled"] = wanted.enabled
    check_all(*checks)
    return values


def shown_host(url: str) -> str:
    """For the journal: a path may hold a secret."""
    return urlsplit(url).hostname or "?"


async def _tell(
    session: AsyncSession,
    principal: Principal,
    endpoint: WebhookEndpoint,
    action: str,
    *,
    now: datetime,
    changed: Sequence[str] = (),
) -> None:
    data: dict[str, Any] = {
        "host": shown_host(endpoint.url),
        "eventTypes": endpoint.event_types,
        "enabled": endpoint.enabled,
    }
    if changed:
        data["changed"] = sorted(changed)
    await journal.record(
        session,
        action=action,
        actor=principal.actor,
        organization_id=endpoint.organization_id,
        subject="webhook_endpoint",
        subject_id=endpoint.id,
        data=data,
        at=now,
    )
    await _announce(session, endpoint)


async def _announce(session: AsyncSession, endpoint: WebhookEndpoint) -> None:
    await announce(
        session, "webhooks", organization_id=endpoint.organization_id, subject_id=endpoint.id
    )
