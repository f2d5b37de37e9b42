"""``groupline events``: workshops and webinars from the server itself."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from groupline.cli.output import FAILED, JsonOption, command, emit, emit_list, table
from groupline.events import service
from groupline.events.import_run import Imported, TableRefused, look, take
from groupline.events.imports import FoundEvents
from groupline.events.preflight_run import Preflights
from groupline.events.queries import list_events
from groupline.events.run import run_sequence
from groupline.events.schemas import EventFilter, EventView
from groupline.journal import COMMAND_LINE
from groupline.models import EventKind
from groupline.orgs.service import find_organization
from groupline.runtime import open_runtime
from groupline.settings import load_settings

_AT_MOST: Final = 500

app = typer.Typer(help="Workshops and webinars.", no_args_is_help=True)

Org = Annotated[str, typer.Option("--org", help="The organization's short name.")]
EventId = Annotated[UUID, typer.Argument(help="The id of the workshop or webinar.")]
Webinars = Annotated[bool, typer.Option("--webinars", help="Webinars instead of workshops.")]


@app.command(name="list")
@command
async def show_all(
    org: Org,
    webinars: Webinars = False,
    limit: Annotated[int, typer.Option(min=1, max=_AT_MOST)] = 50,
    as_json: JsonOption = False,
) -> None:
    """What is planned, the soonest first, with what it lacks."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization_id = (await find_organization(session, org)).id
        found = await list_events(
            session,
            organization_id,
            EventFilter(_kind(webinars)),
            after=None,
            limit=limit + 1,
            now=runtime.clock.now(),
        )
    views = found[:limit]
    rows = [[str(view.id), _local(view), view.title, _lacks(view)] for view in views]
    lines = table([["ID", "STARTS", "TITLE", "LACKS"], *rows]) if rows else "Nothing is planned."
    emit_list(
        [_facts(view) for view in views],
        as_json=as_json,
        line=lines,
        more=len(found) > limit,
        limit=limit,
        most=_AT_MOST,
    )


@app.command()
@command
async def run(event_id: EventId, org: Org, as_json: JsonOption = False) -> None:
    """Run its sequence: one message for each step and group, however often it is run."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        organization_id = (await find_organization(session, org)).id
        result = await run_sequence(
            session,
            organization_id,
            event_id,
            actor=COMMAND_LINE,
            now=runtime.clock.now(),
        )
    facts = {
        "scheduled": result.scheduled,
        "already": result.already,
        "skippedPast": result.skipped_past,
        "cancelled": result.cancelled,
        "refused": result.refused,
    }
    emit(facts, as_json=as_json, line=", ".join(f"{name}: {n}" for name, n in facts.items()))


@app.command()
@command
async def preflight(event_id: EventId, org: Org, as_json: JsonOption = False) -> None:
    """Look for what stands between it and its messages. The exit code says whether there is any."""
    async with open_runtime(load_settings()) as runtime:
        async with runtime.database.reading() as session:
            organization_id = (await find_organization(session, org)).id
        preflights = Preflights(runtime.database, runtime.clock, runtime.media_policy)
        looked = await preflights.look(organization_id, event_id, actor=COMMAND_LINE)
    lines = "\n".join(f"{each.severity}: {each.sentence}" for each in looked.findings)
    emit(
        [finding.as_json() for finding in looked.findings],
        as_json=as_json,
        line=lines or "Nothing stands in the way.",
    )
    if looked.problems:
        raise typer.Exit(FAILED)


@app.command()
@command
async def cancel(event_id: EventId, org: Org, as_json: JsonOption = False) -> None:
    """Call it off, with all messages that have not left."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        organization_id = (await find_organization(session, org)).id
        count = await service.cancel(
            session, organization_id, event_id, actor=COMMAND_LINE, now=runtime.clock.now()
        )
    emit({"cancelledMessages": count}, as_json=as_json, line=f"cancelled, with {count} messages")


@app.command(name="import")
@command
async def import_table(
    *,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A table as CSV.")],
    org: Org,
    webinars: Webinars = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it says.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what is there already.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Plan the events of a table, all or none. Columns: title, starts, ends, timezone, number,
    sequence, groups; any other is a variable. What is there already, by title and start, is left
    out."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        organization = await find_organization(session, org)
        data, kind = file.read_bytes(), _kind(webinars)
        own: dict[str, Any] = {"timezone": organization.timezone, "now": runtime.clock.now()}
        found = await look(session, organization.id, kind, data, **own)
        if found.mistakes:
            raise TableRefused(found.mistakes)
        imported = Imported(found, (), again, committed=False)
        if not dry_run:
            imported = await take(
                session, organization.id, kind, data, again=again, actor=COMMAND_LINE, **own
            )
    notes = _notes(imported.found)
    facts = {
        "events": imported.planned,
        "skipped": imported.skipped,
        "ids": list(imported.ids),
        "committed": imported.committed,
        "notes": notes,
    }
    said = f"{imported.planned} {'would be planned' if dry_run else 'planned'}"
    left_out = f", {imported.skipped} left out" if imported.skipped else ""
    emit(facts, as_json=as_json, line="\n".join([*notes, said + left_out]))


def _notes(found: FoundEvents) -> list[str]:
    """What a person should know about the lines."""
    return [
        f"line {each.line}, {each.event.title}: {note}"
        for each in found.events
        for note in (*each.notes, each.already_there)
        if note
    ]


def _kind(webinars: bool) -> EventKind:
    return "webinar" if webinars else "workshop"


def _local(view: EventView) -> str:
    at: datetime = view.starts_at.astimezone(view.zone)
    return f"{at:%Y-%m-%d %H:%M} {view.timezone}"


def _lacks(view: EventView) -> str:
    return ", ".join(step.key for step in view.readiness if not step.done) or "-"


def _facts(view: EventView) -> dict[str, Any]:
    return {
        "id": view.id,
        "kind": view.kind,
        "title": view.title,
        "startsAt": view.starts_at,
        "timezone": view.timezone,
        "status": view.status,
        "groups": view.groups,
        "ready": view.is_ready,
        "lacks": [step.key for step in view.readiness if not step.done],
        "counts": dict(view.counts),
    }
