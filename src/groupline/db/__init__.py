"""Connections, transactions, announcements, column types and migrations."""

from groupline.db.announce import RESYNC, Announcement, Announcements, Subscription, Topic, announce
from groupline.db.engine import Database
from groupline.db.listen import PostgresListener
from groupline.db.types import Json, UtcDateTime

__all__ = [
    "RESYNC",
    "Announcement",
    "Announcements",
    "Database",
    "Json",
    "PostgresListener",
    "Subscription",
    "Topic",
    "UtcDateTime",
    "announce",
]
