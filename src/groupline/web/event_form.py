"""The form of a workshop or webinar. Its times are those of a wall clock in the chosen zone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from groupline.errors import InvalidInput, NotFound
from groupline.events import service
from groupline.events.choices import sequence_choices
from groupline.events.edit import edit
from groupline.events.schemas import Edited, EventInput, EventView
from groupline.gateways.phone import display_phone
from groupline.http.context import CurrentRuntime
from groupline.messages.queries import sending_numbers
from groupline.messages.schemas import SendingNumber
from groupline.models import EventKind
from groupline.orgs.rules import Principal, check_timezone, timezone_names
from groupline.runtime import Runtime
from groupline.text import amount
from groupline.web.event_shared import (
    EventId,
    Operator,
    clock_notes,
    find,
    left_if_over,
    pending_count,
    read_times,
    wall_clock,
    words,
)
from groupline.web.rendering import CurrentPages, Pages, Toast


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person has entered, as they entered it."""

    title: str = ""
    starts: str = ""
    ends: str = ""
    timezone: str = ""
    number_id: str = ""
    sequence_id: str = ""

    @classmethod
    def of(cls, event: EventView) -> "Typed":
        return cls(
            title=event.title,
            starts=wall_clock(event.starts_at, event.zone),
            ends=wall_clock(event.ends_at, event.zone) if event.ends_at else "",
            timezone=event.timezone,
            number_id=str(event.number_id or ""),
            sequence_id=str(event.sequence_id or ""),
        )

    def read(self, event: EventView | None = None) -> tuple[EventInput, list[str]]:
        """With what a change of the clocks in the chosen zone does to its times."""
        zone = ZoneInfo(check_timezone(self.timezone))
        times = read_times(self.starts, self.ends, zone, event)
        wanted = EventInput(
            title=self.title,
            starts_at=times.starts_at,
            timezone=self.timezone,
            ends_at=times.ends_at,
            number_id=_uuid(self.number_id, "number"),
            sequence_id=_uuid(self.sequence_id, "sequence"),
        )
        return wanted, clock_notes(wanted, times.clocks)


def typed(
    *,
    title: Annotated[str, Form(max_length=1000)] = "",
    starts: Annotated[str, Form(max_length=40)] = "",
    ends: Annotated[str, Form(max_length=40)] = "",
    timezone: Annotated[str, Form(max_length=100)] = "",
    number_id: Annotated[str, Form(max_length=50)] = "",
    sequence_id: Annotated[str, Form(max_length=50)] = "",
) -> Typed:
    return Typed(title, starts.strip(), ends.strip(), timezone, number_id, sequence_id)


def _uuid(text: str, what: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"There is no such {what}.") from error


