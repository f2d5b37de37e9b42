"""After a sequence was changed: its planned events are brought in line, if somebody wants that."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.pending import cancel_pending, count_pending, refresh_texts
from groupline.events.queries import get_event
from groupline.events.reschedule import NewTime, reschedule
from groupline.events.run import plan_run, run_sequence
from groupline.events.schemas import EventView
from groupline.events.sequence_queries import removed_steps, run_events
from groupline.events.sequence_schemas import EventUpdate, SequenceUpdate
from groupline.events.sequences import get_sequence
from groupline.events.template_schemas import NamedRow
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES


async def update_events(
    session: AsyncSession,
    organization_id: UUID,
    sequence_id: UUID,
    *,
    dry_run: bool,
    actor: Actor,
    now: datetime,
) -> SequenceUpdate:
    """New steps are scheduled, changed ones moved and rewritten, removed ones called off.

    For every planned event that the sequence was run for, all or none. The dry run counts. Raises
    ``UnresolvedVariables`` where a new step lacks a value.
    """
    await get_sequence(session, organization_id, sequence_id, for_update=not dry_run)
    removed = await removed_steps(session, organization_id, sequence_id)
    updates = []
    for event_id in await run_events(session, organization_id, sequence_id):
        event = await get_event(session, organization_id, event_id, now=now)
        update = _plan if dry_run else _apply
        updates.append(await update(session, event, removed, actor, now))
    return SequenceUpdate(tuple(each for each in updates if each.total), committed=not dry_run)


async def _plan(
    session: AsyncSession,
    event: EventView,
    removed: Collection[UUID],
    actor: Actor,
    now: datetime,
) -> EventUpdate:
    own = (session, event.organization_id)
    off = await count_pending(*own, event.id, MESSAGES.c.step_id.in_(removed))
    move = await reschedule(*own, event.id, _same_time(event), dry_run=True, actor=actor, now=now)
    texts = await refresh_texts(*own, event_id=event.id, dry_run=True, actor=actor, now=now)
    run = await plan_run(*own, event.id, now=now)
    past = sum(
        each.messages
        for each in move.steps
        if each.fate == "cancelled" and each.step_id not in removed
    )
    return EventUpdate(
        NamedRow(event.id, event.title),
        added=run.result.scheduled,
        moved=move.count("moves", "sends_now"),
        rewritten=texts.messages,
        cancelled=off + past,
    )


async def _apply(
    session: AsyncSession,
    event: EventView,
    removed: Collection[UUID],
    actor: Actor,
    now: datetime,
) -> EventUpdate:
    own = (session, event.organization_id)
    off = await cancel_pending(
        *own, event.id, MESSAGES.c.step_id.in_(removed), reason="step_removed", actor=actor, now=now
    )
    move = await reschedule(*own, event.id, _same_time(event), dry_run=False, actor=actor, now=now)
    texts = await refresh_texts(*own, event_id=event.id, dry_run=False, actor=actor, now=now)
    run = await run_sequence(*own, event.id, actor=actor, now=now)
    return EventUpdate(
        NamedRow(event.id, event.title),
        added=run.scheduled,
        moved=move.count("moves", "sends_now"),
        rewritten=texts.messages + move.texts,
        cancelled=off + move.count("cancelled"),
    )


def _same_time(event: EventView) -> NewTime:
    """The messages go to the times that the steps have by now."""
    return NewTime(event.starts_at, event.ends_at, event.timezone)
