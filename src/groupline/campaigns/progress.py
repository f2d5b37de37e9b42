"""How fast a campaign goes and when it will be done; and, before it starts, what it will take."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns import queries
from groupline.campaigns.checked import fingerprint
from groupline.campaigns.queries import LaneFacts
from groupline.campaigns.rules import RATE_WINDOW, Load, left_over, per_minute, too_late
from groupline.campaigns.schemas import CampaignView, Estimate, Outlook
from groupline.campaigns.writing import expiry, refusals
from groupline.messages import queries as messages
from groupline.messages.waiting import lanes, obstacle


async def outlook(session: AsyncSession, view: CampaignView, *, now: datetime) -> Outlook:
    remaining = view.counts.pending + view.counts.sending
    facts = await queries.lane_facts(session, view.organization_id, view.number_id)
    begin = _begin(facts, view.scheduled_for, now)
    load = await _load(session, view, facts, count=remaining, begin=begin, now=now)
    expires_at = await queries.soonest_expiry(session, view.organization_id, view.id)
    waiting = await _waiting_for(session, view, now) if remaining else None
    sent = await queries.sent_since(session, view.organization_id, view.id, now - RATE_WINDOW)
    moves = remaining > 0 and waiting is None
    return Outlook(
        rate_per_minute=per_minute(sent, since=view.started_at, now=now),
        remaining=remaining,
        eta=begin + load.duration if moves else None,
        waiting_for=waiting,
        too_late=too_late(load, begin=begin, expires_at=expires_at),
        expires_at=expires_at,
        others=load.others,
        interval_seconds=load.interval.total_seconds(),
    )


async def estimate(session: AsyncSession, view: CampaignView, *, now: datetime) -> Estimate:
    """For a draft: which groups stand in its way, and how long the others take."""
    row = await queries.get_row(session, view.organization_id, view.id)
    ids = await queries.groups_of(session, view.organization_id, view.id)
    groups = await messages.groups_for_sending(
        session, view.organization_id, view.number_id, ids=ids
    )
    refused = await refusals(session, row, groups)
    facts = await queries.lane_facts(session, view.organization_id, view.number_id)
    begin = _begin(facts, view.scheduled_for, now)
    count = len(groups) - len(refused)
    load = await _load(session, view, facts, count=count, begin=begin, now=now)
    known = await lanes(session, {view.number_id}, now)
    return Estimate(
        groups=load.messages,
        begins_at=begin,
        seconds=load.duration.total_seconds(),
        done_at=begin + load.duration,
        interval_seconds=load.interval.total_seconds(),
        others=load.others,
        too_late=too_late(load, begin=begin, expires_at=expiry(row, now)),
        is_connected=known[view.number_id].is_connected,
        obstacle=obstacle(known[view.number_id], now),
        refused=tuple(refused),
        fingerprint=fingerprint(row, ids, refused),
    )


def _begin(facts: LaneFacts, scheduled_for: datetime | None, now: datetime) -> datetime:
    waits = (scheduled_for, facts.free_at, facts.restricted_until)
    return max([now, *(each for each in waits if each is not None)])


async def _load(
    session: AsyncSession,
    view: CampaignView,
    facts: LaneFacts,
    *,
    count: int,
    begin: datetime,
    now: datetime,
) -> Load:
    """What is due before the campaign begins is counted as far as it is not sent by then."""
    alone = Load(count, facts.pace_seconds, view.delay_seconds)
    before, meanwhile = await queries.others_of(
        session, view.number_id, campaign_id=view.id, begin=begin, end=begin + alone.duration
    )
    left = left_over(before, pace_seconds=facts.pace_seconds, until=begin - now)
    return Load(count, facts.pace_seconds, view.delay_seconds, left + meanwhile)


async def _waiting_for(session: AsyncSession, view: CampaignView, now: datetime) -> str | None:
    if view.status == "paused":
        return "The campaign is paused."
    if view.status == "cancelled":
        return "The campaign is cancelled."
    lane = (await lanes(session, {view.number_id}, now))[view.number_id]
    return obstacle(lane, now)
