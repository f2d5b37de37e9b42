"""Writing into the journal, in the transaction of what is written about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import BigInteger, ColumnElement, Text, cast, event, func, insert, literal
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from groupline.db import announce
from groupline.ids import new_id
from groupline.journal.actor import Actor
from groupline.models import Base

logger = structlog.get_logger()

_JOURNAL = Base.metadata.tables["journal"]
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


async def record_all(session: AsyncSession, entries: Sequence[Entry]) -> None:
    """Record many in one statement, in their order."""
    if not entries:
        return
    statement = insert(_JOURNAL).values(transaction_id=_transaction_id(session))
    await session.execute(statement, [_row(entry) for entry in entries])
    for organization_id in {entry.organization_id for entry in entries}:
        await announce(session, "journal", organization_id=organization_id, subject_id=None)
    _log_after_commit(session, entries)


def _log_after_commit(session: AsyncSession, entries: Sequence[Entry]) -> None:
    """What was recorded is a line of the log too, without its data: when it is committed."""
    if _UNLOGGED not in session.info:
        session.info[_UNLOGGED] = []
        event.listen(session.sync_session, "after_commit", _log)
    session.info[_UNLOGGED] += entries


def _log(session: Session) -> None:
    entries: list[Entry] = session.info.pop(_UNLOGGED, [])
    for entry in entries:
        ids = {"organization_id": entry.organization_id, f"{entry.subject}_id": entry.subject_id}
        named = {name: str(value) for name, value in ids.items() if value is not None}
        logger.info(entry.action, by=entry.actor.kind, **named)


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "organization_id": entry.organization_id,
        "at": entry.at,
        "actor_kind": entry.actor.kind,
        "actor_id": None if entry.actor.id is None else str(entry.actor.id),
        "actor_label": entry.actor.label,
        "action": entry.action,
        "subject": entry.subject,
        "subject_id": entry.subject_id,
        "data": dict(entry.data),
    }


def _transaction_id(session: AsyncSession) -> ColumnElement[int]:
    if session.get_bind().dialect.name == "sqlite":
        return literal(0)
    return cast(cast(func.pg_current_xact_id(), Text), BigInteger)
