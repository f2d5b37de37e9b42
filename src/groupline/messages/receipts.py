"""Who has received and read a message: all SQL that reads it, and what people see of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from sqlalchemy import func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.gateways.phone import display_phone, phone_or_none
from groupline.messages.schemas import MessageView
from groupline.models import MessageReceipt

receipt = MessageReceipt

_NONE_YET: Final = "No receipts have come yet."


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


def counted(receipts: int) -> int | None:
    """Until the first one of its kind comes nothing is known, and nothing is not zero."""
    return receipts or None


def reader_shown(reader: str) -> str:
    """A phone as people write it; the id of somebody who hides it as it is."""
    phone = phone_or_none(reader)
    return reader if phone is None else display_phone(phone)


def none_sentence(view: MessageView) -> str:
    """Why there are no receipts. Only what has certainly never left is said to be nobody's."""
    may_have_left = (view.sent_at, view.accepted_at, view.gateway_message_id, view.resolved_at)
    if any(each is not None for each in may_have_left):
        return _NONE_YET
    match view.status:
        case "pending":
            return "Nothing was sent yet."
        case "failed" | "cancelled" | "expired":
            return "It was not sent, so nobody can have got it."
        case "sending" | "accepted" | "uncertain" | "sent":
            return _NONE_YET
        case _:
            assert_never(view.status)
