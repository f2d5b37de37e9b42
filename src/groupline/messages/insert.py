"""Thousands of rows of the outbox as one parameter of one statement.

Binding a value costs more than storing it: row by row, the driver and the columns' types together
take longer than the database itself. What all of the rows share is bound once beside them.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
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
    shared: dict[str, Any] = {}
    own: dict[str, list[Any]] = {}
    for name in GIVEN:
        column = [row[name] for row in rows]
        if column.count(column[0]) == len(column):
            shared[name] = _plain(column[0])
        else:
            own[name] = [*map(_plain, column)]
    # With nothing of its own a row is still a row.
    listed = [*zip(*own.values(), strict=True)] if own else [()] * len(rows)
    written: CursorResult[Any] = await session.execute(  # type: ignore[assignment]
        _statement(dialect, tuple(own)),
        {"rows": json.dumps(listed), **shared},
        execution_options={"preserve_rowcount": True},
    )
    return written.rowcount


def _plain(value: Any) -> Any:
    """As JSON and both drivers take it."""
    if isinstance(value, UUID):
        return value.hex
    return stored_instant(value) if isinstance(value, datetime) else value


@lru_cache(maxsize=64)
def _statement(dialect: str, own: tuple[str, ...]) -> TextClause:
    """What all rows share, and most of it is shared, is given once; ``own`` is in the list."""
    source = {name: _listed(dialect, place) for place, name in enumerate(own)}
    given = {name: _read(dialect, MESSAGES.c[name], source.get(name, f":{name}")) for name in GIVEN}
    constants = {
        column.name: _literal(column.default.arg)  # type: ignore[attr-defined]
        for column in MESSAGES.c
        if column.name not in given and column.default is not None
    }
    columns = given | constants
    rows = {
        # Without a condition SQLite takes ON for the beginning of a join.
        "sqlite": "json_each(:rows) AS listed WHERE true ORDER BY key",
        "postgresql": "jsonb_array_elements(CAST(:rows AS jsonb)) WITH ORDINALITY"
        " AS listed (value, place) ORDER BY place",
    }[dialect]
    return text(
        f"INSERT INTO {MESSAGES.name} ({', '.join(columns)})"  # noqa: S608 - names of columns
        f" SELECT {', '.join(columns.values())} FROM {rows} ON CONFLICT DO NOTHING"
    )


def _listed(dialect: str, place: int) -> str:
    return f"json_extract(value, '$[{place}]')" if dialect == "sqlite" else f"value ->> {place}"


def _read(dialect: str, column: Column[Any], source: str) -> str:
    if dialect == "sqlite":
        return source
    if isinstance(column.type, Uuid):
        return f"CAST({source} AS uuid)"
    if isinstance(column.type, UtcDateTime):
        return f"CAST({source} AS timestamp) AT TIME ZONE 'UTC'"
    return f"CAST({source} AS {'integer' if isinstance(column.type, Integer) else 'text'})"


def _literal(value: int | str) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)
