"""The journal as CSV: every entry of the filter, page by page, and nothing a table runs."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from groupline.chronicle import queries
from groupline.chronicle.schemas import EntryView, Filter
from groupline.db import Database

COLUMNS: Final = ("Time", "Who", "What happened", "Details", "Action", "Subject", "Subject id")
_PAGE: Final = 500
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


async def csv_of(
    database: Database, organization_id: UUID, asked: Filter, zone: ZoneInfo
) -> AsyncIterator[str]:
    """Newest first. Each page is a transaction of its own: a slow reader holds nothing open.

    What happens meanwhile is newer than the first page, and so not in it.
    """
    yield "\ufeff" + _lines([COLUMNS])
    before: int | None = None
    while True:
        async with database.reading() as session:
            page = await queries.entries(
                session, organization_id, asked, before=before, limit=_PAGE
            )
        if page:
            yield _lines([_row(entry, zone) for entry in page])
        if len(page) < _PAGE:
            return
        before = page[-1].position


def safe_cell(text: str) -> str:
    """A cell that begins like a formula would be run by the program that opens the table."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _row(entry: EntryView, zone: ZoneInfo) -> Sequence[str]:
    cells = (
        entry.at.astimezone(zone).isoformat(timespec="seconds"),
        entry.by,
        entry.sentence,
        entry.note or "",
        entry.action,
        entry.subject,
        "" if entry.subject_id is None else str(entry.subject_id),
    )
    return [safe_cell(cell) for cell in cells]


def _lines(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
