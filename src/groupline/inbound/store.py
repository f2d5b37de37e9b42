"""The inbox: every authentic webhook, once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.ids import new_id
from groupline.inbound.reports import Report
from groupline.journal import SYSTEM
from groupline.models import Gateway, InboundEvent, InboundOutcome, JournalEntry

WAITS_FOR = timedelta(days=1)
"""How long an event waits for what it refers to."""
KEPT_FOR = timedelta(days=30)
FAILING_TRIES = 8
_LONGEST_PAUSE = timedelta(hours=1)
_TOLD_EVERY = timedelta(minutes=15)
_REFUSED = "gateway.webhooks_refused"


async def keep(
    session: AsyncSession, gateway_id: UUID, report: Report, received_at: datetime
) -> UUID | None:
    """Stores the report. ``None``: it was here before."""
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    statement = (
        insert(InboundEvent)
        .values(
            id=new_id(),
            gateway_id=gateway_id,
            content_hash=report.content_hash,
            kind=report.kind,
            gateway_session_id=report.session_id,
            payload=report.data,
            occurred_at=report.occurred_at,
            received_at=received_at,
            tries=0,
            next_try_at=received_at,
        )
        .on_conflict_do_nothing(index_elements=["gateway_id", "content_hash"])
        .returning(InboundEvent.id)
    )
    kept = (await session.execute(statement)).scalar_one_or_none()
    await session.execute(
        update(Gateway).where(Gateway.id == gateway_id).values(last_webhook_at=received_at)
    )
    return kept


async def load(session: AsyncSession, event_id: UUID) -> InboundEvent | None:
    """The event, locked, unless it has been dealt with meanwhile."""
    return await session.scalar(
        select(InboundEvent)
        .where(InboundEvent.id == event_id, InboundEvent.processed_at.is_(None))
        .with_for_update(skip_locked=True)
    )


async def due(session: AsyncSession, now: datetime, limit: int) -> Sequence[UUID]:
    """Events whose next try has come. Each try moves one back, so that none holds up others."""
    statement = (
        select(InboundEvent.id)
        .where(InboundEvent.next_try_at <= now)
        .order_by(InboundEvent.next_try_at, InboundEvent.id)
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def next_due(session: AsyncSession) -> datetime | None:
    statement = select(func.min(InboundEvent.next_try_at)).where(
        InboundEvent.next_try_at.is_not(None)
    )
    return (await session.execute(statement)).scalar_one()


async def settle(
    session: AsyncSession, event: InboundEvent, outcome: InboundOutcome, now: datetime
) -> None:
    """What became of it. One that found nothing stays open, and is tried again for a day."""
    event.outcome = outcome
    event.tries += 1
    if outcome == "unmatched":
        event.next_try_at = next_try(event.received_at, event.tries, now)
        await announce(session, "inbound", organization_id=None, subject_id=None)
    else:
        event.processed_at, event.next_try_at = now, None
    await session.flush()


async def note_failure(
    session: AsyncSession, event_id: UUID, error: BaseException, now: datetime
) -> None:
    """It could not be applied. One that fails every time is put aside as not understood."""
    event = await load(session, event_id)
    if event is None:
        return
    event.error = type(error).__name__
    if event.tries + 1 >= FAILING_TRIES:
        await settle(session, event, "invalid", now)
    else:
        await settle(session, event, "unmatched", now)


def next_try(received_at: datetime, tries: int, now: datetime) -> datetime | None:
    """Soon at first, for what was merely overtaken; then ever more seldom; then no more."""
    pause = min(_LONGEST_PAUSE, timedelta(seconds=2.0 ** min(tries - 1, 12)))
    return now + pause if now + pause <= received_at + WAITS_FOR else None


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Reports that nobody asks about any more."""
    await session.execute(delete(InboundEvent).where(InboundEvent.received_at < now - KEPT_FOR))


async def count_rejection(session: AsyncSession, gateway_id: UUID, now: datetime) -> None:
    """Counts a webhook that proved nothing. The journal is told at once, and then of all that
    came since, but not more often than every quarter of an hour."""
    counted = await session.execute(
        update(Gateway)
        .where(Gateway.id == gateway_id)
        .values(webhooks_rejected=Gateway.webhooks_rejected + 1, webhook_rejected_at=now)
        .returning(Gateway.name, Gateway.webhooks_rejected, Gateway.webhook_secrets.is_not(None))
    )
    name, total, has_secret = counted.one()
    told = await session.scalar(_told_last(gateway_id))  # the update above keeps others waiting
    if told is not None and now - told.at < _TOLD_EVERY:
        return
    await journal.record(
        session,
        action=_REFUSED,
        actor=SYSTEM,
        organization_id=None,
        subject="gateway",
        subject_id=gateway_id,
        data={
            "name": name,
            "refused": total - (told.data["total"] if told else 0),
            "total": total,
            "since": told.at.isoformat() if told else None,
            "hasSecret": has_secret,
        },
        at=now,
    )


def _told_last(gateway_id: UUID) -> Select[JournalEntry]:
    return (
        select(JournalEntry)
        .where(
            JournalEntry.organization_id.is_(None),
            JournalEntry.subject_id == gateway_id,
            JournalEntry.action == _REFUSED,
        )
        .order_by(JournalEntry.position.desc())
        .limit(1)
    )
