"""One decision about many messages."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.campaigns import revived
from groupline.errors import InvalidInput
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import ApiModel, problems
from groupline.messages import bulk
from groupline.messages.bulk import BulkAction, Decided, Selection
from groupline.messages.schemas import DisplayState, Filter
from groupline.orgs.rules import Permission, Principal

router = APIRouter(prefix="/messages", tags=["messages"])

Sender = Annotated[Principal, Depends(allowed(Permission.SEND))]


class FilterIn(ApiModel):
    """As in the list of messages; what is left out does not filter."""

    status: list[DisplayState] | None = None
    event_id: UUID | None = None
    campaign_id: UUID | None = None
    group_id: UUID | None = None
    number_id: UUID | None = None


class BulkIn(ApiModel):
    action: BulkAction = Field(
        description="`cancel` pending ones, `send_again` failed or expired ones, `discard` failed "
        "ones, or say of uncertain ones that they `arrived` or did `not_arrived`"
    )
    ids: list[UUID] | None = Field(None, min_length=1, max_length=bulk.MAX_AT_ONCE)
    filter: FilterIn | None = Field(None, description="Instead of ids: all that it matches")
    dry_run: bool = Field(False, description="true: only count")
    expected: int | None = Field(
        None, ge=0, description="As counted before: if it is another number by now, 409"
    )


class BulkOut(ApiModel):
    matched: int = Field(description="How many messages the decision is about")
    done: int = Field(description="How many were changed; 0 in a dry run")
    left: int = Field(description="How many more there are: repeat the request for them")
    called_off: int = Field(
        description="Of those that did not arrive: put away, as their campaign was cancelled"
    )
    waiting: int = Field(
        description="Of those that are sent again: cannot leave yet, as something is in the way"
    )
    waiting_for: str | None = Field(
        description="What is in the way; null: nothing, or not the same for all of them"
    )


@router.post(
    "/bulk",
    response_model=BulkOut,
    summary="Cancel, send again, discard or settle many messages",
    responses=problems(409, 422),
)
async def decide(
    runtime: CurrentRuntime, sender: Sender, once: CurrentIdempotency, body: BulkIn
) -> Response:
    """Messages that are in another state by now stay as they are and are not counted."""
    selection = _selection(body)
    now: datetime = runtime.clock.now()

    async def effect(session: AsyncSession) -> BulkOut:
        organization_id = sender.organization_id
        matched = await bulk.count(session, organization_id, body.action, selection, now=now)
        if body.expected is not None and matched != body.expected:
            raise bulk.not_as_asked(matched)
        if body.dry_run:
            return _answer(matched, Decided(done=0, left=matched))
        decided = await revived.decide(
            session, organization_id, body.action, selection, actor=sender.actor, now=now
        )
        return _answer(matched, decided)

    return await once.in_transaction(sender, effect)


def _answer(matched: int, decided: Decided) -> BulkOut:
    return BulkOut(
        matched=matched,
        done=decided.done,
        left=decided.left,
        called_off=decided.called_off,
        waiting=decided.held.count,
        waiting_for=decided.held.reason,
    )


def _selection(body: BulkIn) -> Selection:
    if (body.ids is None) == (body.filter is None):
        why = "Name either ids or a filter."
        raise InvalidInput(why, fields={"ids": why})
    if body.filter is None:
        return Selection(ids=body.ids)
    wanted = body.filter
    return Selection(
        Filter(
            states=frozenset(wanted.status) if wanted.status else None,
            event_id=wanted.event_id,
            campaign_id=wanted.campaign_id,
            group_id=wanted.group_id,
            number_id=wanted.number_id,
        )
    )
