"""One statement for thousands of rows, at hardly more than what the database itself takes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ClauseElement
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import stored_instant

_ON_SQLITE: Final[Mapping[type, Callable[[Any], str]]] = {
    UUID: lambda value: value.hex,
    datetime: stored_instant,
}


async def execute_many(
    session: AsyncSession, statement: ClauseElement, columns: Mapping[str, list[Any]]
) -> int:
    """Executes it once for each row; ``columns`` holds the values by the name of their parameter.
    Parameters that are not among them keep the value that the statement has for them.

    SQLAlchemy writes the statement. What it would do with the values of each row takes longer than
    the database takes to store them, so these go to the driver as they are.
    """
    rows = len(next(iter(columns.values())))
    if rows == 0:
        return 0
    connection = await session.connection()
    compiled: Any = statement.compile(dialect=connection.dialect)
    fixed = {name: value for name, value in compiled.params.items() if name not in columns}
    values: list[Any]
    if connection.dialect.name == "sqlite":
        stored = {name: _stored([value]) * rows for name, value in fixed.items()}
        stored |= {name: _stored(column) for name, column in columns.items()}
        values = list(zip(*(stored[name] for name in compiled.positiontup), strict=True))
    else:
        given = zip(*columns.values(), strict=True)
        values = [fixed | dict(zip(columns, row, strict=True)) for row in given]
    result = await connection.exec_driver_sql(str(compiled), values)
    return result.rowcount


def _stored(column: list[Any]) -> list[Any]:
    """SQLite keeps ids and times as text. The values of one column are of one type."""
    convert = _ON_SQLITE.get(type(column[0]))
    return column if convert is None else [convert(value) for value in column]
