"""Bringing events, their groups and their values as a table: looked at first, then taken."""

from collections.abc import Sequence
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from groupline.errors import InvalidInput
from groupline.events import import_run
from groupline.events.choices import group_book
from groupline.events.group_queries import group_names
from groupline.events.groups import set_groups
from groupline.events.import_run import Imported
from groupline.events.imports import (
    EVENT_COLUMNS,
    GROUP_COLUMNS,
    VALUE_COLUMNS,
    FoundEvents,
    FoundGroups,
    find_groups,
    find_values,
)
from groupline.events.schemas import EventView
from groupline.events.tables import Mistake, read_table, write_table
from groupline.http.context import CurrentRuntime
from groupline.models import EventKind
from groupline.orgs.rules import Principal
from groupline.runtime import Runtime
from groupline.text import amount
from groupline.web.brought import GROUPS_EXAMPLE, Brought, read_brought
from groupline.web.event_parts import Refusal, values_page
from groupline.web.event_shared import EventId, Operator, Reader, find, words
from groupline.web.rendering import CurrentPages, Pages

EVENTS_EXAMPLE: Final = (
    "title,starts,ends,number,sequence,groups,zoom_link\n"
    "Pottery,2026-03-04 19:00,2026-03-04 21:00,+91 98765 43210,Reminders,Morning|Evening,"
    "https://example.org/zoom"
)
VALUES_EXAMPLE: Final = "name,value\nzoom_link,https://example.org/zoom"


def add_imports(router: APIRouter, kind: EventKind) -> None:
    """Before the routes of one event: ``import`` is no id."""
    _add_events(router, kind)
    _add_groups(router, kind)
    _add_values(router, kind)


# --- events ---------------------------------------------------------------------------------


def _add_events(router: APIRouter, kind: EventKind) -> None:
    @router.get("/import")
    async def form(request: Request, pages: CurrentPages, principal: Operator) -> Response:
        return _events_page(request, pages, principal, kind)

    @router.post("/import")
    async def look(
        request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Operator
    ) -> Response:
        brought, organization_id = await read_brought(request), principal.organization_id
        own: dict[str, Any] = {"timezone": principal.timezone, "now": runtime.clock.now()}
        again = brought.fields.get("again") == "true"
        try:
            async with runtime.database.reading() as session:
                found = await import_run.look(session, organization_id, kind, brought.data, **own)
            wanted = found.events if again else found.new
            if not brought.taken or found.mistakes or not wanted:
                return _events_page(request, pages, principal, kind, brought=brought, found=found)
            async with runtime.database.writing() as session:
                taken = await import_run.take(
                    session,
                    organization_id,
                    kind,
                    brought.data,
                    again=again,
                    actor=principal.actor,
                    **own,
                )
        except InvalidInput as error:
            return _events_page(request, pages, principal, kind, brought=brought, refused=error)
        return pages.redirect(f"/{kind}s", toast=("success", _imported(kind, taken)))


def _imported(kind: EventKind, taken: Imported) -> str:
    said = f"{taken.planned:,} {kind}{'' if taken.planned == 1 else 's'} planned."
    skipped = "1 was" if taken.skipped == 1 else f"{taken.skipped:,} were"
    return f"{said} {skipped} there already." if taken.skipped else said


def _events_page(
    request: Request,
    pages: Pages,
    principal: Principal,
    kind: EventKind,
    *,
    brought: Brought | None = None,
    found: FoundEvents | None = None,
    refused: InvalidInput | None = None,
) -> Response:
    return _page(
        request,
        pages,
        principal,
        kind,
        what="events",
        action=f"/{kind}s/import",
        back=(f"/{kind}s", f"{kind.capitalize()}s"),
        columns=EVENT_COLUMNS,
        example=EVENTS_EXAMPLE,
        brought=brought,
        refused=refused,
        rows=found.events if found else (),
        new=len(found.new) if found else 0,
        mistakes=found.mistakes if found else (),
        looked=found is not None,
    )


# --- groups ---------------------------------------------------------------------------------


