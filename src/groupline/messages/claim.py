"""Taking due messages for sending: one statement, committed before any HTTP.

A message that is claimed here is about to be sent: ``request_started_at`` is the intent, and it is
committed together with the claim, because nothing stands between the two. What was claimed and
then could not be started is given back (``Withheld``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import (
    Row,
    Table,
    TextClause,
    Uuid,
    bindparam,
    func,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import UtcDateTime
from groupline.groups.rules import GroupFacts, MembershipFacts
from groupline.ids import new_id
from groupline.messages.refusals import Refusal, refusal_of
from groupline.messages.rules import PRIORITIES, Policy
from groupline.messages.variables import plain
from groupline.models import (
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
)

PACE_JITTER: Final = 0.1
_POLICY: Final = Policy()
AnyRow: TypeAlias = Row[*tuple[Any, ...]]

_CLAIMING: Final = 0x67_6C_6D_73_67  # one claim at a time, across all workers

_DUE: Final = """m.status = 'pending' AND m.scheduled_for <= :now
      AND (m.next_attempt_at IS NULL OR m.next_attempt_at <= :now)
      AND (m.expires_at IS NULL OR m.expires_at > :now)"""

# An attempt that may still arrive is only repeated where its reference is known.
_READY: Final = """{due}
      AND (m.gateway_id IS NULL OR m.gateway_id = lane.gateway_id
           OR m.request_started_at <= :over)
      AND (m.campaign_id IS NULL OR NOT EXISTS (
          SELECT 1 FROM notification_campaigns c
          WHERE c.id = m.campaign_id
            AND (c.status IN ('draft', 'paused', 'cancelled') OR c.next_send_at > :now)))"""

# Asked per priority, so that each question is one look into the index of the lane: a queue of
# later messages in front of a due one is never walked through.
_FIRST: Final = """(SELECT m.id FROM scheduled_whatsapp_messages m
      WHERE m.number_id = lane.number_id AND m.priority = {priority} AND {ready}
      ORDER BY m.scheduled_for, m.id LIMIT 1)"""

# A message may change between the snapshot and its lock: what can change is asked of the locked row
# once more, where PostgreSQL looks at it as it is by then.
_CLAIM: Final = """
WITH lane AS MATERIALIZED (
    SELECT n.id AS number_id, s.id AS session_id, s.gateway_id, s.gateway_session_id,
           g.max_in_flight, {keeps_refs} AS carries_ref
    FROM whatsapp_sessions s
    JOIN whatsapp_numbers n ON n.organization_id = s.organization_id AND n.id = s.number_id
    JOIN gateways g ON g.id = s.gateway_id
    WHERE s.status = 'connected' AND g.enabled AND n.paused_at IS NULL
      AND (n.restricted_until IS NULL OR n.restricted_until <= :now)
      AND (n.lane_free_at IS NULL OR n.lane_free_at <= :now
           OR (n.lane_hold_reason = 'not_connected' AND s.connected_at > n.last_send_at))
      AND NOT EXISTS (SELECT 1 FROM scheduled_whatsapp_messages f
                      WHERE f.number_id = n.id AND f.status = 'sending')
),
head AS MATERIALIZED (SELECT lane.*, COALESCE({first}) AS message_id FROM lane),
flying AS (
    SELECT s.gateway_id, count(*) AS requests
    FROM scheduled_whatsapp_messages f JOIN whatsapp_sessions s ON s.id = f.session_id
    WHERE f.status = 'sending' GROUP BY s.gateway_id
),
ranked AS (
    SELECT head.message_id, head.number_id, head.session_id, head.gateway_id,
           head.gateway_session_id, head.carries_ref, m.priority, m.scheduled_for,
           head.max_in_flight - COALESCE(flying.requests, 0) AS free,
           row_number() OVER (PARTITION BY head.gateway_id
                              ORDER BY m.priority, m.scheduled_for, m.id) AS place
    FROM head
    JOIN scheduled_whatsapp_messages m ON m.id = head.message_id
    LEFT JOIN flying ON flying.gateway_id = head.gateway_id
),
picked AS MATERIALIZED (
    SELECT m.id AS message_id, ranked.session_id AS by_session, ranked.gateway_id AS to_gateway,
           ranked.gateway_session_id AS session_name, ranked.carries_ref
    FROM ranked JOIN scheduled_whatsapp_messages m ON m.id = ranked.message_id
    WHERE ranked.place <= ranked.free AND m.number_id = ranked.number_id AND {due}
    ORDER BY ranked.priority, ranked.scheduled_for, m.id
    LIMIT :limit {locking}
)
UPDATE scheduled_whatsapp_messages
SET status = 'sending', claimed_by = :worker, claimed_until = :until, claim_token = :token,
    session_id = picked.by_session, gateway_id = picked.to_gateway,
    gateway_session_id = picked.session_name, carried_ref = picked.carries_ref,
    request_started_at = :now, gateway_message_id = NULL,
    next_check_at = NULL,
    updated_at = :now
