"""All SQL of alerts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.alerts.rules import RECOVERY_OF
from groupline.flights import Flights
from groupline.models import (
    Alert,
    AlertChannel,
    AlertDelivery,
    Gateway,
    ScheduledWhatsappMessage,
    WhatsappSession,
)

# --- channels -------------------------------------------------------------------------------


async def channels_of(session: AsyncSession, organization_id: UUID) -> Sequence[AlertChannel]:
    statement = (
        select(AlertChannel)
        .where(AlertChannel.organization_id == organization_id)
        .order_by(AlertChannel.id)
    )
    return (await session.scalars(statement)).all()


async def channel(
    session: AsyncSession, organization_id: UUID, channel_id: UUID, *, for_change: bool
) -> AlertChannel | None:
    statement = select(AlertChannel).where(
        AlertChannel.organization_id == organization_id, AlertChannel.id == channel_id
    )
    found: AlertChannel | None = await session.scalar(
        statement.with_for_update() if for_change else statement
    )
    return found


async def delete_channel(session: AsyncSession, row: AlertChannel) -> None:
    """What it was told goes with it; the alerts themselves stay."""
    await session.execute(
        delete(AlertDelivery).where(
            AlertDelivery.organization_id == row.organization_id,
            AlertDelivery.channel_id == row.id,
        )
    )
    await session.delete(row)
    await session.flush()


async def note_on_channel(
    session: AsyncSession,
    organization_id: UUID,
    channel_id: UUID,
    error: str | None,
    now: datetime,
) -> bool:
    """Keeps how the last attempt went. True: it is news, it went the other way before."""
    mine = (AlertChannel.organization_id == organization_id, AlertChannel.id == channel_id)
    failed_before = AlertChannel.last_error.is_not(None)
    values: dict[str, Any] = {"last_error": error}
    values |= {"last_delivered_at": now} if error is None else {"last_error_at": now}
    turned = await session.execute(
        update(AlertChannel)
        .where(*mine, failed_before if error is None else ~failed_before)
        .values(values)
    )
    is_news = bool(turned.rowcount)  # type: ignore[attr-defined]  # an UPDATE answers with a count
    if not is_news:
        await session.execute(update(AlertChannel).where(*mine).values(values))
    return is_news


# --- alerts ---------------------------------------------------------------------------------


async def open_alerts(
    session: AsyncSession, kind: str, subject_ids: Collection[UUID]
) -> Sequence[Alert]:
    """Of any organization: a number belongs to one, a gateway to many."""
    statement = select(Alert).where(
        Alert.kind == kind, Alert.subject_id.in_(subject_ids), Alert.resolved_at.is_(None)
    )
    return (await session.scalars(statement)).all()


async def alerts_by_key(
    session: AsyncSession, keys: Collection[tuple[UUID, str]]
) -> dict[tuple[UUID, str], Alert]:
    statement = select(Alert).where(
        Alert.organization_id.in_({each[0] for each in keys}),
        Alert.key.in_({each[1] for each in keys}),
    )
    return {(row.organization_id, row.key): row for row in await session.scalars(statement)}


async def due_alerts(session: AsyncSession, now: datetime, limit: int) -> Sequence[Alert]:
    statement = (
        select(Alert)
        .where(Alert.raised_at.is_(None), Alert.due_at <= now)
        .order_by(Alert.due_at, Alert.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await session.scalars(statement)).all()


async def next_due_alert(session: AsyncSession) -> datetime | None:
    statement = select(func.min(Alert.due_at)).where(Alert.raised_at.is_(None))
    return (await session.execute(statement)).scalar_one()


async def recent_alerts(
    session: AsyncSession, organization_id: UUID, *, limit: int
) -> Sequence[Alert]:
    """Those that were raised, the newest first."""
    statement = (
        select(Alert)
        .where(Alert.organization_id == organization_id, Alert.raised_at.is_not(None))
        .order_by(Alert.raised_at.desc(), Alert.id.desc())
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def alerts_for_people(
    session: AsyncSession, organization_id: UUID, *, but: Collection[str], since: datetime
) -> Sequence[Alert]:
    """Raised, and neither over nor put away by anybody."""
    statement = (
        select(Alert)
        .where(
            Alert.organization_id == organization_id,
            Alert.raised_at >= since,
            Alert.resolved_at.is_(None),
            Alert.kind.not_in([*but, *RECOVERY_OF]),
        )
        .order_by(Alert.raised_at.desc(), Alert.id.desc())
        .limit(20)
    )
    return (await session.scalars(statement)).all()


async def raised_alert(
    session: AsyncSession, organization_id: UUID, alert_id: UUID
) -> Alert | None:
    found: Alert | None = await session.scalar(
        select(Alert)
        .where(
            Alert.organization_id == organization_id,
            Alert.id == alert_id,
            Alert.raised_at.is_not(None),
        )
        .with_for_update()
    )
    return found


async def forget_old(session: AsyncSession, before: datetime) -> None:
    old = select(Alert.id).where(Alert.created_at < before, Alert.raised_at.is_not(None))
    await session.execute(delete(AlertDelivery).where(AlertDelivery.alert_id.in_(old)))
    await session.execute(delete(Alert).where(Alert.id.in_(old)))


# --- deliveries -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job:
    """A delivery that this process may attempt until the lease ends."""

    id: UUID
    organization_id: UUID
    channel_id: UUID
    attempts: int
    leased_until: datetime
    url: str
    title: str
    text: str
    link: str | None


def _deliverable() -> tuple[ColumnElement[bool], ...]:
    return (AlertDelivery.status == "pending", AlertChannel.enabled.is_(True))


async def claim(
    session: AsyncSession, flights: Flights[UUID], *, now: datetime, until: datetime
) -> list[Job]:
    """Leases what is due, one per channel. What never reports back is due again after the lease."""
    statement = (
        select(AlertDelivery, AlertChannel.url, Alert.title, Alert.text, Alert.link)
        .join(AlertChannel, AlertChannel.id == AlertDelivery.channel_id)
        .join(Alert, Alert.id == AlertDelivery.alert_id)
        .where(
            *_deliverable(),
            AlertDelivery.next_attempt_at <= now,
            AlertDelivery.channel_id.not_in(flights.full),
        )
        .order_by(AlertDelivery.next_attempt_at, AlertDelivery.id)
        .limit(flights.room)
        .with_for_update(of=AlertDelivery, skip_locked=True)
    )
    jobs: dict[UUID, Job] = {}
    for row, url, title, text, link in await session.execute(statement):
        if row.channel_id in jobs:
            continue
        row.next_attempt_at = row.claimed_until = until
        jobs[row.channel_id] = Job(
            id=row.id,
            organization_id=row.organization_id,
            channel_id=row.channel_id,
            attempts=row.attempts,
            leased_until=until,
            url=url,
            title=title or "",
            text=text or "",
            link=link,
        )
    await session.flush()
    return list(jobs.values())


async def next_due_delivery(session: AsyncSession, *, but: Collection[UUID]) -> datetime | None:
    statement = (
        select(func.min(AlertDelivery.next_attempt_at))
        .join(AlertChannel, AlertChannel.id == AlertDelivery.channel_id)
        .where(*_deliverable(), AlertDelivery.channel_id.not_in(but))
    )
    return (await session.execute(statement)).scalar_one()


async def store(session: AsyncSession, job: Job, values: Mapping[str, Any]) -> bool:
    """Unless the lease has ended and somebody else attempts it by now."""
    stored = await session.execute(
        update(AlertDelivery)
        .where(
            AlertDelivery.organization_id == job.organization_id,
            AlertDelivery.id == job.id,
            AlertDelivery.claimed_until == job.leased_until,
        )
        .values(claimed_until=None, **values)
    )
    return bool(stored.rowcount)  # type: ignore[attr-defined]  # an UPDATE answers with a count


async def deliveries_of_alerts(
    session: AsyncSession, organization_id: UUID, alert_ids: Collection[UUID]
) -> dict[UUID, list[tuple[str, AlertDelivery]]]:
    """For each alert the channels it went to, by name."""
    statement = (
        select(AlertChannel.name, AlertDelivery)
        .join(AlertChannel, AlertChannel.id == AlertDelivery.channel_id)
        .where(
            AlertDelivery.organization_id == organization_id,
            AlertDelivery.alert_id.in_(alert_ids),
        )
        .order_by(AlertChannel.name)
    )
    found: dict[UUID, list[tuple[str, AlertDelivery]]] = {}
    for name, row in await session.execute(statement):
        found.setdefault(row.alert_id, []).append((name, row))
    return found


async def count_by_status(session: AsyncSession) -> dict[str, int]:
    statement = select(AlertDelivery.status, func.count()).group_by(AlertDelivery.status)
    return {row[0]: row[1] for row in await session.execute(statement)}


# --- what alerts are about ------------------------------------------------------------------


async def numbers_of_messages(
    session: AsyncSession, message_ids: Collection[UUID]
) -> dict[UUID, UUID]:
    message = ScheduledWhatsappMessage
    statement = select(message.id, message.number_id).where(message.id.in_(message_ids))
    return {row[0]: row[1] for row in await session.execute(statement)}


async def count_in_status(
    session: AsyncSession, organization_id: UUID, number_id: UUID, status: str, since: datetime
) -> int:
    """Messages of the number that are in this state now, and came into it since then."""
    message = ScheduledWhatsappMessage
    statement = select(func.count()).where(
        message.organization_id == organization_id,
        message.number_id == number_id,
        message.status == status,
        message.updated_at >= since,
    )
    return (await session.execute(statement)).scalar_one()


async def is_connected(session: AsyncSession, organization_id: UUID, number_id: UUID) -> bool:
    statement = select(
        exists().where(
            WhatsappSession.organization_id == organization_id,
            WhatsappSession.number_id == number_id,
            WhatsappSession.status == "connected",
        )
    )
    return bool(await session.scalar(statement))


async def organizations_at(session: AsyncSession, gateway_id: UUID) -> Sequence[UUID]:
    """Those that have a phone there now."""
    statement = (
        select(WhatsappSession.organization_id)
        .where(WhatsappSession.gateway_id == gateway_id, WhatsappSession.status != "disconnected")
        .distinct()
    )
    return (await session.scalars(statement)).all()


async def numbers_at(session: AsyncSession, organization_id: UUID, gateway_id: UUID) -> int:
    statement = select(func.count()).where(
        WhatsappSession.organization_id == organization_id,
        WhatsappSession.gateway_id == gateway_id,
        WhatsappSession.status == "connected",
    )
    return (await session.execute(statement)).scalar_one()


async def failing_gateways(session: AsyncSession) -> Sequence[Gateway]:
    """Those that answered once, and do not now."""
    statement = select(Gateway).where(
        Gateway.enabled.is_(True),
        Gateway.unreachable_since.is_not(None),
        Gateway.last_seen_at.is_not(None),
    )
    return (await session.scalars(statement)).all()


async def open_gateway_alerts(session: AsyncSession, kinds: Collection[str]) -> Sequence[Alert]:
    statement = select(Alert).where(Alert.kind.in_(kinds), Alert.resolved_at.is_(None))
    return (await session.scalars(statement)).all()
