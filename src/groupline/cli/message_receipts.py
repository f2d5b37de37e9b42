"""``groupline messages receipts``: who has received and read a message."""

from collections.abc import Sequence
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from groupline.cli.output import JsonOption, command, emit, one_line, table
from groupline.cli.send import MessageId, Org
from groupline.errors import NotFound
from groupline.messages import queries
from groupline.messages.receipts import (
    count_receipts,
    counted,
    none_sentence,
    reader_shown,
    receipts_of,
)
from groupline.messages.schemas import MessageView
from groupline.models import MessageReceipt
from groupline.orgs.service import find_organization
from groupline.runtime import open_runtime
from groupline.settings import load_settings

_AT_MOST: Final = 500


def register(app: typer.Typer) -> None:
    app.command()(receipts)


@command
async def receipts(
    message_id: MessageId,
    org: Org,
    limit: Annotated[int, typer.Option(min=1, max=_AT_MOST)] = 100,
    as_json: JsonOption = False,
) -> None:
    """Who has received and read a message, newest first."""
    async with open_runtime(load_settings()) as runtime, runtime.database.reading() as session:
        organization = await find_organization(session, org)
        message = await queries.get_view(session, organization.id, message_id)
        if message is None:
            raise NotFound("There is no such message.")
        found = await receipts_of(session, organization.id, message_id, limit=limit)
        total = await count_receipts(session, organization.id, message_id)
    facts = {
        "items": [{"kind": each.kind, "reader": each.reader, "at": each.at} for each in found],
        "total": total,
        "anonymousDeliveredCount": counted(message.anonymous_delivered_count),
        "anonymousReadCount": counted(message.anonymous_read_count),
    }
    lines = _lines(message, found, total, ZoneInfo(organization.timezone))
    emit(facts, as_json=as_json, line="\n".join(lines))


def _lines(
    message: MessageView, found: Sequence[MessageReceipt], total: int, zone: ZoneInfo
) -> list[str]:
    rows = [
        [
            one_line(reader_shown(each.reader)),
            each.kind,
            f"{each.at.astimezone(zone):%d %b %Y %H:%M:%S %Z}",
        ]
        for each in found
    ]
    lines = [table([["READER", "KIND", "TIME"], *rows])] if rows else []
    if total > len(rows):
        lines.append(f"The latest {len(rows):,} of {total:,}. --limit shows up to {_AT_MOST:,}.")
    counts = {
        "delivered": message.anonymous_delivered_count,
        "read": message.anonymous_read_count,
    }
    lines += [f"{count:,} {kind} without a reader." for kind, count in counts.items() if count]
    return lines or [none_sentence(message)]
