"""Who has received and read a message."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field

from groupline.errors import NotFound
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import (
    ApiModel,
    CountedListing,
    Cursor,
    Limit,
    encode_cursor,
    problems,
    time_cursor,
)
from groupline.messages import queries
from groupline.messages.receipts import count_receipts, counted, receipts_of
from groupline.models import ReceiptKind
from groupline.orgs.rules import Permission, Principal

router = APIRouter(prefix="/messages", tags=["messages"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]


class ReceiptOut(ApiModel):
    id: UUID
    kind: ReceiptKind
    reader: str = Field(
        description="A phone number, or WhatsApp's id of somebody who does not show it",
        examples=["919876543210"],
    )
    at: datetime


class ReceiptList(CountedListing[ReceiptOut]):
    anonymous_delivered_count: int | None = Field(
        description="Receipts that came without a reader; null: none yet, which is not zero"
    )
    anonymous_read_count: int | None


@router.get(
    "/{message_id}/receipts",
    summary="List who has received and read a message",
    responses=problems(404, 422),
)
async def index(
    runtime: CurrentRuntime,
    reader: Reader,
    message_id: UUID,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ReceiptList:
    """Newest first. A person has one receipt of each kind."""
    after, owner = time_cursor(cursor), reader.organization_id
    async with runtime.database.reading() as session:
        message = await queries.get_view(session, owner, message_id)
        if message is None:
            raise NotFound("There is no such message.")
        total = await count_receipts(session, owner, message_id)
        found = await receipts_of(session, owner, message_id, after=after, limit=limit + 1)
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    return ReceiptList(
        items=[ReceiptOut.model_validate(each, from_attributes=True) for each in page],
        next_cursor=encode_cursor(last.at.isoformat(), str(last.id)) if last else None,
        total=total,
        anonymous_delivered_count=counted(message.anonymous_delivered_count),
        anonymous_read_count=counted(message.anonymous_read_count),
    )
