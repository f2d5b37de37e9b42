"""Messages: the outbox."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.api.local_times import TimeNotes, read_local
from groupline.campaigns import revived
from groupline.errors import InvalidInput, NotFound
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency, Idempotency
from groupline.http.schemas import (
    ApiModel,
    Cursor,
    Limit,
    Moment,
    decode_cursor,
    encode_cursor,
    problems,
)
from groupline.messages import media, queries, service
from groupline.messages.receipts import counted
from groupline.messages.schemas import After, DisplayState, Filter, MessageView, NewMessages
from groupline.messages.shown import PersonAction, Shown, all_shown
from groupline.messages.story import Chapter, story_of
from groupline.models import MediaType, MessageStatus
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

router = APIRouter(prefix="/messages", tags=["messages"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Sender = Annotated[Principal, Depends(allowed(Permission.SEND))]


class MessagesIn(ApiModel):
    group_ids: list[UUID] = Field(min_length=1, max_length=service.MAX_GROUPS)
    number_id: UUID
    content: str = Field("", max_length=service.MAX_CONTENT, examples=["We start in 10 minutes."])
    media_url: str | None = None
    media_type: MediaType | None = Field(None, description="Without it: by what the file is")
    scheduled_for: Moment | None = Field(None, description="Without it: now")
    expires_at: Moment | None = Field(None, description="Without it: a day after its time")


class MessageOut(ApiModel):
    id: UUID
    status: MessageStatus
    state: DisplayState = Field(
        description="The status; a pending message is `scheduled` before its time, then `waiting`"
    )
    sentence: str = Field(description="The state in one sentence, with its reason")
    actions: list[PersonAction] = Field(
        description="What a person can do now. `call_off`: `not_arrived`, and it is not sent again"
    )
    number_id: UUID
    phone_number: str
    group_id: UUID
    group_jid: str
    group_name: str | None
    event_id: UUID | None
    campaign_id: UUID | None
    content: str
    media_url: str | None
    media_type: MediaType | None
    scheduled_for: datetime
    expires_at: datetime | None
    retry_count: int = Field(
        description="How often a gateway has rejected it; begins again at 0 when it is sent again"
        " by a decision. The attempts of its history are counted over its whole life"
    )
    next_attempt_at: datetime | None = Field(
        description="Not tried again before this; null: as soon as what it waits for is over"
    )
    gateway_message_id: str | None = Field(
        description="Of the last attempt: the evidence of `sent`"
    )
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_count: int | None = Field(
        description="How many readers have got it, each counted once. null: no receipt of this kind"
        " yet, which is not zero. Receipts without a reader are counted apart: the `sentence` says"
        " the sum of both"
    )
    read_count: int | None
    anonymous_delivered_count: int | None = Field(
        description="Receipts without a reader; at least as many as `anonymousReadCount`, because"
        " who has read it has also got it. null: none yet"
    )
    anonymous_read_count: int | None
    error_code: str | None
    error_message: str | None
    vps_error: str | None = Field(description="What the gateway answered, with its HTTP status")
    resolved_by: str | None = Field(
        description="Who decided: `user:<id>`, `api_key:<id>`, `system:command-line`"
    )
    created_by: str | None
    created_at: datetime
    updated_at: datetime


class AttemptOut(ApiModel):
    number: int = Field(description="Counted over the whole life of the message")
    started_at: datetime | None = Field(description="null: not known")
    seconds: float | None = Field(description="Until the request had ended; null: not known")


class EvidenceOut(ApiModel):
    by: Literal[
        "answer", "look_up", "callback", "overtaken", "late_answer", "receipt", "person"
    ] = Field(description="What it rests on; `overtaken`: a report that came before the answer")
    message_id: str | None
    existing: bool = Field(description="The gateway had sent it before, and repeated its answer")


class ChapterOut(ApiModel):
    at: datetime
    title: str
    by: str
    state: str
    text: str | None = Field(description="In a sentence")
    upstream: str | None = Field(description="What the gateway said, in its own words")
    attempt: AttemptOut | None = Field(description="The request that this became of, if it is one")
    evidence: EvidenceOut | None = Field(description="Why it counts as sent from then on")
    data: dict[str, Any]


class MessageWithHistory(MessageOut):
    history: list[ChapterOut]


class ScheduledOut(ApiModel):
    scheduled: int = Field(description="How many rows were committed")
    items: list[MessageOut]
    time_notes: TimeNotes


class MessageList(ApiModel):
    items: list[MessageOut]
    next_cursor: str | None
    counts: dict[DisplayState, int] = Field(description="How many there are in each state")


class ResolveIn(ApiModel):
    outcome: Literal["arrived", "not_arrived"]


def filter_of(
    status: Annotated[list[DisplayState] | None, Query(description="Any of these")] = None,
    event_id: Annotated[UUID | None, Query(alias="eventId")] = None,
    campaign_id: Annotated[UUID | None, Query(alias="campaignId")] = None,
    group_id: Annotated[UUID | None, Query(alias="groupId")] = None,
    number_id: Annotated[UUID | None, Query(alias="numberId")] = None,
) -> Filter:
    return Filter(
        states=frozenset(status) if status else None,
        event_id=event_id,
        campaign_id=campaign_id,
        group_id=group_id,
        number_id=number_id,
    )


@router.post(
    "",
    status_code=201,
    response_model=ScheduledOut,
    summary="Send a message to groups, now or at a time",
    responses=problems(404, 409, 422),
)
async def create(
    runtime: CurrentRuntime, sender: Sender, once: CurrentIdempotency, body: MessagesIn
) -> Response:
    """Media is looked at first: it must be there, of its kind, and not too large."""
    found = None
    if not await _is_known(runtime, sender, once):  # what was answered once is not looked at again
        policy = runtime.media_policy
        found = await media.check_if_given(body.media_url, body.media_type, policy=policy)
    times = read_local(
        {"scheduledFor": body.scheduled_for, "expiresAt": body.expires_at}, sender.timezone
    )
    wanted = NewMessages(
        number_id=body.number_id,
        group_ids=body.group_ids,
        content=body.content,
        media=found,
        scheduled_for=times.moments["scheduledFor"],
        expires_at=times.moments["expiresAt"],
    )
    now = runtime.clock.now()

    async def effect(session: AsyncSession) -> ScheduledOut:
        ids = await service.schedule(
            session, sender.organization_id, wanted, actor=sender.actor, now=now
        )
        views = await queries.get_views(session, sender.organization_id, ids)
        items = await outs(session, views, now)
        return ScheduledOut(scheduled=len(views), items=items, time_notes=list(times.notes))

    return await once.in_transaction(sender, effect, status=201)


async def _is_known(runtime: Runtime, sender: Principal, once: Idempotency) -> bool:
    async with runtime.database.reading() as session:
        return await once.answered(session, sender.organization_id) is not None


@router.get("", summary="List messages", responses=problems(422))
async def index(
    runtime: CurrentRuntime,
    reader: Reader,
    wanted: Annotated[Filter, Depends(filter_of)],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> MessageList:
    now, organization_id = runtime.clock.now(), reader.organization_id
    async with runtime.database.reading() as session:
        views = await queries.list_views(
            session, organization_id, wanted, after=read_cursor(cursor), limit=limit + 1, now=now
        )
        page, next_cursor = cut(views, limit)
        counts = await queries.count_by_state(session, organization_id, wanted, now)
        return MessageList(
            items=await outs(session, page, now), next_cursor=next_cursor, counts=counts
        )


@router.get("/{message_id}", summary="Show a message with its history")
async def show(runtime: CurrentRuntime, reader: Reader, message_id: UUID) -> MessageWithHistory:
    async with runtime.database.reading() as session:
        return await _with_history(session, runtime, reader, message_id)


@router.post(
    "/{message_id}/cancel",
    summary="Call off a pending message, or discard a failed one",
    response_model=MessageWithHistory,
    responses=problems(404, 409),
)
async def cancel(
    runtime: CurrentRuntime, sender: Sender, once: CurrentIdempotency, message_id: UUID
) -> Response:
    async def effect(session: AsyncSession) -> MessageWithHistory:
        await service.cancel(
            session,
            sender.organization_id,
            message_id,
            actor=sender.actor,
            now=runtime.clock.now(),
        )
        return await _with_history(session, runtime, sender, message_id)

    return await once.in_transaction(sender, effect)


@router.post(
    "/{message_id}/retry",
    summary="Send a failed or expired message again",
    response_model=MessageWithHistory,
    responses=problems(404, 409),
)
async def retry(
    runtime: CurrentRuntime, sender: Sender, once: CurrentIdempotency, message_id: UUID
) -> Response:
    async def effect(session: AsyncSession) -> MessageWithHistory:
        await revived.send_again(
            session,
            sender.organization_id,
            message_id,
            actor=sender.actor,
            now=runtime.clock.now(),
        )
        return await _with_history(session, runtime, sender, message_id)

    return await once.in_transaction(sender, effect)


@router.post(
    "/{message_id}/resolve",
    summary="Say whether an uncertain message arrived",
    response_model=MessageWithHistory,
    responses=problems(404, 409, 422),
)
async def resolve(
    runtime: CurrentRuntime,
    sender: Sender,
    once: CurrentIdempotency,
    message_id: UUID,
    body: ResolveIn,
) -> Response:
    """`arrived` records your word; `not_arrived` sends it again, or calls it off if its campaign
    was cancelled: then its actions say `call_off`."""

    async def effect(session: AsyncSession) -> MessageWithHistory:
        await service.resolve(
            session,
            sender.organization_id,
            message_id,
            arrived=body.outcome == "arrived",
            actor=sender.actor,
            now=runtime.clock.now(),
        )
        return await _with_history(session, runtime, sender, message_id)

    return await once.in_transaction(sender, effect)


# --- shapes ---------------------------------------------------------------------------------


async def outs(session: AsyncSession, views: list[MessageView], now: datetime) -> list[MessageOut]:
    return [message_out(*each) for each in await all_shown(session, views, now)]


def message_out(view: MessageView, state: Shown) -> MessageOut:
    return MessageOut(**_facts(view, state))


_COUNTS: Final = (
    "delivered_count",
    "read_count",
    "anonymous_delivered_count",
    "anonymous_read_count",
)


def _facts(view: MessageView, state: Shown) -> dict[str, Any]:
    facts = {name: getattr(view, name) for name in MessageOut.model_fields if hasattr(view, name)}
    return facts | {
        "state": state.state,
        "sentence": state.sentence,
        "actions": list(state.actions),
        "next_attempt_at": state.next_attempt_at,
        "retry_count": view.attempts,
        **{name: counted(getattr(view, name)) for name in _COUNTS},
    }


async def _with_history(
    session: AsyncSession, runtime: Runtime, principal: Principal, message_id: UUID
) -> MessageWithHistory:
    view = await queries.get_view(session, principal.organization_id, message_id)
    if view is None:
        raise NotFound("There is no such message.")
    [(_, state)] = await all_shown(session, [view], runtime.clock.now())
    facts = _facts(view, state)
    history = [_chapter(each) for each in await story_of(session, view)]
    return MessageWithHistory(**facts, history=history)


def _chapter(chapter: Chapter) -> ChapterOut:
    return ChapterOut.model_validate(chapter, from_attributes=True)


def read_cursor(cursor: str | None) -> After | None:
    if cursor is None:
        return None
    after = After.from_keys(decode_cursor(cursor, keys=2))
    if after is None:
        why = "is not valid"
        raise InvalidInput("This cursor is not one of ours.", fields={"cursor": why})
    return after


def cut(views: list[MessageView], limit: int) -> tuple[list[MessageView], str | None]:
    """A page, and the cursor to the next one, out of one row more than the page holds."""
    if len(views) <= limit:
        return views, None
    last = views[limit - 1]
    return views[:limit], encode_cursor(*After(last.scheduled_for, last.id).keys)
