"""What a gateway proves itself with when it reports to us: one secret, or two during a rotation.

A new secret is good at once. The one before it stays good until it is dropped, or its time is up:
long enough to put the new one into the gateway without a report being refused.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.errors import Conflict, InvalidInput, NotFound
from groupline.journal import Actor
from groupline.models import Gateway
from groupline.vault import Vault

KEPT_FOR: Final = timedelta(days=7)
_KEPT_AT_MOST: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    value: str = field(repr=False)
    valid_until: datetime | None = None
    """None: as long as it is not replaced."""


@dataclass(frozen=True, slots=True)
class Rotation:
    gateway: Gateway
    secret: str = field(repr=False)
    """The new one. It is shown this once."""
    old_valid_until: datetime | None
    """None: there was no other one, or it is no longer good."""


# At rest


def write_webhook_secrets(vault: Vault, stored: Sequence[str | WebhookSecret]) -> str:
    """Newest first."""
    return vault.encrypt(json.dumps([_as_json(each) for each in stored]))


def _as_json(secret: str | WebhookSecret) -> Any:
    if isinstance(secret, str) or secret.valid_until is None:
        return secret if isinstance(secret, str) else secret.value
    return {"secret": secret.value, "validUntil": secret.valid_until.isoformat()}


def stored_secrets(vault: Vault, gateway: Gateway) -> list[WebhookSecret]:
    """Newest first, outdated ones too."""
    if gateway.webhook_secrets is None:
        return []
    return [_from_json(each) for each in json.loads(vault.decrypt(gateway.webhook_secrets))]


def _from_json(stored: Any) -> WebhookSecret:
    if isinstance(stored, str):
        return WebhookSecret(stored)
    return WebhookSecret(stored["secret"], datetime.fromisoformat(stored["validUntil"]))


def valid_secrets(vault: Vault, gateway: Gateway, now: datetime) -> list[WebhookSecret]:
    """Those that prove something now, newest first."""
    return [
        each
        for each in stored_secrets(vault, gateway)
        if each.valid_until is None or each.valid_until > now
    ]


# Use cases


async def rotate_webhook_secret(
    session: AsyncSession,
    vault: Vault,
    gateway_id: UUID,
    *,
    keep_old_for: timedelta = KEPT_FOR,
    actor: Actor,
    now: datetime,
) -> Rotation:
    """Makes a new secret, in the caller's transaction."""
    if not timedelta() <= keep_old_for <= _KEPT_AT_MOST:
        raise InvalidInput(
            "The old secret cannot stay valid for so long.",
            fields={"keepOldDays": f"between 0 and {_KEPT_AT_MOST.days} days"},
        )
    gateway = await _locked(session, gateway_id)
    fresh = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
    put_new_secret(vault, gateway, fresh, now, keep_old_for=keep_old_for)
    old = valid_secrets(vault, gateway, now)[1:]
    until = old[0].valid_until if old else None
    data = {"oldValidUntil": until.isoformat() if until else None}
    action = "gateway.webhook_secret_rotated"
    await _record(session, gateway, action, data, actor=actor, now=now)
    return Rotation(gateway, fresh, until)


def put_new_secret(
    vault: Vault,
    gateway: Gateway,
    secret: str,
    now: datetime,
    *,
    keep_old_for: timedelta = KEPT_FOR,
) -> None:
    """The newest of the others stays good for a while; whatever is older than that is gone."""
    _refuse_built_in(gateway)
    others = [each for each in valid_secrets(vault, gateway, now) if each.value != secret]
    until = now + keep_old_for
    kept = [
        WebhookSecret(
            each.value, until if each.valid_until is None else min(each.valid_until, until)
        )
        for each in others[:1]
        if keep_old_for
    ]
    gateway.webhook_secrets = write_webhook_secrets(vault, [secret, *kept])


def _refuse_built_in(gateway: Gateway) -> None:
    if gateway.managed_engine is not None:
        raise Conflict(
            "The built-in gateway has a secret of its own, which never leaves this machine.",
            hint="There is nothing to rotate.",
            state="built_in",
        )


async def drop_old_webhook_secret(
    session: AsyncSession, vault: Vault, gateway_id: UUID, *, actor: Actor, now: datetime
) -> Gateway:
    """From now on only the newest secret proves anything."""
    gateway = await _locked(session, gateway_id)
    good = valid_secrets(vault, gateway, now)
    if len(good) < 2:
        raise Conflict(
            "This gateway has no old webhook secret.",
            hint="Only the newest one is good already.",
            state="no_old_secret",
        )
    gateway.webhook_secrets = write_webhook_secrets(vault, good[:1])
    action = "gateway.webhook_secret_dropped"
    await _record(session, gateway, action, {}, actor=actor, now=now)
    return gateway


async def _locked(session: AsyncSession, gateway_id: UUID) -> Gateway:
    gateway = await session.scalar(
        select(Gateway)
        .where(Gateway.id == gateway_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if gateway is None:
        raise NotFound("There is no such gateway.")
    return gateway


async def _record(
    session: AsyncSession,
    gateway: Gateway,
    action: str,
    data: dict[str, Any],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    await session.flush()
    await journal.record(
        session,
        action=action,
        actor=actor,
        organization_id=None,
        subject="gateway",
        subject_id=gateway.id,
        data={"name": gateway.name, **data},
        at=now,
    )
    await announce(session, "gateways", organization_id=None, subject_id=gateway.id)
