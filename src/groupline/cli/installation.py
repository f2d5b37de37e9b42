"""``version``, ``settings`` and ``status``: what runs here, how it is set, and how it is."""

from typing import Any

import typer

from groupline.build import current_build, current_version
from groupline.cli.output import FAILED, JsonOption, command, emit, table
from groupline.runtime import open_runtime
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
    """What ``/readyz`` knows. Exit code 1 when something is not ready."""
    from groupline.api.health import readiness  # noqa: PLC0415 - other commands start without it

    async with open_runtime(load_settings()) as runtime:
        checks = await readiness(runtime)
    ready = all(check["ok"] for check in checks.values())
    rows = [
        [name, "ok" if check["ok"] else "NOT OK", _facts(check)] for name, check in checks.items()
    ]
    emit(
        {"status": "ready" if ready else "not_ready", "checks": checks},
        as_json=as_json,
        line=table([["CHECK", "STATE", "FACTS"], *rows]),
    )
    if not ready:
        raise typer.Exit(FAILED)


def _facts(check: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in check.items() if name != "ok")
