"""The pending messages of an event: called off, given to another number, given a new text.

Everything here is set-based: how many statements it takes does not depend on how many groups there
are. A message that a worker has claimed is no longer pending, and stays as it is.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.events.queries import get_events, used_steps
from groupline.events.schemas import (
    EventView,
    Refreshed,
    StepView,
    Unresolved,
)
from groupline.events.texts import Texts, names_group
from groupline.journal import Actor
from groupline.messages import rules as message_rules
from groupline.messages.changes import MESSAGES, Step, fetch, for_change, write
from groupline.messages.rules import Trouble
from groupline.models import SequenceStep, WhatsappGroup

Reason = Literal[
    "event_cancelled", "group_removed", "sequence_changed", "step_removed", "moved_into_past"
]

SENTENCES: Final[Mapping[Reason, str]] = {
    "event_cancelled": "The event was cancelled.",
    "group_removed": "The group was taken out of the event.",
    "sequence_changed": "The event got another sequence.",
    "step_removed": "The step was taken out of the sequence.",
    "moved_into_past": "The event was moved, and its time was over.",
}
"""Why messages were called off together. A person who calls off a single one leaves no reason."""


def pending_of(organization_id: UUID, event_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        MESSAGES.c.organization_id == organization_id,
        MESSAGES.c.event_id == event_id,
        MESSAGES.c.status == "pending",
    )


async def count_pending(
    session: AsyncSession, organization_id: UUID, event_id: UUID, *where: ColumnElement[bool]
) -> int:
    statement = (
        select(func.count())
        .select_from(MESSAGES)
        .where(*pending_of(organization_id, event_id), *where)
    )
    return (await session.execute(statement)).scalar_one()


# --- called off -----------------------------------------------------------------------------


async def cancel_pending(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    *where: ColumnElement[bool],
    reason: Reason,
    actor: Actor,
    now: datetime,
) -> int:
    """Calls off what is pending, and says how many that were."""
    statement = for_change().where(*pending_of(organization_id, event_id), *where)
    rows = await fetch(session, statement)
    trouble = Trouble(reason, SENTENCES[reason])
    steps = [
        Step(row, replace(message_rules.cancelled(row.facts()), trouble=trouble)) for row in rows
    ]
    await write(session, steps, actor=actor, now=now)
    return len(rows)


# --- another number -------------------------------------------------------------------------


async def give_to_number(
    session: AsyncSession, organization_id: UUID, event_id: UUID, number_id: UUID, now: datetime
) -> int:
    """The pending messages follow; says how many."""
    others = (*pending_of(organization_id, event_id), MESSAGES.c.number_id != number_id)
    locked = select(MESSAGES.c.id).where(*others).order_by(MESSAGES.c.id).with_for_update()
    count = len((await session.scalars(locked)).all())
    if count:
        await session.execute(
            update(MESSAGES).where(*others).values(number_id=number_id, updated_at=now)
        )
        await announce(session, "messages", organization_id=organization_id, subject_id=None)
    return count


# --- read for changing -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A pending message, locked."""

    id: UUID
    number_id: UUID
    group_id: UUID
    step_id: UUID | None
    scheduled_for: datetime
    expires_at: datetime | None
    content: str
    media_url: str | None
    media_type: str | None
    event_id: UUID
    group_name: str | None


_COLUMNS: Final = (
    MESSAGES.c.id,
    MESSAGES.c.number_id,
    MESSAGES.c.group_id,
    MESSAGES.c.step_id,
    MESSAGES.c.scheduled_for,
    MESSAGES.c.expires_at,
    MESSAGES.c.content,
    MESSAGES.c.media_url,
    MESSAGES.c.media_type,
    MESSAGES.c.event_id,
    WhatsappGroup.group_name,
)


async def lock_pending(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID | None,
    *where: ColumnElement[bool],
    for_update: bool = True,
) -> list[PendingRow]:
    """In the order of their ids, as everybody locks messages."""
    statement = (
        select(*_COLUMNS)
        .join_from(MESSAGES, WhatsappGroup, WhatsappGroup.id == MESSAGES.c.group_id)
        .where(
            MESSAGES.c.organization_id == organization_id, MESSAGES.c.status == "pending", *where
        )
        .order_by(MESSAGES.c.id)
    )
    if event_id is not None:
        statement = statement.where(MESSAGES.c.event_id == event_id)
    if for_update:
        statement = statement.with_for_update(of=MESSAGES)
    return [PendingRow(*row) for row in await session.execute(statement)]


# --- another text ---------------------------------------------------------------------------


NewText = tuple[str, str | None, str | None]
"""Content, media address, media type."""


def new_text(texts: Texts, step: StepView, row: PendingRow) -> NewText | None:
    """The text by the template and the values as they are; ``None``: it has it, or cannot leave."""
    if texts.fill(step.content, row.group_name).unresolved:
        return None
    wanted = _made_now(texts, step, row.group_name)
    return None if wanted == (row.content, row.media_url, row.media_type) else wanted


def _made_now(texts: Texts, step: StepView, group_name: str | None) -> NewText:
    """With what has no value still in it."""
    return texts.fill(step.content, group_name).text, step.media_url, step.media_type


