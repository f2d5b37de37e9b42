"""Writing into the journal, in the transaction of what is written about."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from groupline.db import Statement, announce, stored_instant
from groupline.ids import new_id
from groupline.journal.actor import Actor

logger = structlog.get_logger()

_UNLOGGED: Final = "groupline.journal.unlogged"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded: ``action`` on ``subject`` by ``actor``."""

    action: str
    actor: Actor
    organization_id: UUID | None
    subject: str
    subject_id: UUID | None
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    id: UUID = field(default_factory=new_id)


async def record(
    session: AsyncSession,
    *,
    action: str,
    actor: Actor,
    organization_id: UUID | None,
    subject: str,
    subject_id: UUID | None,
    data: Mapping[str, Any],
    at: datetime,
) -> UUID:
    """Record one entry. It exists if and only if the caller's transaction commits."""
    entry = Entry(
        action=action,
        actor=actor,
        organization_id=organization_id,
        subject=subject,
        subject_id=subject_id,
        at=at,
        data=data,
    )
    await record_all(session, [entry])
    return entry.id


# All entries are one parameter. A list of rows would cost several times as much before the database
# even sees it, and this is written for every message that is sent.
_COLUMNS: Final = (
    "id, organization_id, at, actor_kind, actor_id, actor_label, action, subject, subject_id, data"
)
_INSERTS: Final = {
    "sqlite": f"""
        INSERT INTO journal (transaction_id, {_COLUMNS})
        SELECT 0, {", ".join(f"json_extract(value, '$[{place}]')" for place in range(10))}
        FROM json_each(:entries) ORDER BY key
    """,  # noqa: S608 - names of columns
    "postgresql": f"""
        INSERT INTO journal (transaction_id, {_COLUMNS})
        SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint),
               CAST(entry ->> 0 AS uuid), CAST(entry ->> 1 AS uuid),
               CAST(entry ->> 2 AS timestamp) AT TIME ZONE 'UTC',
               entry ->> 3, entry ->> 4, entry ->> 5, entry ->> 6, entry ->> 7,
               CAST(entry ->> 8 AS uuid), entry -> 9
        FROM jsonb_array_elements(CAST(:entries AS jsonb)) WITH ORDINALITY AS listed (entry, place)
        ORDER BY place
    """,  # noqa: S608 - names of columns
}


async def record_all(session: AsyncSession, entries: Sequence[Entry]) -> None:
    """Record many in one statement, in their order."""
    if not entries:
        return
    statement = insertion(session.get_bind().dialect.name, entries)
    await session.execute(text(statement.sql), statement.values)
    for organization_id in {entry.organization_id for entry in entries}:
        await announce(session, "journal", organization_id=organization_id, subject_id=None)
    _log_after_commit(session, entries)


def insertion(dialect: str, entries: Sequence[Entry]) -> Statement:
    """The statement alone, for ``Database.carry_out``; what it announces is the caller's to say,
    and ``log`` has to follow."""
    rows = json.dumps([_row(entry) for entry in entries])
    return Statement(_INSERTS[dialect], {"entries": rows})


def _log_after_commit(session: AsyncSession, entries: Sequence[Entry]) -> None:
    """What was recorded is a line of the log too, without its data: when it is committed."""
    if _UNLOGGED not in session.info:
        session.info[_UNLOGGED] = []
        event.listen(session.sync_session, "after_commit", _log)
    session.info[_UNLOGGED] += entries


def _log(session: Session) -> None:
    entries: list[Entry] = session.info.pop(_UNLOGGED, [])
    log(entries)


def log(entries: Sequence[Entry]) -> None:
    """A line each, once they are committed."""
    if not logger.is_enabled_for(logging.INFO):
        return
    for entry in entries:
        ids = {"organization_id": entry.organization_id, f"{entry.subject}_id": entry.subject_id}
        named = {name: str(value) for name, value in ids.items() if value is not None}
        logger.info(entry.action, by=entry.actor.kind, **named)


def _row(entry: Entry) -> list[Any]:
    """In the order of the columns, as text that both databases take for what it is."""
    actor = entry.actor
    return [
        entry.id.hex,
        None if entry.organization_id is None else entry.organization_id.hex,
        stored_instant(entry.at),
        actor.kind,
        None if actor.id is None else str(actor.id),
        actor.label,
        entry.action,
        entry.subject,
        None if entry.subject_id is None else entry.subject_id.hex,
        dict(entry.data),
    ]
