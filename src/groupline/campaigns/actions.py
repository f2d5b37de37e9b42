"""What people do with a campaign that is under way, or that has ended with something missing."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import queries, rules
from groupline.campaigns.schemas import Resumed, Retried, Verified
from groupline.campaigns.settle import settle
from groupline.campaigns.writing import known_number, note
from groupline.db import announce
from groupline.errors import Conflict
from groupline.journal import Actor
from groupline.messages import queries as messages
from groupline.messages import rules as message_rules
from groupline.messages.changes import MESSAGES, MessageRow, Step, fetch, for_change, write
from groupline.messages.requeue import requeue
from groupline.messages.rules import Change
from groupline.messages.schemas import RefusedGroup
from groupline.models import MessageStatus, NotificationCampaign


async def pause(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Nothing more is claimed from the moment this is committed; what is on its way goes on."""
    row = await queries.get(session, organization_id, campaign_id)
    rules.check("pause", row.status)
    row.status, row.paused_at, row.updated_at = "paused", now, now
    await note(session, row, "campaign.paused", actor, now)


async def resume(
    session: AsyncSession,
    organization_id: UUID,
    campaign_id: UUID,
    *,
    extend: bool = False,
    actor: Actor,
    now: datetime,
) -> Resumed:
    """Goes on with what is still in time. A pause does not stop the clock of the messages.

    ``extend`` says that it shall: what is left, and what expired during the pause, gets the whole
    late time of the campaign again.
    """
    row = await queries.get(session, organization_id, campaign_id)
    rules.check("resume", row.status)
    expired = await _expired_since(session, row)
    extended = 0
    if extend:
        await _requeue(session, row, expired, actor=actor, now=now)
        extended = await _give_time(session, row, now)
    row.status, row.paused_at, row.updated_at = "sending", None, now
    answer = Resumed(0 if extend else len(expired), extended)
    facts = {"expiredMeanwhile": len(expired), "extended": extended}
    await note(session, row, "campaign.resumed", actor, now, **facts)
    return answer


async def _expired_since(session: AsyncSession, row: NotificationCampaign) -> list[MessageRow]:
    statement = for_change().where(
        _of(row, "expired"), MESSAGES.c.updated_at >= (row.paused_at or row.updated_at)
    )
    return await fetch(session, statement)


async def _give_time(session: AsyncSession, row: NotificationCampaign, now: datetime) -> int:
    result = await session.execute(
        update(MESSAGES)
        .where(_of(row, "pending"))
        .values(expires_at=now + timedelta(minutes=row.late_minutes), updated_at=now)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]  # of an UPDATE


async def cancel(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID, *, actor: Actor, now: datetime
) -> int:
    """Calls off what has not been claimed, and says how many that were."""
    row = await queries.get(session, organization_id, campaign_id)
    rules.check("cancel", row.status)
    row.status, row.updated_at = "cancelled", now
    cancelled = await cancel_pending(session, row, actor=actor, now=now)
    await note(session, row, "campaign.cancelled", actor, now, messages=cancelled)
    await settle(session, row, now=now)
    return cancelled


async def cancel_pending(
    session: AsyncSession, row: NotificationCampaign, *, actor: Actor, now: datetime
) -> int:
    """A message that a worker claims at this moment is locked, and goes out."""
    locked = for_change().with_for_update(of=MESSAGES, skip_locked=True)
    rows = await fetch(session, locked.where(_of(row, "pending")))
    await _write(session, rows, message_rules.cancelled, actor=actor, now=now)
    return len(rows)


# --- what did not arrive --------------------------------------------------------------------


async def retry_failed(
    session: AsyncSession,
    organization_id: UUID,
    campaign_id: UUID,
    *,
    number_id: UUID | None = None,
    include_expired: bool = False,
    actor: Actor,
    now: datetime,
) -> Retried:
    """A new attempt of what failed, and of nothing whose fate is not certain.

    With another number only where that may write; the answer names the other groups.
    """
    row = await queries.get(session, organization_id, campaign_id)
    wanted: tuple[MessageStatus, ...] = ("failed", "expired") if include_expired else ("failed",)
    rules.check("retry_failed", row.status)
    if number_id is not None:
        await known_number(session, organization_id, number_id)
    failed = await fetch(session, for_change().where(_of(row, *wanted)))
    if not failed:
        raise Conflict(
            "No message of this campaign failed.",
            hint="What expired is sent again when you include it; what is uncertain never is.",
            state=row.status,
        )
    refused: list[RefusedGroup] = []
    if number_id is not None:
        failed, refused = await _move(session, row, failed, number_id)
    await _requeue(session, row, failed, actor=actor, now=now)
    if failed and row.finished_at is not None:
        row.status, row.finished_at = "sending", None
    row.updated_at = now
    facts = {"messages": len(failed), "refused": len(refused)}
    named = {"number": str(number_id)} if number_id is not None else {}
    await note(session, row, "campaign.retried", actor, now, **facts, **named)
    return Retried(len(failed), tuple(refused))


