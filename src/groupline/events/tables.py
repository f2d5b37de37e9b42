"""Tables that people bring as CSV, and take along: read with forgiveness, written safely. Pure.

Excel and others write a byte order mark, semicolons where a comma is the decimal sign, and line
ends of any kind. A cell that a program would run as a formula is written with an apostrophe in
front, and read without it.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from groupline.errors import InvalidInput
from groupline.text import is_storable

MAX_BYTES: Final = 1024 * 1024
MAX_LINES: Final = 5_000
_DELIMITERS: Final = (";", "\t", ",")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    """As an editor counts, from 1."""
    cells: dict[str, str]
    """By the name of the column, in small letters; what is empty is left out."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a line cannot be taken."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def read_table(data: bytes | str, *, columns: Sequence[str] = ()) -> Table:
    """The first line names the columns; ``columns`` names them where it does not.

    It does if one of its cells is one of ``columns``, or if there are none to compare with.
    """
    text = _decoded(data)
    rows = _rows(text)
    if not rows:
        raise _refused("There is nothing in it.")
    first = tuple(cell.strip().lower() for cell in rows[0][1])
    if columns and not set(first) & set(columns):
        names, body = tuple(columns), rows
    else:
        names, body = first, rows[1:]
    if len(body) > MAX_LINES:
        raise _refused(f"It has more than {MAX_LINES:,} lines.")
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise _refused(f"The column “{twice}” is there twice.")
    return Table(names, tuple(_line(number, names, cells) for number, cells in body))


def write_table(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows([[_safe(cell) for cell in row] for row in rows])
    return "\ufeff" + written.getvalue()  # spreadsheets take it for UTF-8 only with this mark


def _decoded(data: bytes | str) -> str:
    if len(data) > MAX_BYTES:
        raise _refused("It is larger than 1 MB.")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused("It is not UTF-8 text. Save it as “CSV UTF-8”.") from error
    if not is_storable(text):
        raise _refused("It contains characters that are no text.")
    return text.removeprefix("\ufeff")


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """With the number of the line on which each ends. Empty lines are left out."""
    head = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count) if any(map(head.count, _DELIMITERS)) else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise _refused(f"Line {reader.line_num} cannot be read: {error}.") from error


def _line(number: int, names: Sequence[str], cells: Sequence[str]) -> Line:
    named = zip(names, map(_plain, cells), strict=False)
    return Line(number, {name: cell for name, cell in named if name and cell})


def _plain(cell: str) -> str:
    cell = cell.strip().replace("\r\n", "\n")
    return cell[1:] if cell.startswith("'") and cell[1:].lstrip(" ").startswith(_FORMULA) else cell


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _refused(why: str) -> InvalidInput:
    return InvalidInput(why, fields={"file": why})
