"""Noticing on SQLite that another process wrote something: it cannot tell this one.

On PostgreSQL every process hears every other one, and none of this is needed.
"""

from pathlib import Path
from typing import Final

from groupline.db import Database

EVERY_SECONDS: Final = 1.0

_Stamp = tuple[int, int]


class Elsewhere:
    """Whether the file was written to, other than by ``Database.writing`` of this process.

    A commit touches the write-ahead log, which is looked at without a query. Only then the
    database is asked whose commit it was. What this process commits by ``carry_out`` counts as
    somebody else's: that happens while messages are sent, and wakes what is awake.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = Path(f"{database.url.database}-wal")
        self._stamp: _Stamp | None = None
        self._is_certain = False
        self._version: tuple[object, int] | None = None

    async def has_written(self) -> bool:
        """Since the last call; the first one says no."""
        stamp = self._look()
        if stamp == self._stamp and self._is_certain:
            return False
        # Two commits within one tick of the file system's clock leave the same stamp behind: after
        # each change the database is asked once more.
        self._is_certain = stamp == self._stamp
        self._stamp = stamp
        before, self._version = self._version, await self._database.version_of_file()
        return before is not None and before != self._version

    def _look(self) -> _Stamp | None:
        try:
            found = self._log.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size
