"""``groupline gateways``: register, change, list, probe and remove gateways; their reports."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Annotated, Any, get_args
from uuid import UUID

import typer
from pydantic.alias_generators import to_camel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.chronicle.unplaced import (
    Outcome,
    UnplacedReport,
    count_waiting,
    unplaced_reports,
)
from groupline.cli.output import WRONG_USAGE, JsonOption, command, emit, fail, one_line, table
from groupline.errors import NotFound
from groupline.gateways.port import Probe
from groupline.gateways.service import (
    GatewayInput,
    change_gateway,
    get_gateway,
    list_gateways,
    note_probe,
    register_gateway,
    remove_gateway,
)
from groupline.gateways.webhook_secrets import drop_old_webhook_secret, rotate_webhook_secret
from groupline.journal import SYSTEM
from groupline.models import Gateway
from groupline.runtime import Runtime, open_runtime
from groupline.settings import load_settings

app = typer.Typer(help="The gateways of this installation.", no_args_is_help=True)


@app.command()
@command
async def add(
    name: Annotated[str, typer.Option(help="How people call it.")],
    url: Annotated[str, typer.Option(help="Its address.")],
    key: Annotated[str, typer.Option(help="The key it expects from us.")] = "",
    kind: Annotated[str, typer.Option(help="What it speaks.")] = "groupline",
    webhook_secret: Annotated[
        str | None, typer.Option(help="What it proves itself with when it calls us.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Register a gateway."""
    wanted = GatewayInput(
        name=name, kind=kind, base_url=url, api_key=key, webhook_secret=webhook_secret
    )
    async with open_runtime(load_settings()) as runtime:
        async with runtime.database.writing() as session:
            gateway = await register_gateway(
                session, runtime.vault, wanted, actor=SYSTEM, now=runtime.clock.now()
            )
        hooks = f"{runtime.settings.effective_base_url}/hooks/{gateway.id}"
    emit(
        {"id": gateway.id, "name": gateway.name, "webhookUrl": hooks},
        as_json=as_json,
        line=f"Registered {gateway.name}. Let it send its webhooks to {hooks}",
    )


