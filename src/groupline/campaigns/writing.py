"""What writing a campaign is made of: checked fields, usable groups, messages, the journal."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.campaigns import queries
from groupline.campaigns.content import Texts
from groupline.campaigns.queries import CHOSEN
from groupline.campaigns.schemas import (
    MAX_DELAY_SECONDS,
    MAX_GROUPS,
    MAX_LATE_MINUTES,
    OnRefused,
)
from groupline.db import announce
from groupline.errors import InvalidInput, NotFound
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.messages import queries as messages
from groupline.messages.drafts import write_drafts
from groupline.messages.media import Media
from groupline.messages.rules import PRIORITY_CAMPAIGN
from groupline.messages.schemas import Draft, GroupsRefused, RefusedGroup, SendableGroup
from groupline.models import NotificationCampaign
from groupline.text import clean_line

NAME_MAX: Final = 120
_PAST_ALLOWED: Final = timedelta(minutes=1)
_FARTHEST: Final = timedelta(days=2 * 366)


async def write_messages(
    session: AsyncSession,
    row: NotificationCampaign,
    groups: Sequence[SendableGroup],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    organization = await queries.organization_name(session, row.organization_id)
    texts = Texts(row.content, organization)
    scheduled_for = row.scheduled_for or now
    expires_at = expiry(row, now)
    drafts = [
        Draft(
            number_id=row.number_id,
            group_id=group.id,
            content=texts.of(group),
            media_url=row.media_url,
            media_type=row.media_type,
            scheduled_for=scheduled_for,
            expires_at=expires_at,
            priority=PRIORITY_CAMPAIGN,
            campaign_id=row.id,
        )
        for group in groups
    ]
    # The groups and the text have been looked at, with a name for each that is refused.
    written = await write_drafts(session, row.organization_id, drafts, actor=actor, now=now)
    assert len(written) == len(drafts), "the row of the campaign is locked: nobody else writes them"


def expiry(row: NotificationCampaign, now: datetime) -> datetime:
    return max(row.scheduled_for or now, now) + timedelta(minutes=row.late_minutes)


async def choose(
    session: AsyncSession, row: NotificationCampaign, group_ids: Sequence[UUID], now: datetime
) -> None:
    """The groups of a draft, instead of those it had."""
    await session.execute(delete(CHOSEN).where(CHOSEN.c.campaign_id == row.id))
    facts: dict[str, Any] = {
        "organization_id": row.organization_id,
        "campaign_id": row.id,
        "created_at": now,
    }
    if group_ids:
        chosen = [{**facts, "id": new_id(), "group_id": each} for each in group_ids]
        await session.execute(insert(CHOSEN), chosen)


# --- checks ---------------------------------------------------------------------------------


async def usable_groups(
    session: AsyncSession,
    row: NotificationCampaign,
    group_ids: Sequence[UUID],
    on_refused: OnRefused,
) -> tuple[list[SendableGroup], list[RefusedGroup]]:
    """Those that can get the campaign, and those that cannot. Raises what must not be ignored."""
    ids = list(dict.fromkeys(group_ids))
    if len(ids) > MAX_GROUPS:
        raise invalid("groupIds", f"At most {MAX_GROUPS:,} groups in one campaign.")
    known = await messages.groups_for_sending(session, row.organization_id, row.number_id, ids=ids)
    if len(known) < len(ids):
        raise NotFound("There is no such group.")
    refused = await refusals(session, row, known)
    if refused and on_refused == "refuse":
        raise GroupsRefused(refused)
    if on_refused == "keep":
        return known, []
    left_out = {each.group_id for each in refused}
    return [each for each in known if each.id not in left_out], refused


async def refusals(
    session: AsyncSession, row: NotificationCampaign, groups: Sequence[SendableGroup]
) -> list[RefusedGroup]:
    organization = await queries.organization_name(session, row.organization_id)
    texts = Texts(row.content, organization)
    return [refused for each in groups if (refused := texts.refusal_of(each)) is not None]


async def known_number(session: AsyncSession, organization_id: UUID, number_id: UUID) -> UUID:
    if await messages.get_sending_number(session, organization_id, number_id) is None:
        raise NotFound("There is no such number.")
    return number_id


def set_media(row: NotificationCampaign, media: Media | None) -> None:
    row.media_url = media.url if media else None
    row.media_type = media.kind if media else None


def clean_name(name: str) -> str:
    return clean_line(name, field="name", what="name", most=NAME_MAX)


def check_delay(seconds: float) -> float:
    if not 0 <= seconds <= MAX_DELAY_SECONDS:
        raise invalid("delaySeconds", f"Between 0 and {MAX_DELAY_SECONDS:,.0f} seconds.")
    return seconds


def check_late(minutes: int) -> int:
    if not 1 <= minutes <= MAX_LATE_MINUTES:
        raise invalid("lateMinutes", f"Between 1 and {MAX_LATE_MINUTES:,} minutes (two weeks).")
    return minutes


def check_time(at: datetime | None, now: datetime) -> datetime | None:
    """Compared before it is converted: near the year 9999 there is no UTC for some offsets."""
    if at is None:
        return None
    if at < now - _PAST_ALLOWED:
        raise invalid("scheduledFor", "This time is over. Choose a later one, or none.")
    if at - now > _FARTHEST:
        raise invalid("scheduledFor", "This time is more than 2 years ahead.")
    return at


def invalid(field: str, why: str) -> InvalidInput:
    return InvalidInput(why, fields={field: why})


# --- telling --------------------------------------------------------------------------------


async def note(
    session: AsyncSession,
    row: NotificationCampaign,
    action: str,
    actor: Actor,
    now: datetime,
    **data: Any,
) -> None:
    """Journals what happened to a campaign, and tells open pages and loops. Never its text."""
    await journal.record(
        session,
        action=action,
        actor=actor,
        organization_id=row.organization_id,
        subject="campaign",
        subject_id=row.id,
        data={"name": row.name, **data},
        at=now,
    )
    await announce(session, "campaigns", organization_id=row.organization_id, subject_id=row.id)
