"""``groupline numbers``: the numbers of an organization, and stopping what they send."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from groupline.cli.output import JsonOption, command, emit, one_line, table
from groupline.cli.send import number_named
from groupline.journal import COMMAND_LINE
from groupline.numbers.change import NumberChange, change_number
from groupline.numbers.views import NumberView, list_numbers, show_number
from groupline.orgs.service import find_organization
from groupline.runtime import open_runtime
from groupline.settings import load_settings

app = typer.Typer(help="The numbers that Groupline sends from.", no_args_is_help=True)

Org = Annotated[str, typer.Option("--org", help="The organization's short name.")]
Number = Annotated[str, typer.Argument(help="The number: +91…")]


@app.command(name="list")
@command
async def show_all(org: Org, as_json: JsonOption = False) -> None:
    """List the numbers with their state."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization_id = (await find_organization(session, org)).id
        views = await list_numbers(session, organization_id, runtime.clock.now())
    emit([_facts(each) for each in views], as_json=as_json, line=_table(views))


@app.command()
@command
async def pause(number: Number, org: Org, as_json: JsonOption = False) -> None:
    """Stop all sending from a number. It stays connected; messages wait until it is resumed."""
    view = await _set_paused(org, number, paused=True)
    emit(_facts(view), as_json=as_json, line=_line(view))


@app.command()
@command
async def resume(number: Number, org: Org, as_json: JsonOption = False) -> None:
    """Let a paused number send again. What is too late by now is not sent any more."""
    view = await _set_paused(org, number, paused=False)
    emit(_facts(view), as_json=as_json, line=_line(view))


async def _set_paused(org: str, number: str, *, paused: bool) -> NumberView:
    async with open_runtime(load_settings()) as runtime:
        now = runtime.clock.now()
        async with runtime.database.writing() as session:
            organization_id = (await find_organization(session, org)).id
            found = await number_named(session, organization_id, number)
            await change_number(
                session,
                organization_id,
                found.id,
                NumberChange(paused=paused),
                actor=COMMAND_LINE,
                now=now,
            )
            return await show_number(session, organization_id, found.id, now)


def _facts(view: NumberView) -> dict[str, Any]:
    """By the names that the API has for them."""
    return {
        "id": view.number.id,
        "phoneNumber": view.number.phone_number,
        "displayName": view.number.display_name,
        "state": view.shown.state,
        "stateText": view.shown.sentence,
        "pausedAt": view.number.paused_at,
        "pausedBy": view.pause.by if view.pause else None,
        "messagesWaiting": view.pause.waiting if view.pause else 0,
        "messagesDue": view.messages_due,
    }


def _line(view: NumberView) -> str:
    return one_line(f"{view.phone}: {view.shown.sentence}")


def _table(views: Sequence[NumberView]) -> str:
    if not views:
        return "No numbers."
    rows = [
        [
            view.phone,
            one_line(view.number.display_name or "–"),
            f"{view.shown.label}, paused" if view.pause else view.shown.label,
            one_line(view.shown.sentence),
        ]
        for view in views
    ]
    return table([["NUMBER", "NAME", "STATE", "WHY"], *rows])
