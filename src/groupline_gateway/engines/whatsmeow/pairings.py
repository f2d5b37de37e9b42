"""The files that hold the pairings: whoever has one is the phone. One per session, mode 0600.

The library owns what is in them. We look one thing up in them, the id of a message by its secret,
and take out what WhatsApp certainly refused, so that a row keeps meaning "may have gone out".
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from groupline_gateway.errors import StartRefused

DIRECTORY = "pairings"
_SIDE_FILES = ("", "-journal", "-wal", "-shm")
_WAIT_SECONDS = 5.0


class PairingGone(Exception):
    """The file no longer holds the account that it held, nor what it knew of messages."""


@dataclass(frozen=True, slots=True)
class PairingFile:
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def exists(self) -> bool:
        return self.path.exists()

    def create(self) -> None:
        """An empty file that only we may read, before the library opens it."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)

    def remove(self) -> None:
        for suffix in _SIDE_FILES:
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def is_paired(self) -> bool:
        if not self.exists():
            return False
        with self._open() as connection:
            return _has_account(connection)

    def find_message(self, secret: bytes) -> str | None:
        """The id of the message that was stored with this secret; None: there is no such row.

        Raises ``PairingGone`` where the absence of a row proves nothing.
        """
        if not self.exists():
            raise PairingGone
        with self._open() as connection:
            if not _has_account(connection):
                # The library drops the messages of an account together with the account.
                raise PairingGone
            row = connection.execute(
                "SELECT message_id FROM whatsmeow_message_secrets WHERE key = ?"
                " ORDER BY rowid DESC LIMIT 1",
                (secret,),
            ).fetchone()
        return None if row is None else str(row[0])

    def forget_message(self, secret: bytes) -> None:
        """WhatsApp refused this message: it did not go out."""
        with self._open() as connection:
            connection.execute("DELETE FROM whatsmeow_message_secrets WHERE key = ?", (secret,))
            connection.commit()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # Never read-only: what a killed worker left half written has to be rolled back first.
        address = f"file:{quote(str(self.path))}?mode=rw"
        connection = sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS)
        try:
            yield connection
        finally:
            connection.close()


def _has_account(connection: sqlite3.Connection) -> bool:
    try:
        row = connection.execute("SELECT 1 FROM whatsmeow_device LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return False
        raise
    return row is not None


class Pairings:
    """All pairings of a gateway, in a directory that only we may enter."""

    def __init__(self, data_dir: Path) -> None:
        self.directory = data_dir / DIRECTORY

    def prepare(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            self.directory.chmod(0o700)
        except OSError as error:
            raise StartRefused(f"{self.directory}: {error.strerror}") from error

    def of(self, session_id: str) -> PairingFile:
        return PairingFile(self.directory / f"{session_id}.db")
