"""``groupline send`` and ``groupline messages``: the outbox from the server itself."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Final, get_args
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import revived
from groupline.cli.message_text import ShownMessage, facts, history, writer
from groupline.cli.once import Once, once
from groupline.cli.output import (
    WRONG_USAGE,
    JsonOption,
    command,
    emit,
    emit_list,
    fail,
    repeated_by,
)
from groupline.errors import InvalidInput, NotFound
from groupline.gateways.phone import display_phone, normalise_phone
from groupline.journal import COMMAND_LINE
from groupline.messages import media, queries, service
from groupline.messages.rules import FINAL
from groupline.messages.schemas import (
    DisplayState,
    Filter,
    NewMessages,
    SendableGroup,
    SendingNumber,
    known_states,
)
from groupline.messages.shown import all_shown
from groupline.messages.story import story_of
from groupline.models import Organization
from groupline.orgs.service import find_organization
from groupline.runtime import Runtime, open_runtime
from groupline.settings import load_settings

_LOOK_EVERY: Final = 0.2
_AT_MOST: Final = 500

app = typer.Typer(help="The outbox.", no_args_is_help=True)

Org = Annotated[str, typer.Option("--org", help="The organization's short name.")]
State = Annotated[list[str] | None, typer.Option(help=", ".join(get_args(DisplayState)))]
Number = Annotated[str | None, typer.Option(help="Of this number: +91…")]
Group = Annotated[str | None, typer.Option(help="Words of the group's name.")]
MessageId = Annotated[UUID, typer.Argument(help="The id of the message.")]


def register(root: typer.Typer) -> None:
    root.command()(send)
    root.add_typer(app, name="messages")


@command
async def send(
    *,
    org: Org,
    number: Annotated[str, typer.Option(help="The number to send from: +91…")],
    group: Annotated[list[str], typer.Option(help="A group's name or id; may be repeated.")],
    text: Annotated[str, typer.Option(help="What to send.")],
    media_url: Annotated[str | None, typer.Option(help="An image, video or document.")] = None,
    key: Annotated[
        str | None,
        typer.Option(help="Any text of yours: the same command and key again send once."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until the fate of each is known.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that --wait waits.")] = 60.0,  # noqa: ASYNC109
    as_json: JsonOption = False,
) -> None:
    """Send a message to groups, now. With --wait the exit code says whether all were sent."""
    async with open_runtime(load_settings()) as runtime:
        only = once(runtime.vault, key, "send", number, group, text, media_url)
        with repeated_by(only.hint):
            organization, ids = await _schedule(runtime, only, org, number, group, text, media_url)
            if wait:
                await _wait(runtime, organization.id, ids, timeout)
            views = await _views(runtime, organization.id, ids)
    emit(
        [facts(*each) for each in views],
        as_json=as_json,
        line=writer(organization.timezone).listing(views),
    )
    if wait and any(view.status != "sent" for view, _ in views):
        raise typer.Exit(1)


async def _schedule(
    runtime: Runtime,
    only: Once,
    org: str,
    number: str,
    group: Sequence[str],
    text: str,
    media_url: str | None,
) -> tuple[Organization, Sequence[UUID]]:
    found, now = None, runtime.clock.now()
    async with runtime.database.reading() as session:
        organization = await find_organization(session, org)
        is_known = await only.is_known(session, organization.id)
    if not is_known:  # what was sent before is not looked at again
        found = await media.check_if_given(media_url, policy=runtime.media_policy)
    async with runtime.database.writing() as session:

        async def effect() -> Sequence[UUID]:
            sender = await number_named(session, organization.id, number)
            groups = [await _group(session, organization.id, sender, each) for each in group]
            wanted = NewMessages(
                number_id=sender.id,
                group_ids=[each.id for each in groups],
                content=text,
                media=found,
            )
            return await service.schedule(
                session, organization.id, wanted, actor=COMMAND_LINE, now=now
            )

        return organization, await only.ids(session, organization.id, effect, now=now)


def states_named(words: Sequence[str] | None) -> frozenset[DisplayState]:
    for word in words or ():
        if not known_states([word]):
            known = ", ".join(get_args(DisplayState))
            fail(f"{word!r} is no state of a message; they are {known}", code=WRONG_USAGE)
    return known_states(words or ())


async def number_named(session: AsyncSession, organization_id: UUID, text: str) -> SendingNumber:
    digits = normalise_phone(text)
    numbers = await queries.sending_numbers(session, organization_id)
    found = next((each for each in numbers if each.phone_number == digits), None)
    if found is None:
        raise NotFound(f"The organization has no number {display_phone(digits)}.")
    return found


async def _group(
    session: AsyncSession, organization_id: UUID, sender: SendingNumber, text: str
) -> SendableGroup:
    """By its id, here or at WhatsApp, or by its name if only one group of the number has it."""
    find = partial(queries.groups_for_sending, session, organization_id, sender.id)
    listed = await find(ids=_ids(text)) or await find(named=text)
    exact = [each for each in listed if text in (each.jid, each.name)] or listed
    if not exact:
        raise NotFound(f"The number is in no group {text!r}.", hint="Are its groups synced?")
    if len(exact) > 1:
        names = ", ".join(f"{each.name} ({each.jid})" for each in exact[:5])
        raise InvalidInput(f"{len(exact)} groups match {text!r}: {names}.")
    return exact[0]


def _ids(text: str) -> list[UUID]:
    try:
        return [UUID(text)]
    except ValueError:
        return []


async def _wait(
    runtime: Runtime, organization_id: UUID, ids: Sequence[UUID], seconds: float
) -> None:
    """Until none is under way, or the time is over. Uncertain ones may need a person."""
    until = runtime.clock.monotonic() + seconds
    while runtime.clock.monotonic() < until:
        async with runtime.database.reading() as session:
            views = await queries.get_views(session, organization_id, ids)
        if all(each.status in FINAL or each.status == "uncertain" for each in views):
            return
        await runtime.clock.sleep(_LOOK_EVERY)


# --- the list -------------------------------------------------------------------------------


@app.command(name="list")
@command
async def show_all(
    *,
    org: Org,
    state: State = None,
    number: Number = None,
    group: Group = None,
    event: Annotated[UUID | None, typer.Option(help="Of this workshop or webinar.")] = None,
    campaign: Annotated[UUID | None, typer.Option(help="Of this campaign.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_AT_MOST)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List messages, latest first. --state failed is the list of what needs a look."""
    states = states_named(state)
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization = await find_organization(session, org)
        organization_id = organization.id
        now = runtime.clock.now()
        sender = await number_named(session, organization_id, number) if number else None
        wanted = Filter(
            states=states or None,
            number_id=sender.id if sender else None,
            group_named=group,
            event_id=event,
            campaign_id=campaign,
        )
        found = await queries.list_views(
            session, organization_id, wanted, after=None, limit=limit + 1, now=now
        )
        views = await all_shown(session, found[:limit], now)
    lines = writer(organization.timezone).listing(views)
    emit_list(
        [facts(*each) for each in views],
        as_json=as_json,
        line=lines,
        more=len(found) > limit,
        limit=limit,
        most=_AT_MOST,
    )