FROM picked WHERE scheduled_whatsapp_messages.id = picked.message_id
RETURNING id
"""


_KEEPS_REFS: Final = {
    "sqlite": "EXISTS (SELECT 1 FROM json_each(g.capabilities) WHERE value = 'client_ref')",
    "postgresql": """g.capabilities @> '["client_ref"]'""",
}


def claim_statement(dialect: str) -> TextClause:
    """The statement itself: its plan is tested on both databases."""
    ready = _READY.format(due=_DUE)
    first = ",\n    ".join(_FIRST.format(priority=each, ready=ready) for each in PRIORITIES)
    locking = "FOR UPDATE OF m SKIP LOCKED" if dialect == "postgresql" else ""
    source = _CLAIM.format(first=first, due=_DUE, keeps_refs=_KEEPS_REFS[dialect], locking=locking)
    statement = text(source)
    return statement.bindparams(
        bindparam("now", type_=UtcDateTime),
        bindparam("over", type_=UtcDateTime),
        bindparam("until", type_=UtcDateTime),
        bindparam("token", type_=Uuid),
    )


_STATEMENTS: Final = {each: claim_statement(each) for each in ("sqlite", "postgresql")}


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this worker, and nobody else, may send until its lease ends."""

    id: UUID
    organization_id: UUID
    number_id: UUID
    gateway_id: UUID
    token: UUID
    started_at: datetime
    until: datetime
    gateway_session_id: str
    group_jid: str
    content: str
    """As a reader is to see it."""
    media_url: str | None
    media_type: str | None
    client_ref: str
    carries_ref: bool
    """The gateway knows our references, and is told this one."""
    attempts: int
    refusal: Refusal | None
    """Found at the last moment: it must not be sent."""


async def claim(
    session: AsyncSession,
    *,
    worker: str,
    now: datetime,
    lease: timedelta,
    limit: int,
    roll: float,
    policy: Policy = _POLICY,
) -> list[Claim]:
    """Marks up to ``limit`` due messages as ``sending``: first things first, one per number."""
    dialect = session.get_bind().dialect.name
    if dialect == "postgresql":
        # What is in flight per gateway is counted; two that count at once would both see room.
        await session.execute(select(func.pg_advisory_xact_lock(_CLAIMING)))
    token = new_id()
    until = now + lease
    claimed = await session.execute(
        _STATEMENTS[dialect].columns(id=Uuid),
        {
            "now": now,
            "over": now - policy.unsent_after,
            "until": until,
            "token": token,
            "worker": worker,
            "limit": limit,
        },
    )
    ids = claimed.scalars().all()
    if not ids:
        return []
    rows = await _load(session, ids)
    await _start_pace(session, rows, now, roll)
    await _start_delays(session, rows, now, roll)
    return [_claim(row, token, now, until) for row in rows]


# Plain tables, not entities: this is read for every message that leaves.
_message: Final[Table] = ScheduledWhatsappMessage.__table__  # type: ignore[assignment]
_group: Final[Table] = WhatsappGroup.__table__  # type: ignore[assignment]
_member: Final[Table] = WhatsappMembership.__table__  # type: ignore[assignment]
_number: Final[Table] = WhatsappNumber.__table__  # type: ignore[assignment]
_campaign: Final[Table] = NotificationCampaign.__table__  # type: ignore[assignment]