def add_form(router: APIRouter, kind: EventKind) -> None:
    @router.get("/new")
    async def new(
        request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Operator
    ) -> Response:
        numbers = await _numbers(runtime, principal)
        only = str(numbers[0].id) if len(numbers) == 1 else ""
        fresh = Typed(timezone=principal.timezone, number_id=only)
        return await _form(request, runtime, pages, principal, kind=kind, given=fresh)

    @router.post("")
    async def create(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        given: Annotated[Typed, Depends(typed)],
    ) -> Response:
        try:
            wanted, notes = given.read()
            async with runtime.database.writing() as session:
                event_id = await service.create(
                    session,
                    principal.organization_id,
                    kind,
                    wanted,
                    actor=principal.actor,
                    now=runtime.clock.now(),
                )
        except InvalidInput as error:
            return await _form(
                request, runtime, pages, principal, kind=kind, given=given, refused=error
            )
        said = " ".join([f"The {kind} is planned. Get it ready.", *notes])
        toast: Toast = ("warning" if notes else "success", said)
        return pages.redirect(f"/{kind}s/{event_id}", toast=toast)

    @router.get("/{event_id}/edit")
    async def edit_form(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        if left := left_if_over(pages, event):
            return left
        given = Typed.of(event)
        return await _form(request, runtime, pages, principal, kind=kind, given=given, event=event)

    @router.post("/{event_id}/edit")
    async def save(
        *,
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
        given: Annotated[Typed, Depends(typed)],
        seen: Annotated[str, Form(max_length=100)] = "",
    ) -> Response:
        """What follows for scheduled messages is shown before it is done."""
        event = await find(runtime, principal, kind, event_id)
        try:
            wanted, notes = given.read(event)
            foreseen = await _edit(runtime, principal, event, wanted, dry_run=True)
            if _asks_first(foreseen, event, wanted) and seen != _choice(wanted):
                return await _form(
                    request,
                    runtime,
                    pages,
                    principal,
                    kind=kind,
                    given=given,
                    event=event,
                    foreseen=foreseen,
                    seen=_choice(wanted),
                )
            edited = await _edit(runtime, principal, event, wanted, dry_run=False)
        except InvalidInput as error:
            return await _form(
                request,
                runtime,
                pages,
                principal,
                kind=kind,
                given=given,
                event=event,
                refused=error,
            )
        return pages.redirect(f"/{kind}s/{event_id}", toast=_saved(edited, notes))


async def _edit(
    runtime: Runtime,
    principal: Principal,
    event: EventView,
    wanted: EventInput,
    *,
    dry_run: bool,
) -> Edited:
    database = runtime.database
    async with database.reading() if dry_run else database.writing() as session:
        return await edit(
            session,
            principal.organization_id,
            event.id,
            wanted,
            kind=event.kind,
            dry_run=dry_run,
            actor=principal.actor,
            now=runtime.clock.now(),
        )


def _asks_first(foreseen: Edited, event: EventView, wanted: EventInput) -> bool:
    """Where messages follow, or the groups that have been chosen are not those of the number."""
    left_out = foreseen.not_member and wanted.number_id not in (None, event.number_id)
    return bool(foreseen.moved_messages or foreseen.cancelled_messages or left_out)


def _choice(wanted: EventInput) -> str:
    """What a person has seen the consequences of. Choosing anew shows them anew."""
    return f"{wanted.number_id}/{wanted.sequence_id}"


def _saved(edited: Edited, notes: Sequence[str]) -> Toast:
    said = ["Saved.", *notes]
    if edited.moved_messages:
        moved = amount(
            edited.moved_messages, "scheduled message now goes", "scheduled messages now go"
        )
        said.append(f"{moved} from the new number.")
    if edited.cancelled_messages:
        ways = ("message of the old sequence is", "messages of the old sequence are")
        said.append(f"{amount(edited.cancelled_messages, *ways)} cancelled.")
    if edited.not_member and edited.moved_messages:
        said.append(f"The number cannot write to {len(edited.not_member):,} of its groups.")
        return "warning", " ".join(said)
    return ("warning" if notes else "success"), " ".join(said)


async def _numbers(runtime: Runtime, principal: Principal) -> list[SendingNumber]:
    async with runtime.database.reading() as session:
        return [*await sending_numbers(session, principal.organization_id)]


async def _form(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    *,
    kind: EventKind,
    given: Typed,
    event: EventView | None = None,
    foreseen: Edited | None = None,
    seen: str = "",
    refused: InvalidInput | None = None,
) -> Response:
    numbers = await _numbers(runtime, principal)
    async with runtime.database.reading() as session:
        sequences = await sequence_choices(session, principal.organization_id)
    return pages.render(
        request,
        "events/form.html",
        principal=principal,
        nav=f"{kind}s",
        status=200 if refused is None else refused.status,
        **words(kind),
        event=event,
        typed=given,
        pending=pending_count(event) if event else 0,
        errors=_errors(refused),
        foreseen=foreseen,
        seen=seen,
        numbers=[(each.id, _label(each)) for each in numbers],
        sequences=sequences,
        timezones=[(name, name) for name in timezone_names(given.timezone)],
    )


def _label(number: SendingNumber) -> str:
    name = f" · {number.display_name}" if number.display_name else ""
    trouble = f" ({number.trouble})" if number.trouble else ""
    return f"{display_phone(number.phone_number)}{name}{trouble}"


def _errors(refused: InvalidInput | None) -> Mapping[str, str]:
    """By the names that the fields have on the page."""
    if refused is None:
        return {}
    names = {"startsAt": "starts", "endsAt": "ends"}
    if len(refused.fields) == 1:
        return {names.get(name, name): refused.detail for name in refused.fields}
    return {names.get(name, name): why for name, why in refused.fields.items()} or {
        "": refused.detail
    }
