"""The parts of an event that have a page of their own: its groups, and its values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from groupline.errors import Conflict, InvalidInput
from groupline.events.group_queries import event_groups
from groupline.events.groups import set_groups
from groupline.events.pending import refresh_texts
from groupline.events.run import plan_run, run_sequence
from groupline.events.schemas import EventView, RunResult, Unresolved
from groupline.events.texts import Texts, UnresolvedVariables, needed_names
from groupline.events.values import set_values
from groupline.events.variables import BUILTIN
from groupline.gateways.phone import display_phone
from groupline.http.context import CurrentRuntime
from groupline.messages.schemas import GroupsRefused
from groupline.messages.variables import scan
from groupline.models import EventKind
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.text import amount
from groupline.web.event_shared import (
    EventId,
    Operator,
    find,
    left_if_over,
    pending_count,
    words,
)
from groupline.web.group_picker import chosen_ids, picker
from groupline.web.rendering import CurrentPages, Pages, Toast

VALUE: Final = "value:"
"""Before the name of a variable, in the name of its field."""


def add_parts(router: APIRouter, kind: EventKind) -> None:
    _add_groups(router, kind)
    _add_values(router, kind)


# --- groups ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a form of groups sends."""

    group_ids: frozenset[UUID] = frozenset()
    matching: tuple[str, ...] = ()
    cancel_messages: bool = False


def chosen(
    groups: Annotated[list[UUID] | None, Form()] = None,
    groups_matching: Annotated[list[str] | None, Form()] = None,
    cancel_messages: Annotated[bool, Form()] = False,
) -> Chosen:
    return Chosen(frozenset(groups or ()), tuple(groups_matching or ()), cancel_messages)


