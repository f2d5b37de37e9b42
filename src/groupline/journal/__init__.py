"""The journal: written in the caller's transaction, followed with a cursor."""

from groupline.journal.actor import COMMAND_LINE, SYSTEM, Actor, label_of
from groupline.journal.follow import News, Reading, news, read_on
from groupline.journal.read import (
    START,
    Cursor,
    cursor_of,
    load_cursor,
    newest,
    newest_cursor,
    read_after,
    realign_after_restore,
    save_cursor,
)
from groupline.journal.write import Entry, insertion, log, record, record_all

__all__ = [
    "COMMAND_LINE",
    "START",
    "SYSTEM",
    "Actor",
    "Cursor",
    "Entry",
    "News",
    "Reading",
    "cursor_of",
    "insertion",
    "label_of",
    "load_cursor",
    "log",
    "newest",
    "newest_cursor",
    "news",
    "read_after",
    "read_on",
    "realign_after_restore",
    "record",
    "record_all",
    "save_cursor",
]