_CLAIMED: Final = (
    select(
        _message.c.id,
        _message.c.organization_id,
        _message.c.number_id,
        _message.c.gateway_id,
        _message.c.gateway_session_id,
        _group.c.group_jid,
        _message.c.content,
        _message.c.media_url,
        _message.c.media_type,
        _message.c.client_ref,
        _message.c.carried_ref,
        _message.c.attempts,
        _group.c.is_community,
        _group.c.is_community_announce,
        _group.c.announce_only,
        _member.c.is_active,
        _member.c.is_admin,
        _number.c.pace_seconds,
        _message.c.campaign_id,
        _campaign.c.delay_seconds,
    )
    .join_from(_message, _group, _group.c.id == _message.c.group_id)
    .join(_number, _number.c.id == _message.c.number_id)
    .outerjoin(_campaign, _campaign.c.id == _message.c.campaign_id)
    .outerjoin(
        _member,
        (_member.c.number_id == _message.c.number_id) & (_member.c.group_id == _message.c.group_id),
    )
    .where(_message.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_message.c.priority, _message.c.scheduled_for, _message.c.id)
)


async def _load(session: AsyncSession, ids: Sequence[UUID]) -> Sequence[AnyRow]:
    return (await session.execute(_CLAIMED, {"ids": ids})).all()


_PACE: Final = (
    update(_number)
    .where(_number.c.id == bindparam("number"))
    .values(lane_free_at=bindparam("free_at"), lane_hold_reason=None, last_send_at=bindparam("at"))
)


async def _start_pace(
    session: AsyncSession, rows: Sequence[AnyRow], now: datetime, roll: float
) -> None:
    """The next message of each number waits for its pace, counted from this one."""
    stretch = 1.0 + PACE_JITTER * roll
    paced = [
        {
            "number": row.number_id,
            "free_at": now + timedelta(seconds=row.pace_seconds * stretch),
            "at": now,
        }
        for row in rows
        if row.pace_seconds > 0
    ]
    if paced:
        await session.execute(_PACE, paced)


# Whoever pauses or cancels the campaign at this moment holds its row and waits for its messages:
# rather than wait for each other, the claim leaves the delay out this once.
_DELAY: Final = (
    update(_campaign)
    .where(
        _campaign.c.id.in_(
            select(_campaign.c.id)
            .where(_campaign.c.id == bindparam("campaign"))
            .with_for_update(key_share=True, skip_locked=True)
        )
    )
    .values(next_send_at=bindparam("at"))
)


async def _start_delays(
    session: AsyncSession, rows: Sequence[AnyRow], now: datetime, roll: float
) -> None:
    """A campaign with a longer delay than its number holds back itself, and not the number."""
    stretch = 1.0 + PACE_JITTER * roll
    delayed = [
        {"campaign": row.campaign_id, "at": now + timedelta(seconds=row.delay_seconds * stretch)}
        for row in rows
        if row.campaign_id is not None and row.delay_seconds > row.pace_seconds
    ]
    if delayed:
        await session.execute(_DELAY, delayed)


def _claim(row: AnyRow, token: UUID, now: datetime, until: datetime) -> Claim:
    group = GroupFacts(row.is_community, row.is_community_announce, row.announce_only)
    membership = MembershipFacts(bool(row.is_active), bool(row.is_admin))
    return Claim(
        id=row.id,
        organization_id=row.organization_id,
        number_id=row.number_id,
        gateway_id=row.gateway_id,
        token=token,
        started_at=now,
        until=until,
        gateway_session_id=row.gateway_session_id,
        group_jid=row.group_jid,
        content=plain(row.content),
        media_url=row.media_url,
        media_type=row.media_type,
        client_ref=row.client_ref,
        carries_ref=row.carried_ref,
        attempts=row.attempts,
        refusal=refusal_of(row.content, group, membership, has_media=row.media_url is not None),
    )