def _add_groups(router: APIRouter, kind: EventKind) -> None:
    @router.get("/{event_id}/groups/import")
    async def form(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        return _groups_page(request, pages, principal, event)

    @router.post("/{event_id}/groups/import")
    async def look(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        brought = await read_brought(request)
        try:
            table = read_table(brought.data, columns=GROUP_COLUMNS)
            async with runtime.database.reading() as session:
                book = await group_book(session, principal.organization_id)
            found = find_groups(table, book)
        except InvalidInput as error:
            return _groups_page(request, pages, principal, event, brought=brought, refused=error)
        if not brought.taken or not found.groups:
            return _groups_page(request, pages, principal, event, brought=brought, found=found)
        added = await _add_found(runtime, principal, event, found)
        said = f"{amount(added, 'group', 'groups')} added."
        return pages.redirect(f"/{kind}s/{event_id}", toast=("success", said))


async def _add_found(
    runtime: Runtime, principal: Principal, event: EventView, found: FoundGroups
) -> int:
    """To those that the event has: a list takes none away."""
    async with runtime.database.writing() as session:
        present = await group_names(session, event.organization_id, event.id)
        changed = await set_groups(
            session,
            event.organization_id,
            event.id,
            [*present, *(group.id for group in found.groups)],
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    return changed.added


def _groups_page(
    request: Request,
    pages: Pages,
    principal: Principal,
    event: EventView,
    *,
    brought: Brought | None = None,
    found: FoundGroups | None = None,
    refused: InvalidInput | None = None,
) -> Response:
    here = f"/{event.kind}s/{event.id}"
    return _page(
        request,
        pages,
        principal,
        event.kind,
        what="groups",
        action=f"{here}/groups/import",
        back=(f"{here}/groups", f"Groups of {event.title}"),
        columns=GROUP_COLUMNS,
        example=GROUPS_EXAMPLE,
        brought=brought,
        refused=refused,
        rows=found.groups if found else (),
        mistakes=found.mistakes if found else (),
        looked=found is not None,
    )


# --- values ---------------------------------------------------------------------------------


def _add_values(router: APIRouter, kind: EventKind) -> None:
    @router.get("/{event_id}/variables.csv")
    async def export(runtime: CurrentRuntime, principal: Reader, event_id: EventId) -> Response:
        event = await find(runtime, principal, kind, event_id)
        return Response(
            write_table([VALUE_COLUMNS, *event.values.items()]),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="variables.csv"'},
        )

    @router.get("/{event_id}/variables/import")
    async def form(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        return _values_page(request, pages, principal, event)

    @router.post("/{event_id}/variables/import")
    async def look(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
    ) -> Response:
        """The form of the values, filled in; nothing is stored before it is saved."""
        event = await find(runtime, principal, kind, event_id)
        brought = await read_brought(request)
        try:
            found = find_values(read_table(brought.data, columns=VALUE_COLUMNS))
        except InvalidInput as error:
            return _values_page(request, pages, principal, event, brought=brought, refused=error)
        if found.mistakes:
            return _values_page(
                request, pages, principal, event, brought=brought, mistakes=found.mistakes
            )
        given = {**event.values, **found.values}
        note = Refusal("Look at the values, then save them", status=200)
        return values_page(request, pages, principal, event, given=given, refusal=note)


def _values_page(
    request: Request,
    pages: Pages,
    principal: Principal,
    event: EventView,
    *,
    brought: Brought | None = None,
    refused: InvalidInput | None = None,
    mistakes: Sequence[Mistake] = (),
) -> Response:
    here = f"/{event.kind}s/{event.id}/variables"
    return _page(
        request,
        pages,
        principal,
        event.kind,
        what="values",
        action=f"{here}/import",
        back=(here, f"Variables of {event.title}"),
        columns=VALUE_COLUMNS,
        example=VALUES_EXAMPLE,
        brought=brought,
        refused=refused,
        rows=(),
        mistakes=mistakes,
        looked=False,
    )


def _page(
    request: Request,
    pages: Pages,
    principal: Principal,
    kind: EventKind,
    *,
    brought: Brought | None,
    refused: InvalidInput | None,
    mistakes: Sequence[Mistake],
    **context: Any,
) -> Response:
    return pages.render(
        request,
        "events/import.html",
        principal=principal,
        nav=f"{kind}s",
        status=422 if refused or mistakes else 200,
        **words(kind),
        text=brought.text if brought else "",
        refused=refused,
        mistakes=mistakes,
        **context,
    )