async def store_texts(
    session: AsyncSession, rows: Sequence[PendingRow], new: Mapping[UUID, NewText], now: datetime
) -> None:
    if not new:
        return
    await session.execute(
        update(MESSAGES)
        .where(MESSAGES.c.id == bindparam("message"))
        .values(
            content=bindparam("text"),
            media_url=bindparam("url"),
            media_type=bindparam("type"),
            updated_at=now,
        ),
        [
            {"message": row.id, "text": text[0], "url": text[1], "type": text[2]}
            for row in rows
            if (text := new.get(row.id)) is not None
        ],
    )


async def refresh_texts(
    session: AsyncSession,
    organization_id: UUID,
    *,
    event_id: UUID | None = None,
    template_id: UUID | None = None,
    dry_run: bool,
    actor: Actor,
    now: datetime,
) -> Refreshed:
    """Gives pending messages the text that their template and their event's values make now.

    Of one event, of all messages of a template, or both. The dry run counts. Where the new text
    would leave with a variable in it, messages keep the old one, and the answer says so.
    """
    where = MESSAGES.c.step_id.is_not(None)
    if template_id is not None:
        where = MESSAGES.c.step_id.in_(_steps_with(organization_id, template_id))
    rows = await lock_pending(session, organization_id, event_id, where, for_update=not dry_run)
    steps = await used_steps(session, organization_id, {row.event_id for row in rows})
    events = await _events_of(session, organization_id, {row.event_id for row in rows}, now)
    new, kept = _all_new_texts(rows, steps, events)
    unresolved = _what_lacks(kept, steps, events)
    changed = Counter(row.event_id for row in rows if row.id in new)
    if not dry_run and new:
        await store_texts(session, rows, new, now)
        await _tell_of_texts(session, organization_id, changed, actor, now)
    return Refreshed(
        len(new), len(changed), tuple(unresolved), kept=len(kept), committed=not dry_run
    )


def _steps_with(organization_id: UUID, template_id: UUID) -> Select[UUID]:
    """Also those that were removed, as long as something is scheduled for them."""
    return select(SequenceStep.id).where(
        SequenceStep.organization_id == organization_id,
        SequenceStep.template_id == template_id,
    )


async def _events_of(
    session: AsyncSession, organization_id: UUID, event_ids: Collection[UUID], now: datetime
) -> dict[UUID, Texts]:
    return {
        event.id: Texts(event)
        for event in await get_events(session, organization_id, event_ids, now=now)
    }


async def count_stale(session: AsyncSession, event: EventView) -> int:
    """How many pending messages of the event have another text than is made now, also where that
    one lacks a value. One row per text is read, where the text is the same for all groups."""
    steps = await used_steps(session, event.organization_id, [event.id])
    per_group = [step.id for step in steps.values() if names_group(step.content)]
    group_name = case((MESSAGES.c.step_id.in_(per_group), WhatsappGroup.group_name)).label("named")
    columns = (*_TEXT, group_name)
    statement = (
        select(*columns, func.count().label("messages"))
        .join_from(MESSAGES, WhatsappGroup, WhatsappGroup.id == MESSAGES.c.group_id)
        .where(*pending_of(event.organization_id, event.id), MESSAGES.c.step_id.in_(steps))
        .group_by(*columns)
    )
    texts = Texts(event)
    return sum(
        row.messages
        for row in await session.execute(statement)
        if _made_now(texts, steps[row.step_id], row.named) != (row[1], row[2], row[3])
    )


_TEXT: Final = (
    MESSAGES.c.step_id,
    MESSAGES.c.content,
    MESSAGES.c.media_url,
    MESSAGES.c.media_type,
)


def _all_new_texts(
    rows: Sequence[PendingRow], steps: Mapping[UUID, StepView], texts: Mapping[UUID, Texts]
) -> tuple[dict[UUID, NewText], list[PendingRow]]:
    """The new texts, and the messages that keep their old one, as the new one would not leave."""
    new: dict[UUID, NewText] = {}
    kept: list[PendingRow] = []
    for row in rows:
        assert row.step_id is not None
        step, of_event = steps[row.step_id], texts[row.event_id]
        text = new_text(of_event, step, row)
        if text is not None:
            new[row.id] = text
        elif of_event.fill(step.content, row.group_name).unresolved:
            kept.append(row)
    return new, kept


def _what_lacks(
    kept: Sequence[PendingRow], steps: Mapping[UUID, StepView], texts: Mapping[UUID, Texts]
) -> list[Unresolved]:
    unresolved: dict[tuple[UUID, str], Unresolved] = {}
    for row in kept:
        assert row.step_id is not None
        for each in texts[row.event_id].unresolved(steps[row.step_id], [row.group_name]):
            unresolved[row.step_id, each.text] = each
    return list(unresolved.values())


async def _tell_of_texts(
    session: AsyncSession,
    organization_id: UUID,
    counts: Mapping[UUID, int],
    actor: Actor,
    now: datetime,
) -> None:
    entries = [
        journal.Entry(
            action="event.texts_updated",
            actor=actor,
            organization_id=organization_id,
            subject="event",
            subject_id=event_id,
            at=now,
            data={"messages": count},
        )
        for event_id, count in counts.items()
    ]
    await journal.record_all(session, entries)
    await announce(session, "messages", organization_id=organization_id, subject_id=None)
