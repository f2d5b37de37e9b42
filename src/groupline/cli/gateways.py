"""``groupline gateways``: register, list, probe and remove gateways."""

from datetime import timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.cli.output import JsonOption, command, emit, fail, table
from groupline.errors import NotFound
from groupline.gateways.service import (
    GatewayInput,
    list_gateways,
    note_probe,
    register_gateway,
    remove_gateway,
)
from groupline.gateways.webhook_secrets import drop_old_webhook_secret, rotate_webhook_secret
from groupline.journal import SYSTEM
from groupline.models import Gateway
from groupline.runtime import open_runtime
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
        found = await runtime.gateways.driver(gateway).probe()
        async with runtime.database.writing() as session:
            await note_probe(session, gateway.id, found, runtime.clock.now())
    emit(
        {
            "reachable": found.reachable,
            "authenticated": found.authenticated,
            "latencyMs": found.latency_ms,
            "version": found.version,
            "engine": found.engine,
            "capabilities": found.capabilities.as_json(),
            "error": found.error,
        },
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
async def remove(name: str, as_json: JsonOption = False) -> None:
    """Remove a gateway that was never used."""
    async with open_runtime(load_settings()) as runtime, runtime.database.writing() as session:
        gateway = await _by_name(session, name)
        await remove_gateway(session, gateway.id, actor=SYSTEM, now=runtime.clock.now())
    emit({"removed": gateway.id}, as_json=as_json, line=f"Removed {name}.")


async def _by_name(session: AsyncSession, name: str) -> Gateway:
    gateway = await session.scalar(select(Gateway).where(Gateway.name == name))
    if gateway is None:
        raise NotFound(f"There is no gateway called “{name}”.")
    return gateway


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
