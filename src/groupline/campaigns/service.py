"""The use cases of campaigns: write, start, duplicate, delete."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import queries, rules
from groupline.campaigns.checked import changed_meanwhile, check_same, fingerprint
from groupline.campaigns.content import check_content, is_empty
from groupline.campaigns.edit import move
from groupline.campaigns.queries import CHOSEN
from groupline.campaigns.schemas import NewCampaign, OnRefused, Written
from groupline.campaigns.writing import (
    NAME_MAX,
    check_delay,
    check_late,
    check_time,
    choose,
    clean_name,
    invalid,
    known_number,
    note,
    set_media,
    usable_groups,
    write_messages,
)
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.messages.schemas import RefusedGroup, SendableGroup
from groupline.models import NotificationCampaign


async def create(
    session: AsyncSession,
    organization_id: UUID,
    wanted: NewCampaign,
    *,
    actor: Actor,
    now: datetime,
) -> Written:
    """A draft, or with ``start`` the campaign and all of its messages, in one transaction."""
    row = NotificationCampaign(
        id=new_id(),
        organization_id=organization_id,
        number_id=await known_number(session, organization_id, wanted.number_id),
        name=clean_name(wanted.name),
        content=check_content(wanted.content),
        delay_seconds=check_delay(wanted.delay_seconds),
        late_minutes=check_late(wanted.late_minutes),
        scheduled_for=check_time(wanted.scheduled_for, now),
        status="draft",
        created_by=actor.reference,
        created_at=now,
        updated_at=now,
    )
    set_media(row, wanted.media)
    session.add(row)
    await session.flush()
    groups, skipped = await usable_groups(session, row, wanted.group_ids, wanted.on_refused)
    await note(session, row, "campaign.created", actor, now, groups=len(groups))
    if wanted.start:
        await _send(session, row, groups, skipped, actor=actor, now=now)
    else:
        await choose(session, row, [each.id for each in groups], now)
    return Written(row.id, len(groups), tuple(skipped))


async def start(
    session: AsyncSession,
    organization_id: UUID,
    campaign_id: UUID,
    *,
    on_refused: OnRefused = "refuse",
    checked: str | None = None,
    actor: Actor,
    now: datetime,
) -> Written:
    """Writes the messages of a draft. What is scheduled already is sent now.

    ``checked`` is the fingerprint of what a person has looked at: another draft is not started.
    """
    row = await queries.get(session, organization_id, campaign_id)
    rules.check("start", row.status)
    if row.status == "scheduled":
        if checked is not None:  # who looked at a draft did not ask for what has its time to go now
            raise changed_meanwhile()
        return await _send_now(session, row, actor=actor, now=now)
    check_time(row.scheduled_for, now)
    ids = await queries.chosen_groups(session, organization_id, campaign_id)
    if checked is not None:
        _, refused = await usable_groups(session, row, ids, "skip")
        check_same(checked, fingerprint(row, ids, refused))
    if on_refused == "keep":
        on_refused = "refuse"
    groups, skipped = await usable_groups(session, row, ids, on_refused)
    await _send(session, row, groups, skipped, actor=actor, now=now)
    return Written(row.id, len(groups), tuple(skipped))


async def _send(
    session: AsyncSession,
    row: NotificationCampaign,
    groups: Sequence[SendableGroup],
    skipped: Sequence[RefusedGroup],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    if not groups:
        raise invalid("groupIds", "Choose at least one group that can be written to.")
    if row.media_url is None and is_empty(row.content):
        raise invalid("content", "The message is empty.")
    await write_messages(session, row, groups, actor=actor, now=now)
    await session.execute(delete(CHOSEN).where(CHOSEN.c.campaign_id == row.id))
    is_later = row.scheduled_for is not None and row.scheduled_for > now
    row.status = "scheduled" if is_later else "sending"
    row.started_at = None if is_later else now
    row.updated_at = now
    action = "campaign.scheduled" if is_later else "campaign.started"
    at = row.scheduled_for or now
    facts = {"messages": len(groups), "skipped": len(skipped), "scheduledFor": at.isoformat()}
    await note(session, row, action, actor, now, **facts)


async def _send_now(
    session: AsyncSession, row: NotificationCampaign, *, actor: Actor, now: datetime
) -> Written:
    row.scheduled_for = now
    count = await move(session, row, now=now)
    row.status, row.started_at, row.updated_at = "sending", now, now
    await note(session, row, "campaign.started", actor, now, messages=count)
    return Written(row.id, count)


async def duplicate(
    session: AsyncSession,
    organization_id: UUID,
    campaign_id: UUID,
    *,
    actor: Actor,
    now: datetime,
) -> UUID:
    """A draft with the same content, groups and pace; the time was for the first one only."""
    original = await queries.get(session, organization_id, campaign_id)
    copy = NotificationCampaign(
        id=new_id(),
        organization_id=organization_id,
        number_id=original.number_id,
        name=f"{original.name[: NAME_MAX - 7]} (copy)",
        content=original.content,
        media_url=original.media_url,
        media_type=original.media_type,
        delay_seconds=original.delay_seconds,
        late_minutes=original.late_minutes,
        status="draft",
        created_by=actor.reference,
        created_at=now,
        updated_at=now,
    )
    session.add(copy)
    await session.flush()
    await choose(session, copy, await queries.groups_of(session, organization_id, campaign_id), now)
    await note(session, copy, "campaign.created", actor, now, copyOf=str(campaign_id))
    return copy.id


async def delete_draft(
    session: AsyncSession,
    organization_id: UUID,
    campaign_id: UUID,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Only a draft can go: it has never sent anything."""
    row = await queries.get(session, organization_id, campaign_id)
    rules.check("delete", row.status)
    await note(session, row, "campaign.deleted", actor, now)
    await session.execute(delete(CHOSEN).where(CHOSEN.c.campaign_id == row.id))
    await session.delete(row)
