"""What an admin does with alert channels, and anybody who operates with alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.alerts import queries
from groupline.alerts.channels import check_channel_url, shown
from groupline.alerts.rules import check_kinds
from groupline.db import announce
from groupline.errors import Conflict, NotFound
from groupline.ids import new_id
from groupline.models import Alert, AlertChannel
from groupline.net import Allows
from groupline.orgs.rules import Principal, check_all, clean_name
from groupline.vault import Vault

MOST_CHANNELS: Final = 20


@dataclass(frozen=True, slots=True)
class ChannelInput:
    """What is given is changed; ``None`` leaves it as it is."""

    name: str | None = None
    url: str | None = None
    kinds: Sequence[str] | None = None
    enabled: bool | None = None


async def list_channels(session: AsyncSession, principal: Principal) -> Sequence[AlertChannel]:
    return await queries.channels_of(session, principal.organization_id)


async def get_channel(
    session: AsyncSession, principal: Principal, channel_id: UUID, *, for_change: bool = False
) -> AlertChannel:
    found = await queries.channel(
        session, principal.organization_id, channel_id, for_change=for_change
    )
    if found is None:
        raise NotFound("There is no such alert channel.")
    return found


async def create_channel(
    session: AsyncSession,
    vault: Vault,
    principal: Principal,
    wanted: ChannelInput,
    *,
    allows: Allows,
    now: datetime,
) -> AlertChannel:
    values = _checked(vault, wanted, allows)
    if len(await queries.channels_of(session, principal.organization_id)) >= MOST_CHANNELS:
        raise Conflict(
            f"There are {MOST_CHANNELS} alert channels already, which is the most.",
            hint="Remove one first.",
            state="too_many",
        )
    channel = AlertChannel(
        id=new_id(),
        organization_id=principal.organization_id,
        created_at=now,
        **({"enabled": True} | values),
    )
    session.add(channel)
    await _flush_name(session)
    await _tell(session, vault, principal, channel, "alert_channel.created", now=now)
    return channel


async def change_channel(
    session: AsyncSession,
    vault: Vault,
    principal: Principal,
    channel_id: UUID,
    wanted: ChannelInput,
    *,
    allows: Allows,
    now: datetime,
) -> AlertChannel:
    channel = await get_channel(session, principal, channel_id, for_change=True)
    values = _checked(vault, wanted, allows)
    changed = [name for name, value in values.items() if getattr(channel, name) != value]
    for name in changed:
        setattr(channel, name, values[name])
    if changed:
        await _flush_name(session)
        await _tell(
            session, vault, principal, channel, "alert_channel.changed", now=now, changed=changed
        )
    return channel


async def remove_channel(
    session: AsyncSession, vault: Vault, principal: Principal, channel_id: UUID, *, now: datetime
) -> AlertChannel:
    """What it was told, and what it was to be told, goes with it."""
    channel = await get_channel(session, principal, channel_id, for_change=True)
    await queries.delete_channel(session, channel)
    await _tell(session, vault, principal, channel, "alert_channel.removed", now=now)
    return channel


async def put_away(
    session: AsyncSession, principal: Principal, alert_id: UUID, *, now: datetime
) -> Alert:
    """A person has seen it: it is shown to nobody any more. Doing it again changes nothing."""
    alert = await queries.raised_alert(session, principal.organization_id, alert_id)
    if alert is None:
        raise NotFound("There is no such alert.")
    if alert.resolved_at is None:
        alert.resolved_at = now
        await session.flush()
        await journal.record(
            session,
            action="alert.put_away",
            actor=principal.actor,
            organization_id=alert.organization_id,
            subject="alert",
            subject_id=alert.id,
            data={"kind": alert.kind},
            at=now,
        )
        await announce(
            session, "alerts", organization_id=alert.organization_id, subject_id=alert.id
        )
    return alert


def _checked(vault: Vault, wanted: ChannelInput, allows: Allows) -> dict[str, Any]:
    """The columns to write. Raises ``InvalidInput`` that names all that is wrong at once."""
    name, url, kinds = wanted.name, wanted.url, wanted.kinds
    values: dict[str, Any] = {}
    checks = []
    if name is not None:
        checks.append(lambda: values.update(name=clean_name(name)))
    if url is not None:
        checks.append(lambda: values.update(url=vault.encrypt(check_channel_url(url, allows))))
    if kinds is not None:
        checks.append(lambda: values.update(kinds=check_kinds(kinds)))
    check_all(*checks)
    if wanted.enabled is not None:
        values["enabled"] = wanted.enabled
    return values


async def _flush_name(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise Conflict(
            "There is already an alert channel of that name.", state="name_taken"
        ) from error


async def _tell(
    session: AsyncSession,
    vault: Vault,
    principal: Principal,
    channel: AlertChannel,
    action: str,
    *,
    now: datetime,
    changed: Sequence[str] = (),
) -> None:
    data: dict[str, Any] = {
        "name": channel.name,
        "service": shown(vault.decrypt(channel.url)).service,
        "kinds": channel.kinds,
        "enabled": channel.enabled,
    }
    if changed:
        data["changed"] = sorted(changed)
    await journal.record(
        session,
        action=action,
        actor=principal.actor,
        organization_id=channel.organization_id,
        subject="alert_channel",
        subject_id=channel.id,
        data=data,
        at=now,
    )
    await announce(
        session, "alerts", organization_id=channel.organization_id, subject_id=channel.id
    )
