"""The use cases of the outbox: schedule, cancel, send again, resolve, look up."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.errors import Conflict, InvalidInput, NotFound
from groupline.journal import Actor
from groupline.messages import rules
from groupline.messages.called_off import call_off, refuse_called_off
from groupline.messages.changes import MESSAGES, MessageRow, Step, fetch, for_change, write
from groupline.messages.drafts import refused_drafts, write_drafts
from groupline.messages.refusals import UNKNOWN_GROUP, UNKNOWN_NUMBER, content_refusal
from groupline.messages.requeue import requeue
from groupline.messages.rules import PRIORITY_EVENT, PRIORITY_NOW, Policy
from groupline.messages.schemas import (
    Draft,
    Enqueued,
    GroupsRefused,
    NewMessages,
    RefusedDraft,
    RefusedGroup,
)
from groupline.text import check_text

MAX_GROUPS: Final = 5_000
MAX_CONTENT: Final = 65_536
_PAST_ALLOWED: Final = timedelta(minutes=1)
_YEARS_AHEAD: Final = 2
_FARTHEST: Final = timedelta(days=366 * _YEARS_AHEAD)
_POLICY: Final = Policy()


async def schedule(
    session: AsyncSession,
    organization_id: UUID,
    wanted: NewMessages,
    *,
    actor: Actor,
    now: datetime,
    policy: Policy = _POLICY,
) -> list[UUID]:
    """One message per group, all or none. What cannot be sent is refused with its reason."""
    group_ids = list(dict.fromkeys(wanted.group_ids))
    scheduled_for, expires_at = _times(wanted, now, policy)
    content = check_text(wanted.content, field="content", what="message")
    _check(wanted, content, group_ids)
    drafts = [
        Draft(
            number_id=wanted.number_id,
            group_id=group_id,
            content=content,
            media_url=wanted.media.url if wanted.media else None,
            media_type=wanted.media.kind if wanted.media else None,
            scheduled_for=scheduled_for,
            expires_at=expires_at,
            priority=PRIORITY_NOW if wanted.scheduled_for is None else PRIORITY_EVENT,
            event_id=wanted.event_id,
        )
        for group_id in group_ids
    ]
    _raise_refused(await refused_drafts(session, organization_id, drafts))
    ids = await write_drafts(session, organization_id, drafts, actor=actor, now=now)
    await journal.record(
        session,
        action="messages.scheduled",
        actor=actor,
        organization_id=organization_id,
        subject="number",
        subject_id=wanted.number_id,
        data={
            "messages": len(ids),
            "scheduledFor": scheduled_for.isoformat(),
            "first": str(ids[0]),
        },
        at=now,
    )
    return ids


async def enqueue(
    session: AsyncSession,
    organization_id: UUID,
    drafts: Sequence[Draft],
    *,
    actor: Actor,
    now: datetime,
) -> Enqueued:
    """Writes rows of the outbox: those that may leave as they are, and are not there already.

    What was not written is in ``refused`` and ``already`` of the answer. The caller journals why.
    """
    refused = await refused_drafts(session, organization_id, drafts)
    unfit = {id(each.draft) for each in refused}
    fit = [draft for draft in drafts if id(draft) not in unfit] if unfit else drafts
    enqueued = await write_drafts(session, organization_id, fit, actor=actor, now=now)
    enqueued.refused = refused
    return enqueued


# --- people's decisions ---------------------------------------------------------------------


async def cancel(
    session: AsyncSession, organization_id: UUID, message_id: UUID, *, actor: Actor, now: datetime
) -> bool:
    """Calls off a message that has not been claimed, or puts a failed one away: then ``True``."""
    row = await _get(session, organization_id, message_id)
    step = Step(row, rules.cancelled(row.facts()))
    await write(session, [step], actor=actor, now=now)
    return row.status == "failed"


async def discard(
    session: AsyncSession, organization_id: UUID, message_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Puts a failed message away."""
    row = await _get(session, organization_id, message_id)
    if row.status != "failed":
        raise Conflict("Only a failed message can be put away.", state=row.status)
    await write(session, [Step(row, rules.cancelled(row.facts()))], actor=actor, now=now)


