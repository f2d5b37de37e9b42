"""Connections, transactions, announcements, column types and migrations."""

from groupline.db.announce import (
    RESYNC,
    Announcement,
    Announcements,
    Subscription,
    Topic,
    announce,
    condensed,
)
from groupline.db.direct import Answer, Statement, Unexpected, sqlite_values, stored_instant
from groupline.db.engine import Database
from groupline.db.listed import is_among
from groupline.db.listen import PostgresListener
from groupline.db.types import Json, UtcDateTime

__all__ = [
    "RESYNC",
    "Announcement",
    "Announcements",
    "Answer",
    "Database",
    "Json",
    "PostgresListener",
    "Statement",
    "Subscription",
    "Topic",
    "Unexpected",
    "UtcDateTime",
    "announce",
    "condensed",
    "is_among",
    "sqlite_values",
    "stored_instant",
]
