"""The use cases of workshops and webinars. Running, moving and checking them are next door."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.errors import Conflict, NotFound
from groupline.events.pending import cancel_pending, count_pending
from groupline.events.queries import get_event, lock_event
from groupline.events.rules import check_input, check_planned, word
from groupline.events.schemas import EventInput, EventView
from groupline.events.telling import in_words, tell
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES
from groupline.models import (
    Event,
    EventGroup,
    EventKind,
    EventVariable,
    Preflight,
    WhatsappNumber,
)
from groupline.models import Sequence as MessageSequence

EVENTS: Final[Table] = Event.__table__  # type: ignore[assignment]
GROUPS: Final[Table] = EventGroup.__table__  # type: ignore[assignment]
VARIABLES: Final[Table] = EventVariable.__table__  # type: ignore[assignment]
PREFLIGHTS: Final[Table] = Preflight.__table__  # type: ignore[assignment]


async def create(
    session: AsyncSession,
    organization_id: UUID,
    kind: EventKind,
    wanted: EventInput,
    *,
    actor: Actor,
    now: datetime,
) -> UUID:
    wanted = check_input(wanted, now)
    await check_references(session, organization_id, wanted)
    event_id = new_id()
    await session.execute(
        insert(EVENTS).values(
            id=event_id,
            organization_id=organization_id,
            kind=kind,
            status="planned",
            created_by=actor.reference,
            created_at=now,
            updated_at=now,
            **columns(wanted),
        )
    )
    await tell(
        session,
        "event.created",
        organization_id=organization_id,
        event_id=event_id,
        data={"kind": kind},
        actor=actor,
        now=now,
    )
    return event_id


async def duplicate(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    *,
    kind: EventKind | None = None,
    starts_at: datetime | None = None,
    title: str | None = None,
    actor: Actor,
    now: datetime,
) -> UUID:
    """The same once more, with its groups and values, and without its messages.

    The copy is as long as the original, also when it begins at another time.
    """
    event = await get_event(session, organization_id, event_id, now=now, kind=kind)
    starts = starts_at or event.starts_at
    ends = None if event.ends_at is None else starts + (event.ends_at - event.starts_at)
    copy = replace(event.facts, title=title or event.title, starts_at=starts, ends_at=ends)
    copy_id = await create(session, organization_id, event.kind, copy, actor=actor, now=now)
    await _copy(session, GROUPS, event, copy_id, created_at=now)
    await _copy(session, VARIABLES, event, copy_id, updated_at=now)
    return copy_id


async def _copy(
    session: AsyncSession, table: Table, event: EventView, copy_id: UUID, **given: datetime
) -> None:
    statement = select(table).where(
        table.c.organization_id == event.organization_id, table.c.event_id == event.id
    )
    rows = [
        {**row._mapping, "id": new_id(), "event_id": copy_id, **given}
        for row in await session.execute(statement)
    ]
    if rows:
        await session.execute(insert(table), rows)


async def cancel(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    *,
    kind: EventKind | None = None,
    actor: Actor,
    now: datetime,
) -> int:
    """Calls the event off with everything that has not left; says how many messages that were."""
    await lock_event(session, organization_id, event_id, kind)
    event = await get_event(session, organization_id, event_id, now=now)
    check_planned(event.kind, event.status)
    cancelled = await cancel_pending(
        session, organization_id, event_id, reason="event_cancelled", actor=actor, now=now
    )
    await _set_status(session, event, "cancelled", now)
    data = {"cancelledMessages": cancelled}
    await tell(
        session,
        "event.cancelled",
        organization_id=organization_id,
        event_id=event_id,
        data=data,
        actor=actor,
        now=now,
    )
    return cancelled


async def finish(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    *,
    kind: EventKind | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    """Marks it as done. While messages are pending it is not."""
    await lock_event(session, organization_id, event_id, kind)
    event = await get_event(session, organization_id, event_id, now=now)
    check_planned(event.kind, event.status)
    pending = await count_pending(session, organization_id, event_id)
    if pending:
        raise Conflict(
            f"{in_words(pending)} of this {word(event.kind)} have yet to leave.",
            hint="Wait for them, or cancel the event.",
            state=event.status,
            pendingMessages=pending,
        )
    await _set_status(session, event, "done", now)
    await tell(
        session,
        "event.done",
        organization_id=organization_id,
        event_id=event_id,
        data={},
        actor=actor,
        now=now,
    )


async def _set_status(session: AsyncSession, event: EventView, status: str, now: datetime) -> None:
    await session.execute(
        update(EVENTS)
        .where(EVENTS.c.organization_id == event.organization_id, EVENTS.c.id == event.id)
        .values(status=status, updated_at=now)
    )


async def remove(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    *,
    kind: EventKind | None = None,
    cancel_messages: bool = False,
    actor: Actor,
    now: datetime,
) -> None:
    """Deletes an event of which nothing has ever left, with what was only planned.

    Where messages are pending they go too, which has to be asked for.
    """
    await lock_event(session, organization_id, event_id, kind)
    event = await get_event(session, organization_id, event_id, now=now)
    await session.execute(
        select(MESSAGES.c.id)
        .where(MESSAGES.c.organization_id == organization_id, MESSAGES.c.event_id == event_id)
        .order_by(MESSAGES.c.id)
        .with_for_update()
    )
    await _check_nothing_left(session, event)
    pending = await count_pending(session, organization_id, event_id)
    if pending and not cancel_messages:
        raise Conflict(
            f"{in_words(pending)} of this {word(event.kind)} are scheduled.",
            hint="Confirm that these messages are cancelled too.",
            state=event.status,
            pendingMessages=pending,
            groups=event.groups,
        )
    for table in _OF_AN_EVENT:
        await session.execute(
            delete(table).where(
                table.c.organization_id == organization_id, table.c.event_id == event_id
            )
        )
    await session.execute(
        delete(EVENTS).where(EVENTS.c.organization_id == organization_id, EVENTS.c.id == event_id)
    )
    await announce(session, "messages", organization_id=organization_id, subject_id=None)
    await tell(
        session,
        "event.deleted",
        organization_id=organization_id,
        event_id=event_id,
        data={"kind": event.kind, "title": event.title, "cancelledMessages": pending},
        actor=actor,
        now=now,
    )


_OF_AN_EVENT: Final = (MESSAGES, GROUPS, VARIABLES, PREFLIGHTS)


async def _check_nothing_left(session: AsyncSession, event: EventView) -> None:
    statement = (
        select(func.count())
        .select_from(MESSAGES)
        .where(
            MESSAGES.c.organization_id == event.organization_id,
            MESSAGES.c.event_id == event.id,
            MESSAGES.c.status.not_in(("pending", "cancelled"))
            | MESSAGES.c.request_started_at.is_not(None),
        )
    )
    left = (await session.execute(statement)).scalar_one()
    if left:
        raise Conflict(
            f"{in_words(left)} of this {word(event.kind)} have a history, which is kept.",
            hint="Cancel it instead: then nothing more is sent.",
            state=event.status,
        )


async def check_references(
    session: AsyncSession,
    organization_id: UUID,
    wanted: EventInput,
    *,
    kept_sequence: UUID | None = None,
) -> None:
    """What was removed cannot be chosen any more; an event that has it keeps it."""
    number = select(WhatsappNumber.id).where(
        WhatsappNumber.organization_id == organization_id, WhatsappNumber.id == wanted.number_id
    )
    if wanted.number_id is not None and await session.scalar(number) is None:
        raise NotFound("There is no such number.")
    sequence = select(MessageSequence.id).where(
        MessageSequence.organization_id == organization_id,
        MessageSequence.id == wanted.sequence_id,
        MessageSequence.removed_at.is_(None),
    )
    if wanted.sequence_id in (None, kept_sequence):
        return
    # Held until the end, so that nobody removes it meanwhile.
    if await session.scalar(sequence.with_for_update(read=True)) is None:
        raise NotFound("There is no such sequence.")


def columns(wanted: EventInput) -> dict[str, Any]:
    return {
        "title": wanted.title,
        "starts_at": wanted.starts_at,
        "ends_at": wanted.ends_at,
        "timezone": wanted.timezone,
        "number_id": wanted.number_id,
        "sequence_id": wanted.sequence_id,
    }
