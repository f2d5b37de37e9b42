"""Writing into the journal, in the transaction of what is written about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Text, cast, func, insert, literal
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.ids import new_id
from groupline.journal.actor import Actor
from groupline.models import Base

_JOURNAL = Base.metadata.tables["journal"]


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