async def _move(
    session: AsyncSession,
    row: NotificationCampaign,
    failed: Sequence[MessageRow],
    number_id: UUID,
) -> tuple[list[MessageRow], list[RefusedGroup]]:
    """Those that the other number can send, now its own; and the groups that it cannot write to."""
    groups = await _groups(session, row, failed)
    known = await messages.groups_for_sending(
        session, row.organization_id, number_id, ids=list(groups.values())
    )
    refused = [
        RefusedGroup(each.id, each.name, each.refusal_code or "", each.refusal)
        for each in known
        if each.refusal is not None
    ]
    out = {each.group_id for each in refused}
    taken = [each for each in failed if groups[each.id] not in out]
    if taken:
        await session.execute(
            update(MESSAGES)
            .where(MESSAGES.c.id.in_([each.id for each in taken]))
            .values(number_id=number_id)
        )
    return taken, refused


async def _groups(
    session: AsyncSession, row: NotificationCampaign, rows: Sequence[MessageRow]
) -> dict[UUID, UUID]:
    return await queries.groups_of_messages(
        session, row.organization_id, [each.id for each in rows]
    )


async def _requeue(
    session: AsyncSession,
    row: NotificationCampaign,
    rows: Sequence[MessageRow],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Back into the queue, with the late time of the campaign from now."""
    await _write(session, rows, message_rules.sent_again, actor=actor, now=now)
    await requeue(session, rows, now=now)
    if rows:
        await session.execute(
            update(MESSAGES)
            .where(MESSAGES.c.id.in_([each.id for each in rows]))
            .values(expires_at=now + timedelta(minutes=row.late_minutes))
        )


# --- what nobody knows ----------------------------------------------------------------------


async def verify(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID, *, actor: Actor, now: datetime
) -> Verified:
    """Asks the reconciler to look now at everything whose fate is not known."""
    row = await queries.get(session, organization_id, campaign_id)
    rules.check("verify", row.status)
    rows = await fetch(session, for_change().where(_of(row, "accepted", "uncertain")))
    asked = [each.id for each in rows if each.carried_ref]
    if asked:
        await session.execute(
            update(MESSAGES).where(MESSAGES.c.id.in_(asked)).values(next_check_at=now)
        )
        await announce(session, "messages", organization_id=organization_id, subject_id=None)
    answer = Verified(len(asked), len(rows) - len(asked))
    facts = {"asked": answer.asked, "cannotBeAsked": answer.cannot_be_asked}
    await note(session, row, "campaign.verified", actor, now, **facts)
    return answer


async def mark_arrived(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID, *, actor: Actor, now: datetime
) -> int:
    """A person's word that everything uncertain is in its group."""
    row = await queries.get(session, organization_id, campaign_id)
    rules.check("mark_arrived", row.status)
    rows = await fetch(session, for_change().where(_of(row, "uncertain")))
    if not rows:
        raise Conflict("No message of this campaign is uncertain.", state=row.status)
    await session.execute(
        update(MESSAGES)
        .where(MESSAGES.c.id.in_([each.id for each in rows]))
        .values(resolved_by=actor.reference, resolved_at=now)
    )
    await _write(session, rows, _arrived, actor=actor, now=now, outcome="arrived")
    await note(session, row, "campaign.marked_arrived", actor, now, messages=len(rows))
    await settle(session, row, now=now)
    return len(rows)


def _arrived(facts: message_rules.Facts) -> Change:
    return message_rules.resolved(facts, arrived=True)


# --- parts ----------------------------------------------------------------------------------


def _of(row: NotificationCampaign, *statuses: MessageStatus) -> ColumnElement[bool]:
    return and_(
        MESSAGES.c.organization_id == row.organization_id,
        MESSAGES.c.campaign_id == row.id,
        MESSAGES.c.status.in_(statuses),
    )


async def _write(
    session: AsyncSession,
    rows: Sequence[MessageRow],
    rule: Callable[[message_rules.Facts], Change],
    *,
    actor: Actor,
    now: datetime,
    **data: str,
) -> None:
    steps = [Step(each, rule(each.facts()), data or None) for each in rows]
    await write(session, steps, actor=actor, now=now)
