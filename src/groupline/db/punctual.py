"""Connections to PostgreSQL that do not wait for ever.

A server that is gone closes its connections, and everybody notices. After a failover, behind a
firewall that forgot them, or on a host that stands still, they go silent instead. The kernel sees
the silence where nobody acknowledges what was sent, and is told below how soon. A frozen server
still acknowledges: there only a clock of our own helps.

Silence is measured from the last time that anything was heard. A transaction of many statements,
or one statement with many results, is cut by nobody as long as something arrives.

The server is told the same of us. Who is given up on one side lives on at the other: in a
transaction that nobody will ever end, with locks that everybody waits for.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import TupleRow
from sqlalchemy import URL

ANSWER_SECONDS: Final = 30.0
"""Longer than a statement of Groupline takes, a lock that it waits for included."""
LONG_SECONDS: Final = 300.0
"""For the few statements that clear away the rows of a month, perhaps."""
PROMPT_SECONDS: Final = 15.0
"""Where somebody waits for the answer: sooner than a browser or a proxy gives up."""
PROBE_SECONDS: Final = 3.0
"""For what is only asked to see whether there is an answer."""
POOL_SECONDS: Final = 10.0
"""For one of our own connections to become free. All of them are held by others for seconds at
most, unless the database is in trouble: then a prompt refusal is better than a queue."""

_CONNECT_SECONDS: Final = 5
_CANCEL_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 1.0
"""Much longer than it takes until psycopg looks up from a silent connection."""
_DEFAULTS: Final[dict[str, Any]] = {
    "connect_timeout": _CONNECT_SECONDS,
    # An idle peer that is gone is noticed within 10 + 3 · 5 seconds, before a heartbeat lapses.
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # One that does not acknowledge what was sent, in milliseconds: several retransmissions.
    "tcp_user_timeout": 15_000,
}

SESSION: Final[Mapping[str, str]] = {
    # Nothing of Groupline idles in a transaction: it waits for the database or computes.
    "idle_in_transaction_session_timeout": "20s",
    "lock_timeout": "20s",
    # As above, seen from the server, which would notice after two hours.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
    "client_connection_check_interval": "10s",  # in a statement it would not look otherwise
}
_TELL: Final = """
    SELECT set_config(name, wanted.value, false)
    FROM json_each_text(%s) AS wanted (name, value) JOIN pg_settings USING (name)
    WHERE source NOT IN ('client', 'user', 'database', 'database user')
      AND (name <> 'client_connection_check_interval' OR position('linux' in version()) > 0)
"""
"""What the URL, the role or the database says counts, and what a server has not is left out. Not as
``options`` of the connection: poolers refuse these, and one from the URL would be replaced."""

_patience: ContextVar[float] = ContextVar("patience", default=ANSWER_SECONDS)
_Result = TypeVar("_Result")


class Silence(psycopg.OperationalError):
    """The server said nothing for too long; the connection was given up."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """How long what is asked inside waits for a silent server."""
    before = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(before)


def current_patience() -> float:
    return _patience.get()


def connection_options(url: URL, **options: Any) -> dict[str, Any]:
    """For libpq. What the URL says itself is left to it."""
    wanted = _DEFAULTS | options
    return {name: value for name, value in wanted.items() if name not in url.query}


async def open_punctual(
    conninfo: str = "",
    *,
    autocommit: bool = False,
    session: Mapping[str, str] = SESSION,
    **options: Any,
) -> "PunctualConnection":
    """A connection whose server gives us up, too, when we went silent."""
    connection = await PunctualConnection.connect(conninfo, autocommit=True, **options)
    try:
        with patience(_CONNECT_SECONDS):
            await connection.execute(_TELL, [json.dumps(dict(session))])
        await connection.set_autocommit(autocommit)
    except BaseException:
        await connection.close()
        raise
    return connection


class PunctualConnection(psycopg.AsyncConnection[TupleRow]):
    """Raises ``Silence`` and closes itself, where others wait until the server speaks again."""

    async def wait(self, gen: PQGen[_Result], *args: Any, **options: Any) -> _Result:
        try:
            return await super().wait(_hearing(gen, current_patience()), *args, **options)
        except Silence:
            self.pgconn.finish()  # nobody may wait for this one once more
            raise

    async def cancel_safe(self, *, timeout: float = _CANCEL_SECONDS) -> None:  # noqa: ASYNC109
        """A task that is cancelled asks the server to stop, and a silent one not for long."""
        await super().cancel_safe(timeout=min(timeout, _CANCEL_SECONDS))


def _hearing(gen: PQGen[_Result], seconds: float) -> PQGen[_Result]:
    """The same conversation, with a look at the clock whenever nothing was heard."""
    silent_for, looked_at = 0.0, time.monotonic()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            now = time.monotonic()
            # The time that this process itself stood still is not the server's.
            silent_for = 0.0 if ready else silent_for + min(now - looked_at, _LOOK_SECONDS)
            looked_at = now
            if ready is None:  # begun anew, after the task was cancelled
                seconds = min(seconds, silent_for + _CANCEL_SECONDS)
            if silent_for >= seconds:
                raise Silence(f"the server said nothing for {seconds:.0f} s")
            wanted = gen.send(ready or 0)
    except StopIteration as end:
        result: _Result = end.value
        return result
