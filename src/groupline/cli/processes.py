"""``up``, ``web``, ``worker`` and ``gateway``: the long-running processes."""

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import typer
import uvloop
from sqlalchemy.exc import SQLAlchemyError

from groupline.build import current_build
from groupline.cli.interpreter import loading
from groupline.cli.output import WRONG_USAGE, database_failure, fail
from groupline.db.ledger import Ledger
from groupline.errors import DatabaseUnreachable
from groupline.logs import configure_logging
from groupline.settings import Settings, SettingsError, load_settings

_ALL_ARGUMENTS: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What the program itself understands and explains."""


def register(app: typer.Typer) -> None:
    for command in (up, web, worker):
        app.command()(command)
    app.command(context_settings=_ALL_ARGUMENTS, add_help_option=False)(gateway)


def up() -> None:
    """Everything on this machine: web, worker and the built-in gateway. Prints a link to open."""
    with loading():
        from groupline.cli.up import run_everything  # noqa: PLC0415 - the others start without it

    _run(run_everything)


def web() -> None:
    """Only the dashboard and the API."""
    with loading():
        from groupline.cli.serve import Parts, serve  # noqa: PLC0415

    _run(lambda settings: serve(settings, Parts(web=True, worker=False)))


def worker() -> None:
    """Only the worker: sends, verifies, reconciles."""
    with loading():
        from groupline.cli.serve import Parts, serve  # noqa: PLC0415

    _run(lambda settings: serve(settings, Parts(web=False, worker=True)))


def gateway(context: typer.Context) -> None:
    """The built-in gateway, set by GROUPLINE_GATEWAY_* variables: its --help lists them."""
    sys.stdout.flush()
    arguments = [sys.executable, "-m", "groupline_gateway", *context.args]
    os.execv(sys.executable, arguments)  # noqa: S606 - this process becomes the gateway


def _run(main: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    try:
        settings = load_settings()
        configure_logging(settings.log_format, build=current_build(), level=settings.log_level)
        uvloop.run(main(settings))
    except SettingsError as error:
        fail(str(error), code=WRONG_USAGE)
    except DatabaseUnreachable as error:
        fail(error.detail)
    except SQLAlchemyError as error:
        fail(database_failure(error, Ledger()))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
