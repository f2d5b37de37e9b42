"""The first contact with a database: is it there, is it on its way, or will it never be."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from psycopg.pq import PGconn, Ping
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from groupline.clock import Clock
from groupline.db.engine import Database
from groupline.db.failures import is_unreachable, reason
from groupline.db.punctual import connection_options
from groupline.errors import DatabaseUnreachable

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_FULL: Final = ("too many clients", "remaining connection slots")
"""libpq does not tell the code of a refused connection, and this refusal does not last."""

logger = structlog.get_logger(__name__)


Waiting = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Nobody is told that we wait."""


class Unusable(Exception):
    """The database refuses us, or there is none; waiting does not help."""


async def reach(
    database: Database, clock: Clock, *, wait_seconds: float = 0.0, waiting: Waiting = nothing
) -> None:
    """Returns when it answers. One that is not there yet is waited for, so many seconds, and is
    ``DatabaseUnreachable`` then; ``Unusable`` is raised at once. Before each
    pause ``waiting`` is called."""
    begun_at = clock.monotonic()
    pause = _FIRST_PAUSE
    refused_before = False
    while True:
        try:
            return await _ask(database)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            _, why = reason(error)
            refused = not await _may_come(database, error)
            # Between the two questions it may have come up: one refusal is no proof.
            if refused and (refused_before or not is_unreachable(error)):
                raise Unusable(why or type(error).__name__) from error
            waited = clock.monotonic() - begun_at
            if waited >= wait_seconds and not refused:
                raise _not_reached(waited, why) from error
        if not refused:
            logger.warning("db.waiting", reason=why, gives_up_in=round(wait_seconds - waited))
            await waiting()
            await clock.sleep(min(pause, wait_seconds - waited))
            pause = min(pause * 2, _LONGEST_PAUSE)
        refused_before = refused


async def _ask(database: Database) -> None:
    if database.dialect == "sqlite" and database.url.database is not None:
        # Asked here and not by the driver, whose thread would outlive the refusal.
        sqlite3.connect(database.url.database).close()
    await database.ping()


async def _may_come(database: Database, error: Exception) -> bool:
    """Nobody answers, or a server that is only starting up, or is full."""
    if not is_unreachable(error):
        return False
    if any(words in str(error) for words in _FULL):
        return True
    said = await asyncio.to_thread(PGconn.ping, _conninfo(database.url))
    return said in {Ping.NO_RESPONSE, Ping.REJECT}


def _conninfo(url: URL) -> bytes:
    options = {name: str(value) for name, value in connection_options(url).items()}
    plain = url.set(drivername="postgresql").update_query_dict(options)
    return plain.render_as_string(hide_password=False).encode()


def _not_reached(waited: float, why: str) -> DatabaseUnreachable:
    for_long = f", and did not answer within {waited:.0f} s" if waited >= 1 else ""
    return DatabaseUnreachable(f"The database cannot be reached{for_long}: {why}.")
