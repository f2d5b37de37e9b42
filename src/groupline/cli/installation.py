"""``version``, ``settings`` and ``status``: what runs here, how it is set, and how it is."""

from typing import Any

import typer

from groupline.build import current_build, current_version
from groupline.cli.output import FAILED, JsonOption, command, emit, table
from groupline.gateways.service import connected_sessions, list_gateways
from groupline.models import Gateway
from groupline.runtime import Runtime, open_runtime
from groupline.settings import PREFIX, Settings, load_settings

_SECRET = frozenset({"secret_key", "metrics_token", "database_url"})


def register(app: typer.Typer) -> None:
    app.command()(version)
    app.command(name="settings")(show_settings)
    app.command()(command(status))


def version(as_json: JsonOption = False) -> None:
    """The version, and the build: it changes with every line of code."""
    emit(
        {"version": current_version(), "build": current_build()},
        as_json=as_json,
        line=f"groupline {current_version()} ({current_build()})",
    )


@command
async def show_settings(as_json: JsonOption = False) -> None:
    """All settings, what each is for, and what it is now. Secrets are not shown."""
    settings = load_settings()
    rows = [_setting(settings, name) for name in Settings.model_fields]
    lines = [[row["name"], row["value"], row["description"]] for row in rows]
    emit(rows, as_json=as_json, line=table([["SETTING", "VALUE", "WHAT FOR"], *lines]))


def _setting(settings: Settings, name: str) -> dict[str, Any]:
    value = getattr(settings, name)
    shown = "–" if value is None else "(set)" if name in _SECRET else str(value)
    description = Settings.model_fields[name].description or ""
    return {"name": PREFIX + name.upper(), "value": shown, "description": description}


async def status(as_json: JsonOption = False) -> None:
    """What ``/readyz`` knows, and how the gateways are. Exit code 1 when something is not ready;
    a gateway that cannot be reached is no reason.
    """
    from groupline.api.health import readiness  # noqa: PLC0415 - other commands start without it

    async with open_runtime(load_settings()) as runtime:
        checks = await readiness(runtime)
        gateways = await _gateways(runtime) if checks["database"]["ok"] else []
    ready = all(check["ok"] for check in checks.values())
    rows = [
        [name, "ok" if check["ok"] else "NOT OK", _facts(check)] for name, check in checks.items()
    ]
    emit(
        {"status": "ready" if ready else "not_ready", "checks": checks, "gateways": gateways},
        as_json=as_json,
        line=table([["CHECK", "STATE", "FACTS"], *rows, *map(_gateway_line, gateways)]),
    )
    if not ready:
        raise typer.Exit(FAILED)


async def _gateways(runtime: Runtime) -> list[dict[str, Any]]:
    async with runtime.database.reading() as session:
        rows = await list_gateways(session)
        connected = await connected_sessions(session)
    return [
        {
            "name": row.name,
            "state": _state(row),
            "unreachableSince": row.unreachable_since,
            "lastError": row.last_error,
            "connectedSessions": connected.get(row.id, 0),
        }
        for row in rows
    ]


def _state(gateway: Gateway) -> str:
    if not gateway.enabled:
        return "disabled"
    if gateway.unreachable_since is not None:
        return "unreachable"
    return "reachable" if gateway.last_seen_at is not None else "not asked yet"


def _gateway_line(gateway: dict[str, Any]) -> list[str]:
    count = gateway["connectedSessions"]
    facts = ["1 session connected" if count == 1 else f"{count:,} sessions connected"]
    state = gateway["state"]
    if state == "unreachable":
        state = "UNREACHABLE"
        facts.append(f"since {gateway['unreachableSince']:%Y-%m-%d %H:%M} UTC")
        facts.append(str(gateway["lastError"]))
    return [f"gateway “{gateway['name']}”", state, ", ".join(facts)]


def _facts(check: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in check.items() if name != "ok")