async def send_again(
    session: AsyncSession, organization_id: UUID, message_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """A new attempt of a message that failed or expired."""
    row = await _get(session, organization_id, message_id)
    await refuse_called_off(
        session, organization_id, [row.id], statuses=("failed", "expired", "uncertain")
    )
    step = Step(row, rules.sent_again(row.facts()), {"by": "person"})
    await write(session, [step], actor=actor, now=now)
    await requeue(session, [row], now=now)


async def resolve(
    session: AsyncSession,
    organization_id: UUID,
    message_id: UUID,
    *,
    arrived: bool,
    actor: Actor,
    now: datetime,
) -> None:
    """A person's word on an uncertain message: it arrived, or it is to be sent again.

    One whose campaign was cancelled is called off instead.
    """
    row = await _get(session, organization_id, message_id)
    change = rules.resolved(row.facts(), arrived=arrived)
    await _note_word(session, row, actor, now)
    outcome = "arrived" if arrived else "not_arrived"
    await write(session, [Step(row, change, {"outcome": outcome})], actor=actor, now=now)
    if not arrived:
        await requeue(session, [row], now=now)
        await call_off(session, organization_id, [row.id], actor=actor, now=now)


async def _note_word(session: AsyncSession, row: MessageRow, actor: Actor, now: datetime) -> None:
    await session.execute(
        MESSAGES.update()
        .where(MESSAGES.c.id == row.id)
        .values(resolved_by=actor.reference, resolved_at=now)
    )


async def _get(session: AsyncSession, organization_id: UUID, message_id: UUID) -> MessageRow:
    rows = await fetch(
        session,
        for_change().where(
            MESSAGES.c.organization_id == organization_id, MESSAGES.c.id == message_id
        ),
    )
    if not rows:
        raise NotFound("There is no such message.")
    return rows[0]


# --- checks ---------------------------------------------------------------------------------


def _times(wanted: NewMessages, now: datetime, policy: Policy) -> tuple[datetime, datetime]:
    scheduled_for = wanted.scheduled_for or now
    if scheduled_for < now - _PAST_ALLOWED:
        raise _invalid("scheduledFor", "This time is over.")
    _check_near("scheduledFor", scheduled_for, now)
    expires_at = wanted.expires_at or max(scheduled_for, now) + policy.late
    if expires_at <= max(scheduled_for, now):
        raise _invalid("expiresAt", "A message cannot expire before it is sent.")
    if wanted.expires_at is not None:
        _check_near("expiresAt", expires_at, now)
    return scheduled_for, expires_at


def _check_near(field: str, moment: datetime, now: datetime) -> None:
    """Compared before it is converted: near the year 9999 there is no UTC for some offsets."""
    if moment - now > _FARTHEST:
        raise _invalid(field, f"This time is more than {_YEARS_AHEAD} years ahead.")


def _check(wanted: NewMessages, content: str, group_ids: Sequence[UUID]) -> None:
    if not group_ids:
        raise _invalid("groupIds", "Choose at least one group.")
    if len(group_ids) > MAX_GROUPS:
        raise _invalid("groupIds", f"At most {MAX_GROUPS} groups at once.")
    if len(content) > MAX_CONTENT:
        raise _invalid("content", f"At most {MAX_CONTENT} characters.")
    refusal = content_refusal(content, has_media=wanted.media is not None)
    if refusal is not None:
        raise _invalid("content", refusal.sentence)


def _raise_refused(refused: Sequence[RefusedDraft]) -> None:
    for each in refused:
        if each.code in (UNKNOWN_NUMBER.code, UNKNOWN_GROUP.code):
            raise NotFound(each.reason)
    if refused:
        raise GroupsRefused(
            [RefusedGroup(e.draft.group_id, e.group_name, e.code, e.reason) for e in refused]
        )


def _invalid(field: str, why: str) -> InvalidInput:
    return InvalidInput(why, fields={field: why})
