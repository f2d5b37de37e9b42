"""All SQL that reads who has received and read a message."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import MessageReceipt

receipt = MessageReceipt


async def receipts_of(
    session: AsyncSession,
    organization_id: UUID,
    message_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[MessageReceipt]:
    """Newest first. Those that came without a reader are no rows: the message counts them."""
    statement = (
        select(receipt)
        .where(receipt.organization_id == organization_id, receipt.message_id == message_id)
        .order_by(receipt.at.desc(), receipt.id.desc())
        .limit(limit)
    )
    if after is not None:
        at, receipt_id = after
        last = tuple_(literal(at, receipt.at.type), literal(receipt_id, receipt.id.type))
        statement = statement.where(tuple_(receipt.at, receipt.id) < last)
    return (await session.scalars(statement)).all()


async def count_receipts(session: AsyncSession, organization_id: UUID, message_id: UUID) -> int:
    statement = select(func.count()).where(
        receipt.organization_id == organization_id, receipt.message_id == message_id
    )
    return await session.scalar(statement) or 0
