"""Changing what is said about an event, and what follows for its pending messages."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import Conflict
from groupline.events.groups import unreachable_groups
from groupline.events.pending import cancel_pending, count_pending, give_to_number
from groupline.events.queries import get_event, lock_event
from groupline.events.rules import check_input, check_planned, word
from groupline.events.schemas import Edited, EventInput, EventView
from groupline.events.service import EVENTS, check_references, columns
from groupline.events.telling import in_words, tell
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES
from groupline.models import EventKind, SequenceStep


async def edit(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    wanted: EventInput,
    *,
    kind: EventKind | None = None,
    dry_run: bool = False,
    actor: Actor,
    now: datetime,
) -> Edited:
    """What is pending follows to another number, and is called off with its sequence.

    The dry run only says how much that is. The time of an event with pending messages changes by
    ``reschedule`` only, which shows first what that means for them.
    """
    if not dry_run:
        await lock_event(session, organization_id, event_id, kind)
    event = await get_event(session, organization_id, event_id, now=now, kind=kind)
    check_planned(event.kind, event.status)
    wanted = check_input(wanted, now)
    await check_references(session, organization_id, wanted, kept_sequence=event.sequence_id)
    await _check_time_may_change(session, event, wanted)
    if dry_run:
        return await _foreseen(session, event, wanted)
    return await _carried_out(session, event, wanted, actor, now)


async def _check_time_may_change(
    session: AsyncSession, event: EventView, wanted: EventInput
) -> None:
    if (wanted.starts_at, wanted.timezone) == (event.starts_at, event.timezone):
        return
    pending = await count_pending(session, event.organization_id, event.id)
    if pending:
        raise Conflict(
            f"{in_words(pending)} of this {word(event.kind)} would have to move.",
            hint="Reschedule it: that shows their new times first.",
            state=event.status,
            pendingMessages=pending,
        )


async def _foreseen(session: AsyncSession, event: EventView, wanted: EventInput) -> Edited:
    own = (session, event.organization_id, event.id)
    leaving = _of_the_sequence_it_leaves(event, wanted)
    kept = true() if leaving is None else MESSAGES.c.step_id.is_(None) | ~leaving
    moved = 0
    if wanted.number_id is None:
        _check_has_number(event, await count_pending(*own, kept))
    elif wanted.number_id != event.number_id:
        moved = await count_pending(*own, kept, MESSAGES.c.number_id != wanted.number_id)
    not_member = await unreachable_groups(*own, wanted.number_id)
    cancelled = 0 if leaving is None else await count_pending(*own, leaving)
    return Edited(moved, tuple(not_member), cancelled, committed=False)


async def _carried_out(
    session: AsyncSession, event: EventView, wanted: EventInput, actor: Actor, now: datetime
) -> Edited:
    organization_id, event_id = event.organization_id, event.id
    cancelled = await _leave_sequence(session, event, wanted, actor, now)
    moved = await _change_number(session, event, wanted, now)
    await session.execute(
        update(EVENTS)
        .where(EVENTS.c.organization_id == organization_id, EVENTS.c.id == event_id)
        .values(updated_at=now, **columns(wanted))
    )
    not_member = await unreachable_groups(session, organization_id, event_id, wanted.number_id)
    before, after = columns(event.facts), columns(wanted)
    changed = sorted(name for name in after if before[name] != after[name])
    data = {"changed": changed, "movedMessages": moved, "cancelledMessages": cancelled}
    await tell(
        session,
        "event.edited",
        organization_id=organization_id,
        event_id=event_id,
        data=data,
        actor=actor,
        now=now,
    )
    return Edited(moved, tuple(not_member), cancelled)


def _of_the_sequence_it_leaves(event: EventView, wanted: EventInput) -> ColumnElement[bool] | None:
    """Steps of another sequence are other messages: those of the old one are called off."""
    if wanted.sequence_id == event.sequence_id or event.sequence_id is None:
        return None
    return MESSAGES.c.step_id.in_(
        select(SequenceStep.id).where(
            SequenceStep.organization_id == event.organization_id,
            SequenceStep.sequence_id == event.sequence_id,
        )
    )


async def _leave_sequence(
    session: AsyncSession, event: EventView, wanted: EventInput, actor: Actor, now: datetime
) -> int:
    leaving = _of_the_sequence_it_leaves(event, wanted)
    if leaving is None:
        return 0
    return await cancel_pending(
        session,
        event.organization_id,
        event.id,
        leaving,
        reason="sequence_changed",
        actor=actor,
        now=now,
    )


async def _change_number(
    session: AsyncSession, event: EventView, wanted: EventInput, now: datetime
) -> int:
    if wanted.number_id == event.number_id:
        return 0
    if wanted.number_id is not None:
        return await give_to_number(session, event.organization_id, event.id, wanted.number_id, now)
    _check_has_number(event, await count_pending(session, event.organization_id, event.id))
    return 0


def _check_has_number(event: EventView, pending: int) -> None:
    if event.number_id is not None and pending:
        raise Conflict(
            f"{in_words(pending)} of this {word(event.kind)} would have no number.",
            hint="Choose another number, or cancel the event.",
            state=event.status,
            pendingMessages=pending,
        )
