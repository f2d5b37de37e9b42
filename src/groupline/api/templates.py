"""Templates: the texts that sequences send."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.api.name_lists import listing, name_cursor
from groupline.errors import InvalidInput
from groupline.events import template_queries as queries
from groupline.events import templates
from groupline.events.pending import refresh_texts
from groupline.events.preview import Preview, preview_of, values_for_preview
from groupline.events.schemas import Refreshed
from groupline.events.template_schemas import (
    MAX_TEMPLATE_NAME,
    TemplateInput,
    TemplateView,
)
from groupline.events.texts import unresolved_json
from groupline.http.auth import allowed
from groupline.http.context import CurrentRuntime
from groupline.http.formatting import whatsapp_html
from groupline.http.idempotency import CurrentIdempotency
from groupline.http.schemas import (
    ApiModel,
    CountedListing,
    Cursor,
    Limit,
    problems,
)
from groupline.messages import media
from groupline.messages.service import MAX_CONTENT
from groupline.messages.variables import Problem
from groupline.models import MediaType
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime

router = APIRouter(prefix="/templates", tags=["templates"])

Reader = Annotated[Principal, Depends(allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(allowed(Permission.OPERATE))]

EXAMPLE = "*{event_title}* starts at {event_time}. Join: {zoom_link}"


class SequenceName(ApiModel):
    id: UUID
    name: str


class TemplateIn(ApiModel):
    name: str = Field(max_length=MAX_TEMPLATE_NAME, examples=["One hour before"])
    content: str = Field("", max_length=MAX_CONTENT, examples=[EXAMPLE])
    media_url: str | None = None
    media_type: MediaType | None = Field(None, description="Without it: what stands there")


class TemplateChange(ApiModel):
    """What is not named stays."""

    name: str | None = Field(None, max_length=MAX_TEMPLATE_NAME)
    content: str | None = Field(None, max_length=MAX_CONTENT)
    media_url: str | None = Field(None, description="`null`: without media")
    media_type: MediaType | None = None


class TemplateOut(ApiModel):
    id: UUID
    name: str
    content: str
    media_url: str | None
    media_type: MediaType | None
    variables: list[str] = Field(examples=[["event_title", "event_time", "zoom_link"]])
    sequences: list[SequenceName] = Field(description="Those that send it")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: TemplateView) -> "TemplateOut":
        return cls.model_validate(view)


class ProblemOut(ApiModel):
    kind: str
    text: str = Field(description="As it stands in the text", examples=["{zoom link}"])
    line: int
    column: int
    start: int = Field(description="In characters, from 0")
    end: int
    sentence: str
    suggestion: str | None = Field(description="The name that was probably meant")

    @classmethod
    def of(cls, problem: Problem) -> "ProblemOut":
        return cls.model_validate(problem)


class VariableOut(ApiModel):
    name: str
    value: str | None
    description: str | None = Field(description="Of those that every event has by itself")
    sentence: str | None = Field(description="What is missing")


class PreviewIn(ApiModel):
    event_id: UUID | None = Field(None, description="Whose values are put in")
    values: dict[str, str] = Field(
        default_factory=dict, description="Go before those of the event", max_length=200
    )


class ContentPreviewIn(PreviewIn):
    content: str = Field(max_length=MAX_CONTENT, examples=[EXAMPLE])


class PreviewOut(ApiModel):
    text: str = Field(description="As a reader sees it; what has no value stays as it stands")
    html: str = Field(description="The same with WhatsApp's formatting, escaped")
    unresolved: list[str] = Field(
        description="What keeps it from being sent", examples=[["{zoom_link}"]]
    )
    variables: list[VariableOut]
    problems: list[ProblemOut]

    @classmethod
    def of(cls, preview: Preview) -> "PreviewOut":
        return cls(
            text=preview.text,
            html=str(whatsapp_html(preview.text, highlight=preview.unresolved)),
            unresolved=list(preview.unresolved),
            variables=[VariableOut.model_validate(each) for each in preview.variables],
            problems=[ProblemOut.of(each) for each in preview.problems],
        )


class UpdateIn(ApiModel):
    dry_run: bool = True


class UpdateOut(ApiModel):
    messages: int = Field(description="Pending messages that get, or would get, the new text")
    events: int
    kept: int = Field(description="Messages that keep their old text, as the new one lacks a value")
    committed: bool
    unresolved: list[dict[str, str | None]] = Field(
        description="Where the new text lacks a value: those messages keep the old one"
    )

    @classmethod
    def of(cls, done: Refreshed) -> "UpdateOut":
        return cls(
            messages=done.messages,
            events=done.events,
            kept=done.kept,
            committed=done.committed,
            unresolved=[unresolved_json(each) for each in done.unresolved],
        )


@router.get("", summary="List and search templates")
async def index(
    runtime: CurrentRuntime,
    reader: Reader,
    q: Annotated[str, Query(max_length=200, description="Words of the name or the text")] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> CountedListing[TemplateOut]:
    """By name."""
    after = name_cursor(cursor)
    async with runtime.database.reading() as session:
        page = await queries.list_templates(
            session, reader.organization_id, query=q, after=after, limit=limit
        )
    return listing(page, TemplateOut.of)


@router.post(
    "",
    status_code=201,
    response_model=TemplateOut,
    summary="Write a template",
    responses=problems(409, 422),
)
async def create(
    runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, body: TemplateIn
) -> Response:
    """`{name}` is a variable, `\\{` is a brace. Every other brace is refused with what was meant.

    Media is looked at first: it must be there, of its kind, and not too large.
    """
    found = await media.check_if_given(body.media_url, body.media_type, policy=runtime.media_policy)
    wanted = _input(body.name, body.content, found)

    async def effect(session: AsyncSession) -> TemplateOut:
        return TemplateOut.of(
            await templates.create_template(
                session,
                operator.organization_id,
                wanted,
                actor=operator.actor,
                now=runtime.clock.now(),
            )
        )

    return await once.in_transaction(operator, effect, status=201)


@router.post("/preview", summary="Show what a text would become")
async def preview_content(
    runtime: CurrentRuntime, reader: Reader, body: ContentPreviewIn
) -> PreviewOut:
    """Of any text, without storing it."""
    async with runtime.database.reading() as session:
        values = await _values(session, runtime.clock.now(), reader, body)
    return PreviewOut.of(preview_of(body.content.replace("\r\n", "\n"), values))


@router.get("/{template_id}", summary="Show a template")
async def show(runtime: CurrentRuntime, reader: Reader, template_id: UUID) -> TemplateOut:
    async with runtime.database.reading() as session:
        view = await templates.get_template(session, reader.organization_id, template_id)
    return TemplateOut.of(view)


@router.patch("/{template_id}", summary="Change a template", responses=problems(422))
async def change(
    runtime: CurrentRuntime, operator: Operator, template_id: UUID, body: TemplateChange
) -> TemplateOut:
    """Scheduled messages keep their text until `update-pending` is called."""
    changes: dict[str, Any] = {
        name: value
        for name, value in (("name", body.name), ("content", body.content))
        if value is not None
    }
    media_changes = await _media_changes(runtime, body)
    now, organization_id = runtime.clock.now(), operator.organization_id
    async with runtime.database.writing() as session:
        before = await templates.get_template(
            session, organization_id, template_id, for_update=True
        )
        view = await templates.change_template(
            session,
            organization_id,
            template_id,
            replace(before.input, **changes, **media_changes),
            actor=operator.actor,
            now=now,
        )
    return TemplateOut.of(view)


async def _media_changes(runtime: Runtime, body: TemplateChange) -> dict[str, Any]:
    """What is new is looked at, before any transaction is open."""
    if "media_url" not in body.model_fields_set:
        if body.media_type is not None:
            why = "Give the mediaUrl that it is the type of."
            raise InvalidInput(why, fields={"mediaType": why})
        return {}
    found = await media.check_if_given(body.media_url, body.media_type, policy=runtime.media_policy)
    if found is None:
        return {"media_url": None, "media_type": None}
    return {"media_url": found.url, "media_type": found.kind}


@router.delete(
    "/{template_id}", status_code=204, summary="Remove a template", responses=problems(409)
)
async def remove(runtime: CurrentRuntime, operator: Operator, template_id: UUID) -> None:
    """Refused while a sequence sends it; the answer names them."""
    async with runtime.database.writing() as session:
        await templates.remove_template(
            session,
            operator.organization_id,
            template_id,
            actor=operator.actor,
            now=runtime.clock.now(),
        )


@router.post(
    "/{template_id}/duplicate",
    status_code=201,
    response_model=TemplateOut,
    summary="Duplicate a template",
)
async def duplicate(
    runtime: CurrentRuntime, operator: Operator, once: CurrentIdempotency, template_id: UUID
) -> Response:
    async def effect(session: AsyncSession) -> TemplateOut:
        return TemplateOut.of(
            await templates.duplicate_template(
                session,
                operator.organization_id,
                template_id,
                actor=operator.actor,
                now=runtime.clock.now(),
            )
        )

    return await once.in_transaction(operator, effect, status=201)


@router.post("/{template_id}/preview", summary="Show what a template becomes")
async def preview(
    runtime: CurrentRuntime, reader: Reader, template_id: UUID, body: PreviewIn
) -> PreviewOut:
    """With the values of an event, or with given ones, or both."""
    async with runtime.database.reading() as session:
        view = await templates.get_template(session, reader.organization_id, template_id)
        values = await _values(session, runtime.clock.now(), reader, body)
    return PreviewOut.of(preview_of(view.content, values))


@router.post("/{template_id}/update-pending", summary="Give scheduled messages the present text")
async def update_pending(
    runtime: CurrentRuntime, operator: Operator, template_id: UUID, body: UpdateIn
) -> UpdateOut:
    """The dry run counts them. A message that is on its way keeps its text."""
    async with runtime.database.writing() as session:
        await templates.get_template(session, operator.organization_id, template_id)
        done = await refresh_texts(
            session,
            operator.organization_id,
            template_id=template_id,
            dry_run=body.dry_run,
            actor=operator.actor,
            now=runtime.clock.now(),
        )
    return UpdateOut.of(done)


def _input(name: str, content: str, found: media.Media | None) -> TemplateInput:
    if found is None:
        return TemplateInput(name, content)
    return TemplateInput(name, content, found.url, found.kind)


async def _values(
    session: AsyncSession, now: datetime, reader: Principal, body: PreviewIn
) -> dict[str, str]:
    if body.event_id is None:
        return dict(body.values)
    known = await values_for_preview(session, reader.organization_id, body.event_id, now=now)
    return known | body.values
