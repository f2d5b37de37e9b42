"""What the pages on sequences show: the list, one with its steps, one step."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request
from starlette.responses import Response

from groupline.errors import InvalidInput
from groupline.events import sequence_queries as queries
from groupline.events import sequences
from groupline.events.clock_changes import read_wall_clock
from groupline.events.name_pages import NameCursor
from groupline.events.schemas import StepView
from groupline.events.sequence_schemas import (
    MAX_LABEL,
    MAX_LATE_MINUTES,
    MAX_SEQUENCE_NAME,
    SequenceView,
)
from groupline.events.sequence_updates import update_events
from groupline.events.steps import at_wall_clock
from groupline.events.template_queries import template_names
from groupline.events.template_schemas import NamedRow
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.name_lists import next_url
from groupline.web.rendering import Pages
from groupline.web.sequence_steps import TypedStep, day_options, step_errors

_ON_A_PAGE: Final = 50
_FARTHEST: Final = timedelta(days=10 * 366)


async def list_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    *,
    query: str = "",
    after: NameCursor | None = None,
    name: str = "",
    refused: InvalidInput | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        page = await queries.list_sequences(
            session, principal.organization_id, query=query, after=after, limit=_ON_A_PAGE
        )
    return pages.render(
        request,
        "sequences/index.html",
        principal=principal,
        nav="sequences",
        status=200 if refused is None else refused.status,
        page=page,
        query=query,
        next_url=next_url("/sequences", page, query),
        name=name,
        errors=refused.fields if refused else {},
        name_limit=MAX_SEQUENCE_NAME,
        may_change=principal.may(Permission.OPERATE),
    )


async def sequence_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    sequence_id: UUID,
    *,
    starts_at: str = "",
    name: str | None = None,
    rename_refused: InvalidInput | None = None,
    step: TypedStep | None = None,
    step_refused: InvalidInput | None = None,
) -> Response:
    organization_id, now = principal.organization_id, runtime.clock.now()
    async with runtime.database.reading() as session:
        view = await sequences.get_sequence(session, organization_id, sequence_id)
        names = await template_names(session, organization_id)
        update = await update_events(
            session, organization_id, sequence_id, dry_run=True, actor=principal.actor, now=now
        )
    zone = ZoneInfo(principal.timezone)
    start, note = _start(starts_at, zone, now)
    refused = rename_refused or step_refused
    form = step or TypedStep()
    return pages.render(
        request,
        "sequences/show.html",
        principal=principal,
        nav="sequences",
        status=200 if refused is None else refused.status,
        view=view,
        update=update,
        name=view.name if name is None else name,
        rename_errors=rename_refused.fields if rename_refused else {},
        times=sequences.times_for(view, start, zone),
        start=start.astimezone(zone),
        start_note=note,
        may_change=principal.may(Permission.OPERATE),
        name_limit=MAX_SEQUENCE_NAME,
        **_form(form, names, step_refused),
    )


async def step_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    *,
    view: SequenceView,
    step: StepView,
    form: TypedStep,
    refused: InvalidInput | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        names = await template_names(session, principal.organization_id)
    return pages.render(
        request,
        "sequences/step.html",
        principal=principal,
        nav="sequences",
        status=200 if refused is None else refused.status,
        view=view,
        step=step,
        **_form(form, names, refused),
    )


def _form(
    form: TypedStep, names: Sequence[NamedRow], refused: InvalidInput | None
) -> dict[str, Any]:
    return {
        "form": form,
        "errors": step_errors(refused) if refused else {},
        "template_options": [(each.id, each.name) for each in names],
        "day_options": day_options(form.day),
        "label_limit": MAX_LABEL,
        "late_limit": MAX_LATE_MINUTES,
    }


def _start(text: str, zone: ZoneInfo, now: datetime) -> tuple[datetime, str | None]:
    """With what a change of the clocks does to it. What is no time, or too far away, shows the
    example: in a week, at seven in the evening."""
    try:
        asked = datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        asked = None
    if asked is not None and abs(asked - now) < _FARTHEST:
        start, change = read_wall_clock(asked, zone)
        return start, None if change is None else change.sentence
    day = now.astimezone(zone).date() + timedelta(days=7)
    return at_wall_clock(datetime.combine(day, time(19)), zone), None