@app.command()
@command
async def show(message_id: MessageId, org: Org, as_json: JsonOption = False) -> None:
    """One message with its whole story."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization = await find_organization(session, org)
        organization_id = organization.id
        view = await queries.get_view(session, organization_id, message_id)
        if view is None:
            raise NotFound("There is no such message.")
        story = await story_of(session, view)
        views = await all_shown(session, [view], runtime.clock.now())
    emit(
        {**facts(*views[0]), "history": history(story)},
        as_json=as_json,
        line=writer(organization.timezone).story(views[0], story),
    )


# --- decisions ------------------------------------------------------------------------------


@app.command(name="send-again")
@command
async def send_again(message_id: MessageId, org: Org, as_json: JsonOption = False) -> None:
    """Send a failed or expired message again."""

    async def decide(session: AsyncSession, organization_id: UUID, now: datetime) -> None:
        await revived.send_again(session, organization_id, message_id, actor=COMMAND_LINE, now=now)

    await _decide(org, message_id, decide, as_json)


@app.command()
@command
async def cancel(message_id: MessageId, org: Org, as_json: JsonOption = False) -> None:
    """Call off a message that has not been sent yet. A failed one is put away."""

    async def decide(session: AsyncSession, organization_id: UUID, now: datetime) -> None:
        await service.cancel(session, organization_id, message_id, actor=COMMAND_LINE, now=now)

    await _decide(org, message_id, decide, as_json)


@app.command()
@command
async def discard(message_id: MessageId, org: Org, as_json: JsonOption = False) -> None:
    """Put a failed message away: it is not sent any more."""

    async def decide(session: AsyncSession, organization_id: UUID, now: datetime) -> None:
        await service.discard(session, organization_id, message_id, actor=COMMAND_LINE, now=now)

    await _decide(org, message_id, decide, as_json)


@app.command()
@command
async def resolve(
    message_id: MessageId,
    org: Org,
    arrived: Annotated[bool, typer.Option("--arrived/--not-arrived", help="Is it in the group?")],
    as_json: JsonOption = False,
) -> None:
    """Say whether an uncertain message arrived. One that did not is sent again, unless its campaign
    was cancelled."""

    async def decide(session: AsyncSession, organization_id: UUID, now: datetime) -> None:
        await service.resolve(
            session,
            organization_id,
            message_id,
            arrived=arrived,
            actor=COMMAND_LINE,
            now=now,
        )

    await _decide(org, message_id, decide, as_json)


_Decision = Callable[[AsyncSession, UUID, datetime], Awaitable[None]]


async def _decide(org: str, message_id: UUID, decision: _Decision, as_json: bool) -> None:
    async with open_runtime(load_settings()) as runtime:
        async with runtime.database.writing() as session:
            organization = await find_organization(session, org)
            organization_id = organization.id
            await decision(session, organization_id, runtime.clock.now())
        views = await _views(runtime, organization_id, [message_id])
    emit(facts(*views[0]), as_json=as_json, line=writer(organization.timezone).listing(views))


# --- shapes ---------------------------------------------------------------------------------


async def _views(
    runtime: Runtime, organization_id: UUID, ids: Sequence[UUID]
) -> list[ShownMessage]:
    async with runtime.database.reading() as session:
        views = await queries.get_views(session, organization_id, ids)
        return await all_shown(session, views, runtime.clock.now())
