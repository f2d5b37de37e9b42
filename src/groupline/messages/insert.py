"""Thousands of rows of the outbox as one parameter of one statement.

Binding a value costs more than storing it: row by row, the driver and the columns' types together
take longer than the database itself.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, CursorResult, Integer, TextClause, Uuid, text
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import UtcDateTime
from groupline.db.direct import stored_instant
from groupline.messages.changes import MESSAGES

GIVEN: Final = (
    *("id", "organization_id", "number_id", "group_id", "event_id", "campaign_id", "step_id"),
    *("content", "media_url", "media_type", "scheduled_for", "expires_at", "priority"),
    *("client_ref", "created_by", "created_at", "updated_at"),
)
"""The columns that a row names. The others have their defaults, or nothing."""


async def insert_missing(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> int:
    """Writes those that no unique index forbids, in their order; says how many that were."""
    dialect = session.get_bind().dialect.name
    columns = [_plain([row[name] for row in rows]) for name in GIVEN]
    listed = json.dumps([*zip(*columns, strict=True)])
    written: CursorResult[Any] = await session.execute(  # type: ignore[assignment]
        _STATEMENTS[dialect],
        {"rows": listed},
        execution_options={"preserve_rowcount": True},
    )
    return written.rowcount


def _plain(column: Sequence[Any]) -> Iterator[Any]:
    """As JSON takes it. What many rows share, and most of it is shared, is converted once."""
    before, plain = None, None
    for value in column:
        if value is not before:
            before, plain = value, _converted(value)
        yield plain


def _converted(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    return stored_instant(value) if isinstance(value, datetime) else value


def _statement(dialect: str) -> TextClause:
    given = {name: _read(dialect, MESSAGES.c[name], place) for place, name in enumerate(GIVEN)}
    constants = {
        column.name: _literal(column.default.arg)  # type: ignore[attr-defined]
        for column in MESSAGES.c
        if column.name not in given and column.default is not None
    }
    columns = given | constants
    source = {
        # Without a condition SQLite takes ON for the beginning of a join.
        "sqlite": "json_each(:rows) AS listed WHERE true ORDER BY key",
        "postgresql": "jsonb_array_elements(CAST(:rows AS jsonb)) WITH ORDINALITY"
        " AS listed (value, place) ORDER BY place",
    }[dialect]
    return text(
        f"INSERT INTO {MESSAGES.name} ({', '.join(columns)})"  # noqa: S608 - names of columns
        f" SELECT {', '.join(columns.values())} FROM {source} ON CONFLICT DO NOTHING"
    )


def _read(dialect: str, column: Column[Any], place: int) -> str:
    if dialect == "sqlite":
        return f"json_extract(value, '$[{place}]')"
    read = f"value ->> {place}"
    if isinstance(column.type, Uuid):
        return f"CAST({read} AS uuid)"
    if isinstance(column.type, UtcDateTime):
        return f"CAST({read} AS timestamp) AT TIME ZONE 'UTC'"
    return f"CAST({read} AS integer)" if isinstance(column.type, Integer) else read


def _literal(value: int | str) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


_STATEMENTS: Final = {each: _statement(each) for each in ("sqlite", "postgresql")}
