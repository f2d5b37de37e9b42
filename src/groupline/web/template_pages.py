"""Templates: found, written with a preview that keeps up, and brought to scheduled messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.errors import InvalidInput, NotFound
from groupline.events import template_queries as queries
from groupline.events import templates
from groupline.events.pending import refresh_texts
from groupline.events.preview import example_values, preview_of, values_for_preview
from groupline.events.template_schemas import (
    MAX_TEMPLATE_NAME,
    ContentProblems,
    TemplateInput,
    TemplateView,
)
from groupline.events.texts import unresolved_json
from groupline.events.variables import BUILTIN
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.formatting import whatsapp_html
from groupline.messages import media
from groupline.messages.service import MAX_CONTENT
from groupline.messages.variables import suggest
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.name_lists import name_cursor, next_url, removed
from groupline.web.parsing import uuid_or_none
from groupline.web.rendering import CurrentPages, Pages

router = APIRouter(prefix="/templates")

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Operator = Annotated[Principal, Depends(page_allowed(Permission.OPERATE))]
Text = Annotated[str, Form(max_length=MAX_CONTENT * 2)]

_ON_A_PAGE: Final = 50
_FIELDS: Final = {"mediaUrl": "media_url", "mediaType": "media_url"}


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person has entered."""

    name: str = ""
    content: str = ""
    media_url: str = ""
    event_id: UUID | None = None
    """Whose values the preview shows."""

    @classmethod
    def of(cls, view: TemplateView) -> "Typed":
        return cls(view.name, view.content, view.media_url or "")


def typed(
    name: Annotated[str, Form(max_length=1_000)] = "",
    content: Text = "",
    media_url: Annotated[str, Form(max_length=4_000)] = "",
    event: Annotated[str, Form(max_length=50)] = "",
) -> Typed:
    # A browser sends line breaks as CR LF, whatever the person typed.
    text = content.replace("\r\n", "\n")
    return Typed(name, text, media_url.strip(), uuid_or_none(event))


Form_ = Annotated[Typed, Depends(typed)]
Action = Annotated[str, Form(max_length=20)]


