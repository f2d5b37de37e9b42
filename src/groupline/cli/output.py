"""How commands speak: a line for people, JSON for programs, one line on a failure."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from shutil import get_terminal_size
from textwrap import wrap
from typing import Annotated, Any, Final, NoReturn, ParamSpec, TypeVar
from unicodedata import category, east_asian_width
from uuid import UUID

import typer
from sqlalchemy.exc import SQLAlchemyError

from groupline.build import current_build
from groupline.db.failures import explained
from groupline.db.ledger import Ledger, keeping_ledger
from groupline.errors import DatabaseFailed, DatabaseOutcomeUnknown, GrouplineError
from groupline.logs import configure_logging
from groupline.settings import SettingsError

FAILED, WRONG_USAGE = 1, 2
_MARKS: Final = frozenset({"Mn", "Me", "Cf"})

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
P = ParamSpec("P")
T = TypeVar("T")


def emit(data: Mapping[str, Any] | Sequence[Any], *, as_json: bool, line: str) -> None:
    """Prints ``data`` as JSON, or ``line`` for a person."""
    print(json.dumps(data, default=_plain, ensure_ascii=False) if as_json else line)


def emit_list(
    data: Sequence[Any], *, as_json: bool, line: str, more: bool, limit: int, most: int
) -> None:
    """The same for the first part of a list. That there is ``more`` is said to programs as well,
    beside their JSON."""
    if more:
        words = f"There are more than {limit:,}. --limit shows up to {most:,}."
        line = f"{line}\n\n{words}"
        if as_json:
            print(words, file=sys.stderr)
    emit(data, as_json=as_json, line=line)


def fail(message: str, *, code: int = FAILED) -> NoReturn:
    """Ends the command with one line on why."""
    print(f"groupline: {message}", file=sys.stderr)
    raise typer.Exit(code)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns, as wide as their widest cell."""
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def one_line(text: str, width: int | None = None) -> str:
    """What others wrote, on one line of at most so many columns: breaks become spaces, and what
    would steer the terminal becomes a question mark."""
    line = " ".join(_harmless(text).split())
    if width is None or columns(line) <= width:
        return line
    kept, room = [], width - 1
    for character in line:
        room -= columns(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def paragraph(text: str, *, indent: str, width: int | None) -> str:
    """All of it, in lines that fit, each after the indent."""
    lines = _harmless(text, but="\n").split("\n")
    if width is None:
        return "\n".join(f"{indent}{line}".rstrip() for line in lines)
    room = max(width - len(indent), 20)
    cut = (part for line in lines for part in wrap(line, room, break_on_hyphens=False) or [""])
    return "\n".join(f"{indent}{part}".rstrip() for part in cut)


def columns(text: str) -> int:
    """Of a terminal: wide characters take two, marks on others none."""
    return sum(0 if category(each) in _MARKS else 1 + _is_wide(each) for each in text)


def _is_wide(character: str) -> bool:
    return east_asian_width(character) in "WF"


def terminal_width() -> int | None:
    """``None`` where nobody looks: what is read by a program is not cut."""
    return get_terminal_size().columns if sys.stdout.isatty() else None


def _harmless(text: str, *, but: str = "") -> str:
    """Other than that, a message or a gateway could write over what stands on the terminal."""
    plain = text.replace("\r\n", "\n").replace("\t", " ")
    if plain.isprintable():
        return plain
    return "".join(_shown(each) if each not in but else each for each in plain)


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    joins = character in "\u200c\u200d"  # parts of words and of emoji
    return character if joins or character.isprintable() else "?"


def command(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Runs an async command; what goes wrong becomes one line and an exit code."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        configure_logging("auto", build=current_build(), level="ERROR")  # the answer stays alone
        with keeping_ledger() as ledger:
            try:
                return asyncio.run(function(*args, **kwargs))
            except SettingsError as error:
                fail(str(error), code=WRONG_USAGE)
            except GrouplineError as error:
                fail(" ".join(filter(None, (error.detail, error.hint))))
            except SQLAlchemyError as error:
                fail(database_failure(error, ledger))

    return run


@contextmanager
def repeated_by(hint: str) -> Iterator[None]:
    """What fails inside, so that nobody knows what was saved, says how it can be repeated."""
    try:
        yield
    except SQLAlchemyError as error:
        error.add_note(hint)
        raise


def database_failure(error: SQLAlchemyError, ledger: Ledger) -> str:
    """What went wrong, what became of what was to be saved, and what to do, in one line."""
    failed = explained(error, changes=ledger.begun > 0, partly=ledger.committed > 0)
    hint = failed.hint
    if isinstance(failed, DatabaseOutcomeUnknown) or ledger.committed > 0:
        hint = " ".join(getattr(error, "__notes__", ())) or hint
    if type(failed) is DatabaseFailed and hint is None:
        hint = "'groupline db check' says if it is up to date."
    reason = failed.extra["details"] or failed.extra["upstreamCode"]
    return " ".join(filter(None, (failed.detail, hint, f"({reason})")))


def _plain(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
