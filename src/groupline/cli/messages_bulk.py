"""``groupline messages decide``: one decision about many messages, counted before it is made."""

from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import revived
from groupline.cli.output import WRONG_USAGE, JsonOption, command, emit, fail
from groupline.cli.send import Group, Number, Org, State, number_named, states_named
from groupline.journal import COMMAND_LINE
from groupline.messages import bulk
from groupline.messages.bulk import BulkAction, Decided, Selection
from groupline.messages.held_back import together
from groupline.messages.schemas import Filter
from groupline.orgs.service import find_organization
from groupline.runtime import Runtime, open_runtime
from groupline.settings import load_settings

_WORDS: dict[BulkAction, str] = {
    "cancel": "cancelled",
    "send_again": "sent again",
    "discard": "put away",
    "arrived": "noted as arrived",
    "not_arrived": "sent again",
}


def register(app: typer.Typer) -> None:
    app.command()(decide)


@command
async def decide(
    *,
    action: Annotated[
        str, typer.Argument(help="cancel, send-again, discard, arrived, not-arrived")
    ],
    org: Org,
    state: State = None,
    number: Number = None,
    group: Group = None,
    event: Annotated[UUID | None, typer.Option(help="The id of a workshop or webinar.")] = None,
    campaign: Annotated[UUID | None, typer.Option(help="The id of a campaign.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it: only count.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Decide about all messages that the options match. Without --yes it says how many they are."""
    chosen = _action(action)
    states = states_named(state)
    async with open_runtime(load_settings()) as runtime:
        async with runtime.database.reading() as session:
            organization_id = (await find_organization(session, org)).id
            wanted = Filter(
                states=states or None,
                number_id=await _number_id(session, organization_id, number),
                group_named=group,
                event_id=event,
                campaign_id=campaign,
            )
            matched = await bulk.count(
                session, organization_id, chosen, Selection(wanted), now=runtime.clock.now()
            )
        decided = Decided(done=0, left=matched)
        if yes:
            decided = await _carry_out(runtime, organization_id, chosen, wanted)
    facts = {
        "matched": matched,
        "done": decided.done,
        "calledOff": decided.called_off,
        "waiting": decided.held.count,
        "waitingFor": decided.held.reason,
    }
    word = _WORDS[chosen]
    foreseen = f"{_counted(matched)} would be {word}. Add --yes to do it."
    emit(facts, as_json=as_json, line=_line(decided, word) if yes else foreseen)


def _line(decided: Decided, word: str) -> str:
    line = f"{_counted(decided.done - decided.called_off)} {word}"
    if decided.held.count:
        wait = "waits" if decided.held.count == 1 else "wait"
        line += f"; {decided.held.count:,} {wait}. {decided.held.reason or 'Each says why.'}"
    else:
        line += "."
    if decided.called_off:
        line += f" {decided.not_again}"
    return line


def _action(word: str) -> BulkAction:
    found = next((each for each in _WORDS if each == word.replace("-", "_")), None)
    known = ", ".join(each.replace("_", "-") for each in _WORDS)
    return found or fail(f"{word!r} is no decision; they are {known}", code=WRONG_USAGE)


async def _number_id(
    session: AsyncSession, organization_id: UUID, number: str | None
) -> UUID | None:
    if number is None:
        return None
    return (await number_named(session, organization_id, number)).id


async def _carry_out(
    runtime: Runtime, organization_id: UUID, action: BulkAction, wanted: Filter
) -> Decided:
    """Turn by turn, each a transaction; only what was there at the beginning."""
    begin, turns = runtime.clock.now(), list[Decided]()
    while not turns or turns[-1].left:
        async with runtime.database.writing() as session:
            decided = await revived.decide(
                session,
                organization_id,
                action,
                Selection(wanted, as_of=begin),
                actor=COMMAND_LINE,
                now=runtime.clock.now(),
            )
        turns.append(decided)
    return Decided(
        done=sum(each.done for each in turns),
        left=0,
        called_off=sum(each.called_off for each in turns),
        held=together([each.held for each in turns]),
    )


def _counted(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"