@router.get("")
async def index(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    after = name_cursor(cursor)
    async with runtime.database.reading() as session:
        page = await queries.list_templates(
            session, principal.organization_id, query=q, after=after, limit=_ON_A_PAGE
        )
    return pages.render(
        request,
        "templates/index.html",
        principal=principal,
        nav="templates",
        page=page,
        query=q,
        next_url=next_url("/templates", page, q),
        may_change=principal.may(Permission.OPERATE),
    )


@router.get("/new")
async def new(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Operator
) -> Response:
    return await _editor(request, runtime, pages, principal, Typed())


@router.post("/new")
async def create(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    form: Form_,
    action: Action = "save",
) -> Response:
    if action == "preview":
        return await _editor(request, runtime, pages, principal, form)
    try:
        wanted = await _wanted(runtime, form, None)
        async with runtime.database.writing() as session:
            view = await templates.create_template(
                session,
                principal.organization_id,
                wanted,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
    except InvalidInput as error:
        return await _editor(request, runtime, pages, principal, form, refused=error)
    return pages.redirect(f"/templates/{view.id}", toast=("success", f"Saved “{view.name}”."))


@router.get("/{template_id}")
async def show(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    template_id: str,
) -> Response:
    found_id = uuid_or_none(template_id)
    if found_id is None:
        raise NotFound("There is no such template.")
    async with runtime.database.reading() as session:
        view = await templates.get_template(session, principal.organization_id, found_id)
    return await _editor(request, runtime, pages, principal, Typed.of(view), view=view)


@router.post("/{template_id}")
async def save(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Operator,
    template_id: UUID,
    form: Form_,
    action: Action = "save",
) -> Response:
    organization_id = principal.organization_id
    async with runtime.database.reading() as session:
        view = await templates.get_template(session, organization_id, template_id)
    if action == "preview":
        return await _editor(request, runtime, pages, principal, form, view=view)
    try:
        wanted = await _wanted(runtime, form, view)
        async with runtime.database.writing() as session:
            saved = await templates.change_template(
                session,
                organization_id,
                template_id,
                wanted,
                actor=principal.actor,
                now=runtime.clock.now(),
            )
    except InvalidInput as error:
        return await _editor(request, runtime, pages, principal, form, view=view, refused=error)
    return pages.redirect(f"/templates/{saved.id}", toast=("success", f"Saved “{saved.name}”."))


@router.post("/{template_id}/duplicate")
async def duplicate(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, template_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        copy = await templates.duplicate_template(
            session,
            principal.organization_id,
            template_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    return pages.redirect(f"/templates/{copy.id}", toast=("success", f"Made “{copy.name}”."))


@router.post("/{template_id}/remove")
async def remove(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, template_id: UUID
) -> Response:
    async def remove_it(session: AsyncSession) -> None:
        await templates.remove_template(
            session,
            principal.organization_id,
            template_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )

    return await removed(runtime, pages, "/templates", template_id, remove_it)


@router.post("/{template_id}/update-pending")
async def update_pending(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, template_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        await templates.get_template(session, principal.organization_id, template_id)
        done = await refresh_texts(
            session,
            principal.organization_id,
            template_id=template_id,
            dry_run=False,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    many = "1 message has" if done.messages == 1 else f"{done.messages:,} messages have"
    return pages.redirect(f"/templates/{template_id}", toast=("success", f"{many} the new text."))


# --- the editor -----------------------------------------------------------------------------


async def _wanted(runtime: Runtime, form: Typed, stored: TemplateView | None) -> TemplateInput:
    """Media that is new is looked at, before any transaction is open."""
    if stored is not None and form.media_url == (stored.media_url or ""):
        return TemplateInput(form.name, form.content, stored.media_url, stored.media_type)
    found = await media.check_if_given(form.media_url or None, policy=runtime.media_policy)
    if found is None:
        return TemplateInput(form.name, form.content)
    return TemplateInput(form.name, form.content, found.url, found.kind)


async def _editor(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    form: Typed,
    *,
    view: TemplateView | None = None,
    refused: InvalidInput | None = None,
) -> Response:
    organization_name: str = request.state.membership.name
    async with runtime.database.reading() as session:
        context = await _context(
            session,
            runtime,
            principal,
            form=form,
            view=view,
            organization_name=organization_name,
        )
    return pages.render(
        request,
        "templates/edit.html",
        principal=principal,
        nav="templates",
        status=200 if refused is None else refused.status,
        form=form,
        view=view,
        errors=_errors(refused),
        limit=MAX_CONTENT,
        name_limit=MAX_TEMPLATE_NAME,
        builtin=BUILTIN,
        may_change=principal.may(Permission.OPERATE),
        **context,
    )


async def _context(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    *,
    form: Typed,
    view: TemplateView | None,
    organization_name: str,
) -> dict[str, Any]:
    organization_id, now = principal.organization_id, runtime.clock.now()
    events = await queries.planned_events(session, organization_id)
    chosen = next((each for each in events if each.id == form.event_id), None)
    if chosen is not None:
        values = await values_for_preview(session, organization_id, chosen.id, now=now)
    else:
        values = example_values(
            organization=organization_name, timezone=principal.timezone, now=now
        )
    preview = preview_of(form.content, values)
    outdated = None
    if view is not None and view.sequences:
        outdated = await refresh_texts(
            session,
            organization_id,
            template_id=view.id,
            dry_run=True,
            actor=principal.actor,
            now=now,
        )
    return {
        "events": [(each.id, each.name) for each in events],
        "chosen_event": chosen,
        "preview": preview,
        "html": whatsapp_html(preview.text, highlight=preview.unresolved),
        "meant": {each.name: suggest(each.name, BUILTIN) for each in preview.to_give},
        "outdated": outdated,
        "unresolved": [unresolved_json(each) for each in outdated.unresolved] if outdated else [],
    }


def _errors(refused: InvalidInput | None) -> Mapping[str, str]:
    """By the names that the fields have on the page."""
    if refused is None:
        return {}
    if isinstance(refused, ContentProblems):
        listed = "The places are listed beside it." if len(refused.problems) > 1 else ""
        return {**refused.fields, "content": f"{refused.fields['content']} {listed}".strip()}
    return {_FIELDS.get(name, name): why for name, why in refused.fields.items()} or {
        "": refused.detail
    }
