"""Writing changes of messages, many at a time, with their journal entries and announcements."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Boolean, Select, Table, bindparam, case, func, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import Announcement, announce
from groupline.journal import Actor
from groupline.messages.rules import NOTHING_LEFT, REJECTED_LATER_CODE, Change, Facts
from groupline.models import MessageStatus, ScheduledWhatsappMessage

MESSAGES: Final[Table] = ScheduledWhatsappMessage.__table__  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class MessageRow:
    """What decisions about a message rest on, read for changing it."""

    id: UUID
    organization_id: UUID
    number_id: UUID
    session_id: UUID | None
    status: MessageStatus
    attempts: int
    expires_at: datetime | None
    started_at: datetime | None
    message_id: str | None
    token: UUID | None
    carried_ref: bool | None
    error_code: str | None
    first_receipt_at: datetime | None

    def facts(self) -> Facts:
        return Facts(
            status=self.status,
            attempts=self.attempts,
            expires_at=self.expires_at,
            started_at=self.started_at,
            message_id=self.message_id,
            can_look_up=bool(self.carried_ref),
            was_rejected=self.status in ("failed", "pending")
            and self.error_code == REJECTED_LATER_CODE,
            was_received=self.first_receipt_at is not None,
        )


_COLUMNS: Final = (
    MESSAGES.c.id,
    MESSAGES.c.organization_id,
    MESSAGES.c.number_id,
    MESSAGES.c.session_id,
    MESSAGES.c.status,
    MESSAGES.c.attempts,
    MESSAGES.c.expires_at,
    MESSAGES.c.request_started_at,
    MESSAGES.c.gateway_message_id,
    MESSAGES.c.claim_token,
    MESSAGES.c.carried_ref,
    MESSAGES.c.error_code,
    MESSAGES.c.first_receipt_at,
)


def for_change() -> Select[Any]:
    """Reads messages as ``MessageRow`` and keeps others from changing them meanwhile."""
    return select(*_COLUMNS).order_by(MESSAGES.c.id).with_for_update(of=MESSAGES)


async def fetch(session: AsyncSession, statement: Select[Any]) -> list[MessageRow]:
    return [MessageRow(*row) for row in await session.execute(statement)]


_WRITE: Final = (
    update(MESSAGES)
    .where(MESSAGES.c.id == bindparam("message"))
    .values(
        status=bindparam("to"),
        attempts=bindparam("tries"),
        error_code=bindparam("code"),
        error_message=bindparam("sentence"),
        vps_error=bindparam("upstream"),
        gateway_message_id=func.coalesce(bindparam("evidence"), MESSAGES.c.gateway_message_id),
        accepted_at=func.coalesce(bindparam("taken"), MESSAGES.c.accepted_at),
        sent_at=func.coalesce(bindparam("done"), MESSAGES.c.sent_at),
        next_attempt_at=bindparam("again"),
        next_check_at=bindparam("check"),
        claim_token=bindparam("kept"),
        gateway_id=case((bindparam("unsent", type_=Boolean), null()), else_=MESSAGES.c.gateway_id),
        updated_at=bindparam("at"),
    )
)

_PUT_AWAY: Final = (
    update(MESSAGES)
    .where(MESSAGES.c.id == bindparam("message"))
    .values(
        status="cancelled",
        error_code=None,
        next_attempt_at=None,
        next_check_at=None,
        claim_token=None,
        updated_at=bindparam("at"),
    )
)
"""Why it failed stays, for people. A code would say that it was called off with others."""


@dataclass(frozen=True, slots=True)
class Step:
    """One message and what becomes of it."""

    row: MessageRow
    change: Change
    data: Mapping[str, Any] | None = None
    """Further facts for the journal."""


def began(row: MessageRow) -> dict[str, Any]:
    """For the journal: which request its entry is about, by when that was begun."""
    return {} if row.started_at is None else {"startedAt": row.started_at.isoformat()}


async def write(
    session: AsyncSession, steps: Sequence[Step], *, actor: Actor, now: datetime
) -> None:
    """Writes changes of rows that were read by ``for_change`` in this transaction."""
    if not steps:
        return
    put_away = [each.row.id for each in steps if each.change.action == "message.discarded"]
    if put_away:
        await session.execute(_PUT_AWAY, [{"message": each, "at": now} for each in put_away])
    values = [_values(each, now) for each in steps if each.change.action != "message.discarded"]
    if values:
        await session.execute(_WRITE, values)
    await journal.record_all(session, [_entry(step, actor, now) for step in steps])
    await tell(session, ((step.row.organization_id, step.row.id) for step in steps))


_SUBJECTS: Final = 20
"""So many messages of an organization are named in one turn; more are told of as a whole."""


def told_of(messages: Iterable[tuple[UUID, UUID]]) -> list[Announcement]:
    """What is announced of changed messages, given with their organizations."""
    by_organization: dict[UUID, list[UUID]] = {}
    for organization_id, message_id in messages:
        by_organization.setdefault(organization_id, []).append(message_id)
    told = []
    for organization_id, ids in by_organization.items():
        named: list[UUID | None] = [*ids] if len(ids) <= _SUBJECTS else [None]
        told += [Announcement("messages", organization_id, each) for each in named]
    return told


async def tell(session: AsyncSession, messages: Iterable[tuple[UUID, UUID]]) -> None:
    for each in told_of(messages):
        await announce(
            session,
            "messages",
            organization_id=each.organization_id,
            subject_id=each.subject_id,
        )


def _values(step: Step, now: datetime) -> dict[str, Any]:
    change, trouble = step.change, step.change.trouble
    return {
        "message": step.row.id,
        "to": change.status,
        "tries": change.attempts,
        "code": trouble.code if trouble else None,
        "sentence": trouble.sentence if trouble else None,
        "upstream": trouble.upstream if trouble else None,
        "evidence": change.message_id,
        "taken": now if change.status in ("accepted", "sent") else None,
        "done": now if change.status == "sent" else None,
        "again": change.next_attempt_at,
        "check": change.next_check_at,
        "kept": step.row.token if change.keeps_claim else None,
        "unsent": change.action in NOTHING_LEFT,
        "at": now,
    }


def _entry(step: Step, actor: Actor, now: datetime) -> journal.Entry:
    return journal.Entry(
        action=step.change.action,
        actor=actor,
        organization_id=step.row.organization_id,
        subject="message",
        subject_id=step.row.id,
        at=now,
        data=story(step.change) | dict(step.data or {}),
    )


def story(change: Change) -> dict[str, Any]:
    """What the journal keeps of a change. Never the text of the message."""
    trouble = change.trouble
    facts: dict[str, Any] = {
        "status": change.status,
        "attempts": change.attempts,
        "gatewayMessageId": change.message_id,
        "reason": trouble.code if trouble else None,
        "sentence": trouble.sentence if trouble else None,
        "upstream": trouble.upstream if trouble else None,
        "nextAttemptAt": change.next_attempt_at.isoformat() if change.next_attempt_at else None,
        "holdUntil": change.hold.until.isoformat() if change.hold else None,
    }
    return {name: value for name, value in facts.items() if value is not None}
