"""``groupline db``: the database's schema, its copy and its way back."""

import typer

from groupline.cli.output import JsonOption, command, emit, fail
from groupline.clock import SystemClock
from groupline.db import Announcements, Database, migrate
from groupline.runtime import require_database
from groupline.settings import load_settings

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.command()
@command
async def upgrade(as_json: JsonOption = False) -> None:
    """Bring the schema up to date. Safe to run again, and from several machines at once."""
    database = await _open()
    try:
        before = await migrate.upgrade(database)
        after = await migrate.current(database)
    finally:
        await database.dispose()
    line = (
        f"The database is at {after}."
        if before == after
        else f"Upgraded from {before or 'nothing'} to {after}."
    )
    emit({"before": before, "after": after}, as_json=as_json, line=line)


@app.command()
@command
async def check(as_json: JsonOption = False) -> None:
    """Say whether the schema is what this build expects. Exit code 1 if it is not."""
    database = await _open()
    try:
        at = await migrate.current(database)
    finally:
        await database.dispose()
    needed = migrate.newest()
    emit(
        {"current": at, "needed": needed, "upToDate": at == needed},
        as_json=as_json,
        line=f"The database is at {at or 'nothing'}; this build needs {needed}.",
    )
    if at != needed:
        fail("run 'groupline db upgrade'")


async def _open() -> Database:
    settings = load_settings()
    settings.prepare_data_dir()
    database = Database(settings.effective_database_url, announcements=Announcements())
    await require_database(database, SystemClock())
    return database
