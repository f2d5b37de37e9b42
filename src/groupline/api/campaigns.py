"""Campaigns: one content to many groups."""

from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response, StreamingResponse

from groupline.api.campaign_shapes import (
    CampaignDetail,
    CampaignIn,
    CampaignList,
    CampaignOut,
    CampaignPatch,
    CampaignSaved,
    ResultList,
    detail,
    facts,
    looked_at,
    on_refused_of,
    refused,
)
from groupline.api.local_times import LocalTimes, read_local
from groupline.api.messages import outs
from groupline.campaigns import edit, queries, service
from groupline.campaigns.export import results_csv
from groupline.campaigns.results import count_results, page_of_results
from groupline.campaigns.schemas import (
    CampaignCursor,
    Change,
    NewCampaign,
    ResultCursor,
    ResultFilter,
)
from groupline.errors import InvalidInput
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import Cursor, Limit, decode_cursor, encode_cursor, problems
from groupline.messages import media
from groupline.messages.media import Media
from groupline.messages.schemas import DisplayState
from groupline.models import CampaignStatus
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

router = APIRouter(prefix="/campaigns", tags=["campaigns"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]


# --- reading --------------------------------------------------------------------------------


@router.get("", summary="List campaigns, the newest first", responses=problems(422))
async def index(
    *,
    runtime: CurrentRuntime,
    reader: Reader,
    status: Annotated[list[CampaignStatus] | None, Query(description="Any of these")] = None,
    q: Annotated[str, Query(max_length=200, description="Words of the name")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CampaignList:
    after = _campaign_cursor(cursor)
    async with runtime.database.reading() as session:
        views = await queries.list_views(
            session, reader.organization_id, statuses=status, query=q, after=after, limit=limit + 1
        )
        counts = await queries.count_by_status(session, reader.organization_id, query=q)
    page, following = views[:limit], None
    if len(views) > limit:
        following = encode_cursor(*CampaignCursor(page[-1].created_at, page[-1].id).keys)
    return CampaignList(
        items=[CampaignOut(**facts(view)) for view in page], next_cursor=following, counts=counts
    )


@router.get("/{campaign_id}", summary="Show a campaign with its progress", responses=problems(404))
async def show(runtime: CurrentRuntime, reader: Reader, campaign_id: UUID) -> CampaignDetail:
    async with runtime.database.reading() as session:
        return CampaignDetail(**await detail(session, runtime, reader, campaign_id))


def result_filter(
    status: Annotated[list[DisplayState] | None, Query(description="Any of these")] = None,
    q: Annotated[str, Query(max_length=200, description="Words of the group's name")] = "",
) -> ResultFilter:
    return ResultFilter(frozenset(status) if status else None, q)


Wanted = Annotated[ResultFilter, Depends(result_filter)]


@router.get(
    "/{campaign_id}/results",
    summary="What became of it, group by group",
    responses=problems(404, 422),
)
async def results(
    *,
    runtime: CurrentRuntime,
    reader: Reader,
    campaign_id: UUID,
    wanted: Wanted,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ResultList:
    now, organization_id = runtime.clock.now(), reader.organization_id
    after = _result_cursor(cursor)
    async with runtime.database.reading() as session:
        await queries.get_row(session, organization_id, campaign_id)
        page, following = await page_of_results(
            session, organization_id, campaign_id, wanted, after=after, limit=limit
        )
        total = await count_results(session, organization_id, campaign_id, wanted)
        items = await outs(session, page, now)
    return ResultList(
        items=items,
        next_cursor=encode_cursor(*following.keys) if following else None,
        total=total,
    )


@router.get(
    "/{campaign_id}/results.csv",
    summary="All results as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}}, **problems(404, 422)},
)
async def results_file(
    runtime: CurrentRuntime, reader: Reader, campaign_id: UUID, wanted: Wanted
) -> Response:
    """Safe to open in a spreadsheet: no cell is taken for a formula. Times are in your zone."""
    return await csv_answer(runtime, reader, campaign_id, wanted)


async def csv_answer(
    runtime: Runtime, principal: Principal, campaign_id: UUID, wanted: ResultFilter
) -> Response:
    async with runtime.database.reading() as session:
        await queries.get_row(session, principal.organization_id, campaign_id)
    lines = results_csv(
        runtime.database,
        principal.organization_id,
        campaign_id,
        wanted,
        zone=ZoneInfo(principal.timezone),
    )
    name = f"campaign-{campaign_id}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


# --- writing --------------------------------------------------------------------------------


@router.post(
    "",
    status_code=201,
    response_model=CampaignSaved,
    summary="Create a campaign: a draft, or with `start` all of its messages",
    responses=problems(404, 409, 422),
)
async def create(
    runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, body: CampaignIn
) -> Response:
    """Everything in one transaction: either each group has its message, or nothing was written."""
    if body.start:
        operator.require(Permission.SEND)
    times = read_local({"scheduledFor": body.scheduled_for}, operator.timezone)
    wanted = NewCampaign(
        name=body.name,
        number_id=body.number_id,
        group_ids=body.group_ids,
        content=body.content,
        media=await looked_at(runtime, operator, once, body.media_url, body.media_type),
        delay_seconds=body.delay_seconds,
        late_minutes=body.late_minutes,
        scheduled_for=times.moments["scheduledFor"],
        start=body.start,
        on_refused=on_refused_of(skip=body.skip_refused),
    )
    now = runtime.clock.now()

    async def effect(session: AsyncSession) -> CampaignSaved:
        written = await service.create(
            session, operator.organization_id, wanted, actor=operator.actor, now=now
        )
        shown = await detail(session, runtime, operator, written.id)
        return CampaignSaved(
            **shown, skipped=refused(written.skipped), time_notes=list(times.notes)
        )

    return await once.in_transaction(operator, effect, status=201)


@router.patch(
    "/{campaign_id}",
    summary="Change a draft, or a campaign that is scheduled",
    responses=problems(404, 409, 422),
)
async def update(
    runtime: CurrentRuntime, operator: Operator, campaign_id: UUID, body: CampaignPatch
) -> CampaignSaved:
    """What is scheduled needs the scope `send` as well, because its messages are rewritten."""
    async with runtime.database.reading() as session:
        row = await queries.get_row(session, operator.organization_id, campaign_id)
    if row.status != "draft":
        operator.require(Permission.SEND)
    found = await media.check_if_given(body.media_url, body.media_type, policy=runtime.media_policy)
    times = read_local({"scheduledFor": body.scheduled_for}, operator.timezone)
    wanted = _change(body, found, times)
    async with runtime.database.writing() as session:
        written = await edit.change(
            session,
            operator.organization_id,
            campaign_id,
            wanted,
            actor=operator.actor,
            now=runtime.clock.now(),
        )
        await session.flush()
        shown = await detail(session, runtime, operator, campaign_id)
    return CampaignSaved(**shown, skipped=refused(written.skipped), time_notes=list(times.notes))


def _change(body: CampaignPatch, found: Media | None, times: LocalTimes) -> Change:
    given = body.model_fields_set
    fields: dict[Any, object] = {
        name: getattr(body, name)
        for name in ("name", "number_id", "content", "delay_seconds", "late_minutes")
        if name in given
    }
    if fields.get("number_id", ...) is None:
        raise InvalidInput("Name the number.", fields={"numberId": "must be a number"})
    if "media_url" in given:
        fields["media"] = found
    if "scheduled_for" in given:
        fields["scheduled_for"] = times.moments["scheduledFor"]
    return Change(fields, body.group_ids, on_refused_of(skip=body.skip_refused))


@router.delete(
    "/{campaign_id}",
    status_code=204,
    summary="Delete a draft",
    responses=problems(404, 409),
)
async def delete(runtime: CurrentRuntime, operator: Operator, campaign_id: UUID) -> None:
    async with runtime.database.writing() as session:
        await service.delete_draft(
            session,
            operator.organization_id,
            campaign_id,
            actor=operator.actor,
            now=runtime.clock.now(),
        )


@router.post(
    "/{campaign_id}/duplicate",
    status_code=201,
    response_model=CampaignDetail,
    summary="A draft with the same content and groups",
    responses=problems(404, 409),
)
async def duplicate(
    runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, campaign_id: UUID
) -> Response:
    async def effect(session: AsyncSession) -> CampaignDetail:
        copy = await service.duplicate(
            session,
            operator.organization_id,
            campaign_id,
            actor=operator.actor,
            now=runtime.clock.now(),
        )
        return CampaignDetail(**await detail(session, runtime, operator, copy))

    return await once.in_transaction(operator, effect, status=201)


# --- cursors ---


def _campaign_cursor(cursor: str | None) -> CampaignCursor | None:
    if cursor is None:
        return None
    return CampaignCursor.from_keys(decode_cursor(cursor, keys=2)) or _no_cursor()


def _result_cursor(cursor: str | None) -> ResultCursor | None:
    if cursor is None:
        return None
    return ResultCursor.from_keys(decode_cursor(cursor, keys=2)) or _no_cursor()


def _no_cursor() -> Any:
    why = "is not valid"
    raise InvalidInput("This cursor is not one of ours.", fields={"cursor": why})
