"""The database URLs that people write, and the drivers behind them."""

from typing import Literal

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DialectName = Literal["sqlite", "postgresql"]

_POSTGRESQL = "postgresql+psycopg"
_SQLITE = "sqlite+aiosqlite"
_DRIVERS: dict[str, str] = {
    "postgres": _POSTGRESQL,
    "postgresql": _POSTGRESQL,
    _POSTGRESQL: _POSTGRESQL,
    "sqlite": _SQLITE,
    _SQLITE: _SQLITE,
}


def driver_url(url: str) -> URL:
    """The URL with its driver. What cannot be used is refused without repeating a password."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError("the database URL cannot be read") from error
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ValueError("the database URL must start with sqlite:/// or postgresql://")
    if driver == _SQLITE and parsed.database in {None, "", ":memory:"}:
        raise ValueError("a SQLite database needs a file: sqlite:///path/to/groupline.db")
    return parsed.set(drivername=driver)


def dialect_of(url: URL) -> DialectName:
    return "sqlite" if url.get_backend_name() == "sqlite" else "postgresql"
