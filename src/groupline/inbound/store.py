"""The inbox: every authentic webhook, once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.ids import new_id
from groupline.inbound.reports import Report
from groupline.models import Gateway, InboundEvent, InboundOutcome

WAITS_FOR = timedelta(days=1)
"""How long an event waits for what it refers to."""


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


async def waiting(session: AsyncSession, now: datetime, limit: int) -> Sequence[UUID]:
    """Events that found nothing to apply to yet, oldest first."""
    statement = (
        select(InboundEvent.id)
        .where(InboundEvent.processed_at.is_(None), InboundEvent.received_at > now - WAITS_FOR)
        .order_by(InboundEvent.received_at, InboundEvent.id)
        .limit(limit)
    )
    return (await session.scalars(statement)).all()


async def settle(
    session: AsyncSession, event: InboundEvent, outcome: InboundOutcome, now: datetime
) -> None:
    """What became of it. One that found nothing stays open and is tried again."""
    event.outcome = outcome
    event.processed_at = None if outcome == "unmatched" else now
    await session.flush()


async def count_rejection(session: AsyncSession, gateway_id: UUID, now: datetime) -> None:
    await session.execute(
        update(Gateway)
        .where(Gateway.id == gateway_id)
        .values(webhooks_rejected=Gateway.webhooks_rejected + 1, webhook_rejected_at=now)
    )
