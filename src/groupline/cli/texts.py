"""``groupline templates`` and ``groupline sequences``: what is sent, and when."""

from typing import Annotated, Any, Final
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.cli.output import JsonOption, command, emit, table
from groupline.errors import NotFound
from groupline.events.schemas import StepView
from groupline.events.sequence_queries import list_sequences
from groupline.events.sequence_schemas import SequenceView
from groupline.events.sequences import get_sequence
from groupline.events.template_queries import list_templates
from groupline.events.template_schemas import TemplateView
from groupline.events.templates import get_template
from groupline.orgs.service import find_organization
from groupline.runtime import open_runtime
from groupline.settings import load_settings

_AT_MOST: Final = 500

templates = typer.Typer(help="The texts that sequences send.", no_args_is_help=True)
sequences = typer.Typer(help="Which text goes out when.", no_args_is_help=True)

Org = Annotated[str, typer.Option("--org", help="The organization's short name.")]
Words = Annotated[str, typer.Option("--search", help="Only those with these words.")]
Named = Annotated[str, typer.Argument(help="The name, or the id.")]


def register(root: typer.Typer) -> None:
    root.add_typer(templates, name="templates")
    root.add_typer(sequences, name="sequences")


@templates.command(name="list")
@command
async def list_all_templates(org: Org, search: Words = "", as_json: JsonOption = False) -> None:
    """List templates by name, with the variables in them."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization_id = (await find_organization(session, org)).id
        page = await list_templates(session, organization_id, query=search, limit=_AT_MOST)
    rows = [[each.name, " ".join(each.variables) or "–", str(each.id)] for each in page.items]
    emit(
        [_template(each) for each in page.items],
        as_json=as_json,
        line=_with_rest(table([["TEMPLATE", "VARIABLES", "ID"], *rows]), page.total),
    )


@templates.command(name="show")
@command
async def show_template(org: Org, named: Named, as_json: JsonOption = False) -> None:
    """Print a template as it is written."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization_id = (await find_organization(session, org)).id
        view = await _find_template(session, organization_id, named)
    lines = [view.content, f"[{view.media_type}] {view.media_url}" if view.media_url else ""]
    emit(_template(view), as_json=as_json, line="\n".join(filter(None, lines)))


@sequences.command(name="list")
@command
async def list_all_sequences(org: Org, search: Words = "", as_json: JsonOption = False) -> None:
    """List sequences by name."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization_id = (await find_organization(session, org)).id
        page = await list_sequences(session, organization_id, query=search, limit=_AT_MOST)
    rows = [
        [each.name, str(len(each.steps)), str(len(each.events)), str(each.id)]
        for each in page.items
    ]
    emit(
        [_sequence(each) for each in page.items],
        as_json=as_json,
        line=_with_rest(table([["SEQUENCE", "STEPS", "PLANNED EVENTS", "ID"], *rows]), page.total),
    )


@sequences.command(name="show")
@command
async def show_sequence(org: Org, named: Named, as_json: JsonOption = False) -> None:
    """Print the steps of a sequence."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization_id = (await find_organization(session, org)).id
        view = await _find_sequence(session, organization_id, named)
    rows = [
        [step.when, step.template_name, step.label or "–", f"{step.timing.late_minutes} min"]
        for step in view.steps
    ]
    emit(
        _sequence(view),
        as_json=as_json,
        line=table([["WHEN", "TEMPLATE", "LABEL", "USEFUL FOR"], *rows]),
    )


async def _find_template(session: AsyncSession, organization_id: UUID, named: str) -> TemplateView:
    found_id = _uuid_or_none(named)
    if found_id is not None:
        return await get_template(session, organization_id, found_id)
    page = await list_templates(session, organization_id, query=named, limit=_AT_MOST)
    found = next((each for each in page.items if each.name == named), None)
    if found is None:
        raise NotFound(f"There is no template {named!r}.")
    return found


async def _find_sequence(session: AsyncSession, organization_id: UUID, named: str) -> SequenceView:
    found_id = _uuid_or_none(named)
    if found_id is not None:
        return await get_sequence(session, organization_id, found_id)
    page = await list_sequences(session, organization_id, query=named, limit=_AT_MOST)
    found = next((each for each in page.items if each.name == named), None)
    if found is None:
        raise NotFound(f"There is no sequence {named!r}.")
    return found


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _with_rest(listed: str, total: int) -> str:
    """No list is cut in silence."""
    return listed if total <= _AT_MOST else f"{listed}\n… and {total - _AT_MOST:,} more"


def _template(view: TemplateView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "content": view.content,
        "mediaUrl": view.media_url,
        "mediaType": view.media_type,
        "variables": list(view.variables),
        "sequences": [{"id": each.id, "name": each.name} for each in view.sequences],
    }


def _sequence(view: SequenceView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "steps": [_step(step) for step in view.steps],
        "events": [{"id": each.id, "title": each.name} for each in view.events],
    }


def _step(step: StepView) -> dict[str, Any]:
    at = step.timing.local_time
    return {
        "id": step.id,
        "when": step.when,
        "label": step.label,
        "offsetMinutes": step.timing.offset_minutes,
        "dayOffset": step.timing.day_offset,
        "localTime": None if at is None else f"{at:%H:%M}",
        "lateMinutes": step.timing.late_minutes,
        "templateId": step.template_id,
        "templateName": step.template_name,
    }