@app.command()
@command
async def edit(
    *,
    name: str,
    new_name: Annotated[str | None, typer.Option("--name", help="How people call it now.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Where it is now.")] = None,
    api_key: Annotated[str | None, typer.Option(help="The key it expects from us now.")] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(help="Requests at once at the most, 1 to 100.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Change what is given, after a move for example, and ask the gateway as it is then."""
    wanted = GatewayInput(
        name=new_name, base_url=base_url, api_key=api_key, max_in_flight=max_in_flight
    )
    if wanted == GatewayInput():
        fail("Nothing to change: see 'groupline gateways edit --help'.", code=WRONG_USAGE)
    async with open_runtime(load_settings()) as runtime:
        async with runtime.database.writing() as session:
            gateway = await change_gateway(
                session,
                runtime.vault,
                (await _by_name(session, name)).id,
                wanted,
                actor=SYSTEM,
                now=runtime.clock.now(),
            )
        found = await _ask(runtime, gateway)
    words = f"{gateway.name} is saved, and answers."
    if found.error is not None:
        words = f"{gateway.name} is saved. But it is not as it should be: {found.error}"
    changed = {
        "name": gateway.name,
        "baseUrl": gateway.base_url,
        "maxInFlight": gateway.max_in_flight,
    }
    emit(changed | _found(found), as_json=as_json, line=words)


@app.command(name="list")
@command
async def show_all(as_json: JsonOption = False) -> None:
    """List the gateways."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        gateways = await list_gateways(session)
    rows = [_row(gateway) for gateway in gateways]
    lines = [[row["name"], row["kind"], row["baseUrl"], row["state"]] for row in rows]
    emit(rows, as_json=as_json, line=table([["NAME", "KIND", "ADDRESS", "STATE"], *lines]))


@app.command()
@command
async def probe(name: str, as_json: JsonOption = False) -> None:
    """Ask a gateway now. Exit code 1 if it does not answer as it should."""
    async with open_runtime(load_settings()) as runtime:
        async with runtime.database.reading() as session:
            gateway = await _by_name(session, name)
        found = await _ask(runtime, gateway)
    emit(
        _found(found),
        as_json=as_json,
        line=f"{name} answers." if found.error is None else f"{name}: {found.error}",
    )
    if found.error is not None:
        fail("the gateway does not answer as it should")


@app.command()
@command
async def rotate_secret(
    name: str,
    keep_days: Annotated[
        int, typer.Option(min=0, max=90, help="For so long the old secret stays valid.")
    ] = 7,
    as_json: JsonOption = False,
) -> None:
    """Make a new webhook secret. It is shown this once; the old one stays valid for a while."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        done = await rotate_webhook_secret(
            session,
            runtime.vault,
            (await _by_name(session, name)).id,
            keep_old_for=timedelta(days=keep_days),
            actor=SYSTEM,
            now=runtime.clock.now(),
        )
    until = done.old_valid_until
    old = (
        f"The old one is valid until {until:%Y-%m-%d %H:%M} UTC."
        if until
        else "It is the only one."
    )
    emit(
        {"secret": done.secret, "oldValidUntil": until},
        as_json=as_json,
        line=f"{done.secret}\nPut it into {name} now: it is not shown again. {old}",
    )


@app.command()
@command
async def drop_old_secret(name: str, as_json: JsonOption = False) -> None:
    """Refuse webhooks that prove themselves with the old secret, before its time is up."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        gateway = await _by_name(session, name)
        await drop_old_webhook_secret(
            session, runtime.vault, gateway.id, actor=SYSTEM, now=runtime.clock.now()
        )
    emit(
        {"dropped": gateway.id}, as_json=as_json, line=f"Only the newest secret of {name} is good."
    )


@app.command()
@command
async def reports(
    name: Annotated[str, typer.Argument(help="The gateway, by its name or its id.")],
    outcome: Annotated[
        str | None,
        typer.Option(help=f"One of {', '.join(get_args(Outcome))}. Without it: all but waiting."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="So many at the most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what a gateway reported and what could not be placed, the newest first."""
    wanted: Outcome | None = next((each for each in get_args(Outcome) if each == outcome), None)
    if outcome is not None and wanted is None:
        fail(f"“{outcome}” is none of {', '.join(get_args(Outcome))}.", code=WRONG_USAGE)
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        gateway = await _named(session, name)
        found = await _reports(session, gateway.id, wanted, limit)
        waiting = await count_waiting(session, gateway.id)
    emit(
        {"items": [_report(each) for each in found], "waiting": waiting},
        as_json=as_json,
        line=_listed(found, waiting),
    )


@app.command()
@command
async def remove(name: str, as_json: JsonOption = False) -> None:
    """Remove a gateway that was never used."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        gateway = await _by_name(session, name)
        await remove_gateway(session, gateway.id, actor=SYSTEM, now=runtime.clock.now())
    emit({"removed": gateway.id}, as_json=as_json, line=f"Removed {name}.")


async def _ask(runtime: Runtime, gateway: Gateway) -> Probe:
    """Asks the gateway, and stores what it said."""
    found = await runtime.gateways.probe(gateway)
    async with runtime.database.writing() as session:
        await note_probe(session, gateway.id, found, runtime.clock.now())
    return found


def _found(found: Probe) -> dict[str, Any]:
    return {
        "reachable": found.reachable,
        "authenticated": found.authenticated,
        "latencyMs": found.latency_ms,
        "version": found.version,
        "engine": found.engine,
        "capabilities": found.capabilities.as_json(),
        "error": found.error,
    }


async def _by_name(session: AsyncSession, name: str) -> Gateway:
    gateway = await session.scalar(select(Gateway).where(Gateway.name == name))
    if gateway is None:
        raise NotFound(f"There is no gateway called “{name}”.")
    return gateway


async def _named(session: AsyncSession, name: str) -> Gateway:
    try:
        return await get_gateway(session, UUID(name))
    except (ValueError, NotFound):
        return await _by_name(session, name)


async def _reports(
    session: AsyncSession, gateway_id: UUID, outcome: Outcome | None, limit: int
) -> list[UnplacedReport]:
    """So many, however many others lie between them."""
    found: list[UnplacedReport] = []
    before: UUID | None = None
    while len(found) < limit:
        page = await unplaced_reports(
            session, None, gateway_id, outcome=outcome, before=before, limit=limit - len(found)
        )
        found += page.items
        before = page.next_before
        if before is None:
            break
    return found


def _report(report: UnplacedReport) -> dict[str, Any]:
    return {to_camel(each.name): getattr(report, each.name) for each in fields(report)}


def _listed(found: Sequence[UnplacedReport], waiting: int) -> str:
    waits = f"Waiting, and tried again for a day: {waiting:,}"
    if not found:
        return f"No such reports. {waits}"
    lines = [
        [
            f"{each.received_at:%Y-%m-%d %H:%M:%S}",
            each.outcome.replace("_", " "),
            each.title,
            one_line(each.group_name or each.group_jid or each.gateway_session_id or "–"),
            one_line(each.words or ""),
        ]
        for each in found
    ]
    heads = ["TIME (UTC)", "OUTCOME", "REPORT", "GROUP OR SESSION", "WORDS"]
    return f"{table([heads, *lines])}\n{waits}"


def _row(gateway: Gateway) -> dict[str, Any]:
    if not gateway.enabled:
        state = "disabled"
    elif gateway.unreachable_since is not None:
        state = f"unreachable: {gateway.last_error}"
    else:
        state = "reachable" if gateway.last_seen_at else "not asked yet"
    return {
        "id": gateway.id,
        "name": gateway.name,
        "kind": gateway.kind,
        "baseUrl": gateway.base_url,
        "engine": gateway.engine,
        "state": state,
    }
