"""How commands speak: a line for people, JSON for programs, one line on a failure."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar
from uuid import UUID

import typer
from sqlalchemy.exc import SQLAlchemyError

from groupline.build import current_build
from groupline.errors import GrouplineError
from groupline.logs import configure_logging
from groupline.settings import SettingsError

FAILED, WRONG_USAGE = 1, 2

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
P = ParamSpec("P")
T = TypeVar("T")


def emit(data: Mapping[str, Any] | Sequence[Any], *, as_json: bool, line: str) -> None:
    """Prints ``data`` as JSON, or ``line`` for a person."""
    print(json.dumps(data, default=_plain, ensure_ascii=False) if as_json else line)


def fail(message: str, *, code: int = FAILED) -> NoReturn:
    """Ends the command with one line on why."""
    print(f"groupline: {message}", file=sys.stderr)
    raise typer.Exit(code)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns, as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def command(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Runs an async command; what goes wrong becomes one line and an exit code."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        configure_logging("auto", build=current_build(), level="ERROR")  # the answer stays alone
        try:
            return asyncio.run(function(*args, **kwargs))
        except SettingsError as error:
            fail(str(error), code=WRONG_USAGE)
        except GrouplineError as error:
            fail(" ".join(filter(None, (error.detail, error.hint))))
        except SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            reason = str(cause).splitlines()[0]
            fail(f"the database failed: {reason}; 'groupline db check' says if it is up to date")

    return run


def _plain(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
