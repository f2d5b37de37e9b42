"""The results of a campaign as CSV, for a spreadsheet: all rows, none of them a formula."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from groupline.campaigns.results import page_of_results
from groupline.campaigns.schemas import ResultCursor, ResultFilter
from groupline.db import Database
from groupline.messages.schemas import MessageView
from groupline.messages.variables import plain

_PAGE: Final = 500
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_HEAD: Final = (
    *("Group", "Group id", "Number", "State", "Scheduled for", "Sent at", "Delivered to"),
    *("Read by", "Attempts", "Error code", "Error", "Gateway's answer", "Message id", "Text"),
)


async def results_csv(
    database: Database,
    organization_id: UUID,
    campaign_id: UUID,
    wanted: ResultFilter,
    *,
    zone: ZoneInfo,
) -> AsyncIterator[str]:
    """Page by page, each in a short transaction of its own, however many there are."""
    yield "\ufeff" + _lines([_HEAD])  # spreadsheets take it for UTF-8 only with this mark
    after: ResultCursor | None = None
    while True:
        async with database.reading() as session:
            views, after = await page_of_results(
                session, organization_id, campaign_id, wanted, after=after, limit=_PAGE
            )
        if views:
            yield _lines([_row(view, zone) for view in views])
        if after is None:
            return


def _row(view: MessageView, zone: ZoneInfo) -> Sequence[str]:
    return (
        view.group_name or "",
        view.group_jid,
        view.phone_number,
        view.status,
        _time(view.scheduled_for, zone),
        _time(view.sent_at, zone),
        str(view.got_by or ""),
        str(view.read_by or ""),
        str(view.attempts),
        view.error_code or "",
        view.error_message or "",
        view.vps_error or "",
        view.gateway_message_id or "",
        plain(view.content),
    )


def _time(moment: datetime | None, zone: ZoneInfo) -> str:
    return "" if moment is None else moment.astimezone(zone).isoformat(timespec="seconds")


def _lines(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows([[_safe(cell) for cell in row] for row in rows])
    return written.getvalue()


def _safe(cell: str) -> str:
    """A spreadsheet would run a cell that begins like a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
