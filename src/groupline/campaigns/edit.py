"""Changing a campaign that has not begun: a draft, or one that is scheduled.

What is scheduled has messages already; they are rewritten in the same transaction and keep their
ids, and none of them may have been claimed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import queries, rules
from groupline.campaigns.content import Texts, check_content, is_empty
from groupline.campaigns.schemas import Change, Written
from groupline.campaigns.writing import (
    check_delay,
    check_late,
    check_time,
    choose,
    clean_name,
    expiry,
    invalid,
    known_number,
    note,
    set_media,
    usable_groups,
    write_messages,
)
from groupline.db import announce
from groupline.errors import Conflict
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES
from groupline.messages.media import Media
from groupline.messages.schemas import SendableGroup
from groupline.models import NotificationCampaign


async def change(
    session: AsyncSession,
    organization_id: UUID,
    campaign_id: UUID,
    wanted: Change,
    *,
    actor: Actor,
    now: datetime,
) -> Written:
    """All of it or nothing. A field that is not named stays as it is."""
    row = await queries.get(session, organization_id, campaign_id)
    rules.check("edit", row.status)
    await _set_fields(session, row, wanted, now)
    if row.status == "draft":
        written = await _change_draft(session, row, wanted, now)
    else:
        written = await _change_scheduled(session, row, wanted, actor=actor, now=now)
    row.updated_at = now
    changed = sorted(wanted.fields)
    named = [*changed, "groups"] if wanted.group_ids is not None else changed
    await note(session, row, "campaign.changed", actor, now, fields=named, groups=written.groups)
    return written


async def _set_fields(
    session: AsyncSession, row: NotificationCampaign, wanted: Change, now: datetime
) -> None:
    for name, value in wanted.fields.items():
        match name:
            case "name":
                row.name = clean_name(str(value))
            case "number_id":
                assert isinstance(value, UUID)
                row.number_id = await known_number(session, row.organization_id, value)
            case "content":
                row.content = check_content(str(value))
            case "media":
                assert value is None or isinstance(value, Media)
                set_media(row, value)
            case "delay_seconds":
                assert isinstance(value, (int, float))
                row.delay_seconds = check_delay(value)
            case "late_minutes":
                assert isinstance(value, int)
                row.late_minutes = check_late(value)
            case "scheduled_for":
                assert value is None or isinstance(value, datetime)
                if value is None and row.status == "scheduled":
                    raise invalid("scheduledFor", "It is scheduled: choose a time, or start it.")
                row.scheduled_for = check_time(value, now)


async def _change_draft(
    session: AsyncSession, row: NotificationCampaign, wanted: Change, now: datetime
) -> Written:
    ids = wanted.group_ids
    if ids is None:
        ids = await queries.chosen_groups(session, row.organization_id, row.id)
        if wanted.on_refused != "keep" and "number_id" not in wanted.fields:
            return Written(row.id, len(ids))
    groups, skipped = await usable_groups(session, row, ids, wanted.on_refused)
    await choose(session, row, [each.id for each in groups], now)
    return Written(row.id, len(groups), tuple(skipped))


# --- what is scheduled ----------------------------------------------------------------------


async def _change_scheduled(
    session: AsyncSession,
    row: NotificationCampaign,
    wanted: Change,
    *,
    actor: Actor,
    now: datetime,
) -> Written:
    if row.scheduled_for is None or row.scheduled_for <= now:
        raise invalid("scheduledFor", "It is scheduled: choose a later time, or start it.")
    if row.media_url is None and is_empty(row.content):
        raise invalid("content", "The message is empty.")
    present = await _planned(session, row)
    ids = wanted.group_ids if wanted.group_ids is not None else list(present)
    on_refused = "refuse" if wanted.on_refused == "keep" else wanted.on_refused
    groups, skipped = await usable_groups(session, row, ids, on_refused)
    if not groups:
        raise invalid("groupIds", "Choose at least one group that can be written to.")
    await _drop(session, [present[each] for each in present.keys() - {g.id for g in groups}])
    await _rewrite(session, row, groups, present, now)
    added = [each for each in groups if each.id not in present]
    await write_messages(session, row, added, actor=actor, now=now)
    await announce(session, "messages", organization_id=row.organization_id, subject_id=None)
    return Written(row.id, len(groups), tuple(skipped))


async def _planned(session: AsyncSession, row: NotificationCampaign) -> dict[UUID, UUID]:
    """The messages by group, locked. None of them may have left or been tried."""
    statement = (
        select(MESSAGES.c.group_id, MESSAGES.c.id, MESSAGES.c.status, MESSAGES.c.request_started_at)
        .where(
            MESSAGES.c.organization_id == row.organization_id,
            MESSAGES.c.campaign_id == row.id,
            MESSAGES.c.status != "cancelled",
        )
        .order_by(MESSAGES.c.id)
        .with_for_update()
    )
    rows = (await session.execute(statement)).all()
    if any(each.status != "pending" or each.request_started_at is not None for each in rows):
        raise Conflict(
            "This campaign has begun and cannot be changed any more.",
            hint="Cancel it, and duplicate it with the changes.",
            state="sending",
        )
    return {each.group_id: each.id for each in rows}


async def _drop(session: AsyncSession, ids: Sequence[UUID]) -> None:
    """A message that was never tried has no history."""
    if ids:
        await session.execute(delete(MESSAGES).where(MESSAGES.c.id.in_(ids)))


_REWRITE: Final = (
    update(MESSAGES)
    .where(MESSAGES.c.id == bindparam("message"))
    .values(
        number_id=bindparam("from_number"),
        content=bindparam("text"),
        media_url=bindparam("url"),
        media_type=bindparam("kind"),
        scheduled_for=bindparam("due"),
        expires_at=bindparam("until"),
        updated_at=bindparam("at"),
    )
)


async def _rewrite(
    session: AsyncSession,
    row: NotificationCampaign,
    groups: Sequence[SendableGroup],
    present: dict[UUID, UUID],
    now: datetime,
) -> None:
    texts = Texts(row.content, await queries.organization_name(session, row.organization_id))
    same: dict[str, Any] = {
        "from_number": row.number_id,
        "url": row.media_url,
        "kind": row.media_type,
        "due": row.scheduled_for,
        "until": expiry(row, now),
        "at": now,
    }
    rewritten = [
        {**same, "message": present[each.id], "text": texts.of(each)}
        for each in groups
        if each.id in present
    ]
    if rewritten:
        await session.execute(_REWRITE, rewritten)


async def move(session: AsyncSession, row: NotificationCampaign, *, now: datetime) -> int:
    """Gives the messages of a scheduled campaign its new time; says how many."""
    present = await _planned(session, row)
    if not present:
        raise invalid("groupIds", "All of its messages were cancelled.")
    await session.execute(
        update(MESSAGES)
        .where(MESSAGES.c.id.in_(present.values()))
        .values(scheduled_for=row.scheduled_for, expires_at=expiry(row, now), updated_at=now)
    )
    await announce(session, "messages", organization_id=row.organization_id, subject_id=None)
    return len(present)
