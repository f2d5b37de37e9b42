"""All SQL of outgoing webhooks."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, delete, func, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import UtcDateTime
from groupline.flights import Flights
from groupline.ids import new_id
from groupline.models import (
    JournalEntry,
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WebhookDelivery,
    WebhookEndpoint,
    WhatsappNumber,
)

# --- endpoints ------------------------------------------------------------------------------


async def endpoints_of(session: AsyncSession, organization_id: UUID) -> Sequence[WebhookEndpoint]:
    statement = (
        select(WebhookEndpoint)
        .where(
            WebhookEndpoint.organization_id == organization_id,
            WebhookEndpoint.removed_at.is_(None),
        )
        .order_by(WebhookEndpoint.id)
    )
    return (await session.scalars(statement)).all()


async def endpoint(
    session: AsyncSession, organization_id: UUID, endpoint_id: UUID, *, for_change: bool
) -> WebhookEndpoint | None:
    statement = select(WebhookEndpoint).where(
        WebhookEndpoint.organization_id == organization_id,
        WebhookEndpoint.id == endpoint_id,
        WebhookEndpoint.removed_at.is_(None),
    )
    found: WebhookEndpoint | None = await session.scalar(
        statement.with_for_update() if for_change else statement
    )
    return found


async def listening(session: AsyncSession) -> Sequence[WebhookEndpoint]:
    """The endpoints of all organizations that take events now."""
    statement = select(WebhookEndpoint).where(
        WebhookEndpoint.enabled.is_(True), WebhookEndpoint.removed_at.is_(None)
    )
    return (await session.scalars(statement)).all()


# --- deliveries -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewDelivery:
    organization_id: UUID
    endpoint_id: UUID
    journal_id: UUID
    event_type: str
    payload: Mapping[str, Any]


async def add_deliveries(
    session: AsyncSession, deliveries: Sequence[NewDelivery], now: datetime
) -> list[UUID]:
    """Due at once. The key (endpoint, entry) keeps an event from being written twice."""
    ids = [new_id() for _ in deliveries]
    rows = [
        {
            "id": delivery_id,
            "organization_id": each.organization_id,
            "endpoint_id": each.endpoint_id,
            "journal_id": each.journal_id,
            "event_type": each.event_type,
            "payload": dict(each.payload),
            "status": "pending",
            "attempts": 0,
            "next_attempt_at": now,
            "created_at": now,
        }
        for delivery_id, each in zip(ids, deliveries, strict=True)
    ]
    if rows:
        await session.execute(insert(WebhookDelivery), rows)
    return ids


@dataclass(frozen=True, slots=True)
class Job:
    """A delivery that this process may attempt until the lease ends."""

    id: UUID
    organization_id: UUID
    endpoint_id: UUID
    event_type: str
    payload: Mapping[str, Any]
    attempts: int
    leased_until: datetime
    url: str
    secret: str
    previous_secret: str | None
    rotated_at: datetime | None


async def claim(
    session: AsyncSession, flights: Flights[UUID], *, now: datetime, until: datetime
) -> list[Job]:
    """Leases what is due and has room. What never reports back is due again after the lease."""
    delivery, target = WebhookDelivery, WebhookEndpoint
    due = (
        select(delivery, target)
        .join(target, target.id == delivery.endpoint_id)
        .where(
            *_deliverable(),
            delivery.next_attempt_at <= now,
            delivery.endpoint_id.not_in(flights.full),
        )
        .order_by(delivery.next_attempt_at, delivery.id)
        .limit(flights.room)
        .with_for_update(of=delivery, skip_locked=True)
    )
    jobs: list[Job] = []
    begun: Counter[UUID] = Counter()
    for row, its_target in await session.execute(due):
        if begun[row.endpoint_id] >= flights.room_for(row.endpoint_id):
            continue
        begun[row.endpoint_id] += 1
        row.next_attempt_at = row.claimed_until = until
        jobs.append(_job(row, its_target, until))
    await session.flush()
    return jobs


def _deliverable() -> tuple[ColumnElement[bool], ...]:
    return (
        WebhookDelivery.status == "pending",
        WebhookEndpoint.enabled.is_(True),
        WebhookEndpoint.removed_at.is_(None),
    )


def _job(row: WebhookDelivery, target: WebhookEndpoint, until: datetime) -> Job:
    return Job(
        id=row.id,
        organization_id=row.organization_id,
        endpoint_id=row.endpoint_id,
        event_type=row.event_type,
        payload=row.payload,
        attempts=row.attempts,
        leased_until=until,
        url=target.url,
        secret=target.secret,
        previous_secret=target.previous_secret,
        rotated_at=target.rotated_at,
    )


async def next_due(session: AsyncSession, *, but: Collection[UUID]) -> datetime | None:
    """When there is something to begin, leaving out receivers that are at their limit."""
    statement = (
        select(func.min(WebhookDelivery.next_attempt_at))
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .where(*_deliverable(), WebhookDelivery.endpoint_id.not_in(but))
    )
    return (await session.execute(statement)).scalar_one()


async def store(session: AsyncSession, job: Job, values: Mapping[str, Any]) -> bool:
    """Unless the lease has ended and somebody else attempts it by now."""
    stored = await session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.organization_id == job.organization_id,
            WebhookDelivery.id == job.id,
            WebhookDelivery.claimed_until == job.leased_until,
        )
        .values(claimed_until=None, **values)
    )
    return bool(stored.rowcount)  # type: ignore[attr-defined]  # an UPDATE answers with a count


async def note_on_endpoint(
    session: AsyncSession, job: Job, error: str | None, now: datetime
) -> bool:
    """Keeps how the last attempt went. True: it is news, it went the other way before."""
    mine = (
        WebhookEndpoint.organization_id == job.organization_id,
        WebhookEndpoint.id == job.endpoint_id,
    )
    before = WebhookEndpoint.last_error.is_not(None)
    turned = await session.execute(
        update(WebhookEndpoint)
        .where(*mine, before if error is None else ~before)
        .values(last_error=error, last_error_at=None if error is None else now)
    )
    is_news = bool(turned.rowcount)  # type: ignore[attr-defined]  # an UPDATE answers with a count
    if error is not None and not is_news:
        await session.execute(
            update(WebhookEndpoint).where(*mine).values(last_error=error, last_error_at=now)
        )
    return is_news


async def disable(session: AsyncSession, job: Job) -> bool:
    disabled = await session.execute(
        update(WebhookEndpoint)
        .where(
            WebhookEndpoint.organization_id == job.organization_id,
            WebhookEndpoint.id == job.endpoint_id,
            WebhookEndpoint.enabled.is_(True),
        )
        .values(enabled=False)
    )
    return bool(disabled.rowcount)  # type: ignore[attr-defined]  # an UPDATE answers with a count


async def fail_pending(session: AsyncSession, endpoint: WebhookEndpoint, why: str) -> None:
    await session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.organization_id == endpoint.organization_id,
            WebhookDelivery.endpoint_id == endpoint.id,
            WebhookDelivery.status == "pending",
        )
        .values(status="failed", last_error=why, next_attempt_at=None, claimed_until=None)
    )


async def deliveries_of(
    session: AsyncSession,
    organization_id: UUID,
    endpoint_id: UUID,
    *,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[WebhookDelivery]:
    """Newest first."""
    statement = (
        select(WebhookDelivery)
        .where(
            WebhookDelivery.organization_id == organization_id,
            WebhookDelivery.endpoint_id == endpoint_id,
        )
        .order_by(WebhookDelivery.created_at.desc(), WebhookDelivery.id.desc())
        .limit(limit)
    )
    if status is not None:
        statement = statement.where(WebhookDelivery.status == status)
    if before is not None:
        place = tuple_(WebhookDelivery.created_at, WebhookDelivery.id)
        statement = statement.where(
            place < tuple_(literal(before[0], UtcDateTime), literal(before[1], Uuid))
        )
    return (await session.scalars(statement)).all()


async def delivery_for_change(
    session: AsyncSession, organization_id: UUID, endpoint_id: UUID, delivery_id: UUID
) -> WebhookDelivery | None:
    found: WebhookDelivery | None = await session.scalar(
        select(WebhookDelivery)
        .where(
            WebhookDelivery.organization_id == organization_id,
            WebhookDelivery.endpoint_id == endpoint_id,
            WebhookDelivery.id == delivery_id,
        )
        .with_for_update()
    )
    return found


async def forget_old(session: AsyncSession, before: datetime) -> None:
    await session.execute(
        delete(WebhookDelivery).where(
            WebhookDelivery.created_at < before, WebhookDelivery.status != "pending"
        )
    )


async def count_by_status(session: AsyncSession) -> dict[str, int]:
    statement = select(WebhookDelivery.status, func.count()).group_by(WebhookDelivery.status)
    return {row[0]: row[1] for row in await session.execute(statement)}


# --- what entries of the journal are about --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Subjects:
    """Rows that entries name, by id."""

    numbers: Mapping[UUID, str]
    messages: Mapping[UUID, Mapping[str, Any]]
    campaigns: Mapping[UUID, str]


async def subjects_of(session: AsyncSession, entries: Sequence[JournalEntry]) -> Subjects:
    """One query per kind, whatever the count of entries."""
    message = ScheduledWhatsappMessage
    messages = await session.execute(
        select(
            message.id,
            message.organization_id,
            message.number_id,
            message.group_id,
            message.campaign_id,
            message.event_id,
            message.scheduled_for,
        ).where(message.id.in_(_ids(entries, "message")))
    )
    numbers = await session.execute(
        select(WhatsappNumber.id, WhatsappNumber.phone_number).where(
            WhatsappNumber.id.in_(_ids(entries, "number"))
        )
    )
    campaigns = await session.execute(
        select(NotificationCampaign.id, NotificationCampaign.name).where(
            NotificationCampaign.id.in_(_ids(entries, "campaign"))
        )
    )
    return Subjects(
        numbers={row[0]: row[1] for row in numbers},
        messages={row.id: dict(row._mapping) for row in messages},
        campaigns={row[0]: row[1] for row in campaigns},
    )


def _ids(entries: Sequence[JournalEntry], subject: str) -> set[UUID]:
    return {
        entry.subject_id
        for entry in entries
        if entry.subject == subject and entry.subject_id is not None
    }
