"""One decision of a person about many messages: those they picked, or all that the list shows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form
from starlette.responses import Response

from groupline.campaigns import revived
from groupline.errors import InvalidInput
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.messages.bulk import BulkAction, Decided, Selection
from groupline.messages.held_back import HeldBack
from groupline.orgs.rules import Permission, Principal
from groupline.web.messages import Wanted, wanted
from groupline.web.rendering import CurrentPages, Toast

router = APIRouter(prefix="/messages")

Sender = Annotated[Principal, Depends(page_allowed(Permission.SEND))]


@router.post("/bulk")
async def decide(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    asked: Annotated[Wanted, Depends(wanted)],
    action: Annotated[BulkAction, Form()],
    ids: Annotated[list[UUID] | None, Form()] = None,
    ids_all: Annotated[bool, Form()] = False,
    ids_total: Annotated[int | None, Form(ge=0)] = None,
    as_of: Annotated[datetime | None, Form()] = None,
) -> Response:
    """The address carries the filter of the list; ``ids_all`` means all that it matched at
    ``as_of``, which were ``ids_total``."""
    if not ids and not ids_all:
        why = "Choose at least one message."
        raise InvalidInput(why, fields={"ids": why})
    seen = as_of if as_of is None or as_of.tzinfo is not None else None
    chosen = None if ids_all or ids is None else list(dict.fromkeys(ids))
    expected = ids_total if chosen is None else len(chosen)
    async with runtime.database.writing() as session:
        decided = await revived.decide(
            session,
            principal.organization_id,
            action,
            Selection(asked.filter, ids=chosen, as_of=seen),
            actor=principal.actor,
            now=runtime.clock.now(),
            at_most=expected,
        )
    return pages.redirect(asked.url(asked.tab), toast=_said(action, decided, expected))


_DONE: Final[Mapping[BulkAction, str]] = {
    "cancel": "Cancelled {}. Nothing of that will be sent.",
    "send_again": "Sending {} again.",
    "discard": "Put {} away.",
    "arrived": "Noted that {} arrived.",
    "not_arrived": "Sending {} again.",
}


def _said(action: BulkAction, decided: Decided, expected: int | None) -> Toast:
    if not decided.done:
        these = "this message is" if expected == 1 else "these messages are"
        return "warning", f"Nothing was changed: {these} in another state by now."
    counted = "1 message" if decided.done == 1 else f"{decided.done:,} messages"
    again = decided.done - decided.called_off
    if decided.held.count:
        done = _waiting(decided.held, again)
    else:
        done = _DONE[action].format(counted) if again == decided.done else _sending(again)
    said = [done] if done else []
    if decided.called_off:
        said.append(decided.not_again)
    if decided.left:
        more = "1 more is" if decided.left == 1 else f"{decided.left:,} more are"
        said.append(f"{more} left: decide once more.")
    passed_over = 0 if expected is None else expected - decided.done - decided.left
    if passed_over > 0:
        others = "1 other stays" if passed_over == 1 else f"{passed_over:,} others stay"
        said.append(f"{others} as before: this does not fit their state by now.")
    is_all = not decided.held.count and not decided.left and passed_over <= 0
    return "success" if is_all else "warning", " ".join(said)


def _sending(again: int) -> str:
    return f"Sending {again:,} again." if again else ""


def _waiting(held: HeldBack, again: int) -> str:
    """Of what is sent again, some or all does not leave yet."""
    reason = held.reason or "Each says why."
    if held.count < again:
        wait = "1 waits" if held.count == 1 else f"{held.count:,} wait"
        return f"Sending {again:,} again; {wait}. {reason}"
    wait = "1 message waits" if again == 1 else f"{again:,} messages wait"
    return f"{wait} to be sent again. {reason}"
