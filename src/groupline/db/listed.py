"""Thousands of ids in a condition, as one parameter: binding each costs more than finding it."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession


def is_among(session: AsyncSession, column: Any, ids: Iterable[UUID]) -> ColumnElement[bool]:
    """Whether an id is one of these, as the database of the session is asked for it."""
    listed = literal(json.dumps([each.hex for each in ids]), Text)
    if session.get_bind().dialect.name == "sqlite":
        rows = func.json_each(listed).table_valued("value")
        return column.in_(select(rows.c.value))  # type: ignore[no-any-return]
    value = func.jsonb_array_elements_text(cast(listed, JSONB)).column_valued("listed")
    return column.in_(select(cast(value, Uuid)))  # type: ignore[no-any-return]