def _add_groups(router: APIRouter, kind: EventKind) -> None:
    @router.get("/{event_id}/groups")
    async def groups(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        if left := left_if_over(pages, event):
            return left
        return await _groups_page(request, runtime, pages, principal, event)

    @router.post("/{event_id}/groups")
    async def save(
        *,
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
        given: Annotated[Chosen, Depends(chosen)],
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        try:
            async with runtime.database.writing() as session:
                ids = await chosen_ids(
                    session,
                    event.organization_id,
                    event.number_id,
                    chosen=sorted(given.group_ids),
                    matching=given.matching,
                )
                changed = await set_groups(
                    session,
                    event.organization_id,
                    event_id,
                    ids,
                    kind=kind,
                    cancel_messages=given.cancel_messages,
                    actor=principal.actor,
                    now=runtime.clock.now(),
                )
        except (GroupsRefused, Conflict) as error:
            return await _groups_page(
                request, runtime, pages, principal, event, given=given, refused=error
            )
        said = f"{changed.added:,} added, {changed.removed:,} taken out: {_groups(changed.total)}."
        if changed.cancelled_messages:
            cancelled = amount(changed.cancelled_messages, "message is", "messages are")
            said += f" {cancelled} cancelled."
        return pages.redirect(f"/{kind}s/{event_id}", toast=("success", said))


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


async def _groups_page(
    request: Request,
    runtime: Runtime,
    pages: Pages,
    principal: Principal,
    event: EventView,
    *,
    given: Chosen | None = None,
    refused: GroupsRefused | Conflict | None = None,
) -> Response:
    async with runtime.database.reading() as session:
        present = await event_groups(session, event.organization_id, event.id, event.number_id)
        ids = {group.id for group in present} if given is None else given.group_ids
        found = await picker(
            session,
            event.organization_id,
            event.number_id,
            chosen=ids,
            matching=given.matching if given else (),
        )
    return pages.render(
        request,
        "events/groups.html",
        principal=principal,
        nav=f"{event.kind}s",
        status=200 if refused is None else 422,
        **words(event.kind),
        event=event,
        picker=found,
        unreachable=[group for group in present if group.refusal],
        kept=ids,
        refused=refused,
        pending=refused.extra.get("pendingMessages") if refused else None,
        phone=display_phone,
    )


# --- values ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ValueField:
    name: str
    value: str
    needed: bool
    where: Sequence[str] = ()
    """The steps that it stands in."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why values were not stored, or a run was not made."""

    title: str
    errors: Mapping[str, str] = field(default_factory=dict)
    status: int = 422


def _add_values(router: APIRouter, kind: EventKind) -> None:
    @router.get("/{event_id}/variables")
    async def values(
        *,
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
        missing: Annotated[bool, Query(description="Say what a run lacks")] = False,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        if left := left_if_over(pages, event):
            return left
        if not missing:
            return values_page(request, pages, principal, event)
        async with runtime.database.reading() as session:
            now = runtime.clock.now()
            run = await plan_run(session, event.organization_id, event.id, now=now)
        return _lacking(request, pages, principal, event, found=run.unresolved())

    @router.post("/{event_id}/variables")
    async def save(
        request: Request,
        runtime: CurrentRuntime,
        pages: CurrentPages,
        principal: Operator,
        event_id: EventId,
    ) -> Response:
        event = await find(runtime, principal, kind, event_id)
        form = await request.form()
        given, then = read_values(form), str(form.get("then", ""))
        if then == "run":
            principal.require(Permission.SEND)
        try:
            said = await _store(runtime, principal, event, given, form, run=then == "run")
        except UnresolvedVariables as error:
            return _lacking(
                request, pages, principal, event, found=error.found, given=given, status=422
            )
        except InvalidInput as error:
            errors = dict(error.fields)
            refusal = Refusal("Nothing was saved", errors)
            return values_page(request, pages, principal, event, given=given, refusal=refusal)
        return pages.redirect(f"/{kind}s/{event_id}", toast=said)


def read_values(form: FormData) -> dict[str, str]:
    """By name; the empty line for one more counts when it has a name."""
    found = {
        key.removeprefix(VALUE): _lines(value)
        for key, value in form.items()
        if key.startswith(VALUE)
    }
    name = _lines(form.get("new_name", "")).strip().removeprefix("{").removesuffix("}")
    if name:
        found[name] = _lines(form.get("new_value", ""))
    return found


def _lines(value: object) -> str:
    """A browser sends line breaks as CR LF, whatever the person typed."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


async def _store(
    runtime: Runtime,
    principal: Principal,
    event: EventView,
    given: Mapping[str, str],
    form: FormData,
    *,
    run: bool,
) -> Toast:
    """The values, and what was asked for with them, in one transaction."""
    now, actor = runtime.clock.now(), principal.actor
    async with runtime.database.writing() as session:
        await set_values(session, event.organization_id, event.id, given, actor=actor, now=now)
        result: RunResult | None = None
        updated = 0
        if form.get("refresh") and principal.may(Permission.SEND):
            refreshed = await refresh_texts(
                session,
                event.organization_id,
                event_id=event.id,
                dry_run=False,
                actor=actor,
                now=now,
            )
            updated = refreshed.messages
        if run:
            result = await run_sequence(
                session,
                event.organization_id,
                event.id,
                actor=principal.actor,
                now=now,
            )
    many = amount(updated, "scheduled message has", "scheduled messages have")
    said = [f"{many} the new text."] if updated else []
    if result is not None:
        tone, text = run_toast(result)
        return tone, " ".join([text, *said])
    return "success", " ".join(["Saved.", *said])


def run_toast(result: RunResult) -> Toast:
    """What a run has to say to the person who asked for it."""
    parts = [f"Scheduled {_messages(result.scheduled)}."]
    if result.already:
        parts.append(f"{amount(result.already, 'was', 'were')} there already.")
    if result.skipped_past:
        parts.append(f"{result.skipped_past:,} skipped: their time is over.")
    if result.cancelled:
        ways = ("was cancelled by hand, and stays so.", "were cancelled by hand, and stay so.")
        parts.append(amount(result.cancelled, *ways))
    if result.refused:
        groups = _groups(len(result.refused_groups))
        parts.append(f"{result.refused:,} not scheduled: the number cannot write to {groups}.")
    return ("warning" if result.refused or not _total(result) else "success"), " ".join(parts)


def _total(result: RunResult) -> int:
    return result.scheduled + result.already


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


def _lacking(
    request: Request,
    pages: Pages,
    principal: Principal,
    event: EventView,
    *,
    found: Sequence[Unresolved],
    given: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """The form of the values, with what a run lacks."""
    own = [each for each in found if each.variable and each.variable not in BUILTIN]
    errors = {each.variable: each.sentence for each in own if each.variable}
    return values_page(
        request,
        pages,
        principal,
        event,
        given=given,
        refusal=Refusal("Nothing was scheduled yet", errors, status) if found else None,
        mistakes=[each for each in found if each not in own],
    )


def values_page(
    request: Request,
    pages: Pages,
    principal: Principal,
    event: EventView,
    *,
    given: Mapping[str, str] | None = None,
    refusal: Refusal | None = None,
    mistakes: Sequence[Unresolved] = (),
) -> Response:
    values = dict(event.values if given is None else given)
    needed = needed_names(step.content for step in event.steps)
    fields = [
        ValueField(
            name,
            values.get(name, ""),
            name in needed,
            [step.title for step in event.steps if name in scan(step.content).names],
        )
        for name in [*needed, *(each for each in values if each not in needed)]
    ]
    texts = Texts(event)
    return pages.render(
        request,
        "events/variables.html",
        principal=principal,
        nav=f"{event.kind}s",
        status=200 if refusal is None else refusal.status,
        **words(event.kind),
        event=event,
        fields=fields,
        prefix=VALUE,
        builtin=[(name, texts.values.get(name), about) for name, about in BUILTIN.items()],
        refusal=refusal,
        mistakes=_each_place(mistakes),
        pending=pending_count(event),
        may_send=principal.may(Permission.SEND),
    )


def _each_place(mistakes: Sequence[Unresolved]) -> list[Unresolved]:
    return list({(each.template_id, each.text): each for each in mistakes}.values())
