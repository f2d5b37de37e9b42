"""Taking due messages for sending: one statement, committed before any HTTP.

A message that is claimed here is about to be sent: ``request_started_at`` is the intent, and it is
committed together with the claim, because nothing stands between the two. What was claimed and
then could not be started is given back (``Withheld``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from groupline.db import Announcement, Answer, Database, Statement
from groupline.groups.rules import GroupFacts, MembershipFacts
from groupline.ids import new_id
from groupline.messages.refusals import Refusal, refusal_of
from groupline.messages.rules import PRIORITIES, Policy
from groupline.messages.variables import plain

PACE_JITTER: Final = 0.1
_POLICY: Final = Policy()

_CLAIMING: Final = 0x67_6C_6D_73_67
# Claims of several workers run side by side, unless one has to see what the others have taken: to
# count what is in flight where a gateway has more numbers than it may have there.
_TURN: Final = f"""
SELECT CASE WHEN EXISTS (
    SELECT 1 FROM gateways g WHERE g.max_in_flight < (
        SELECT count(DISTINCT s.number_id) FROM whatsapp_sessions s WHERE s.gateway_id = g.id)
) THEN pg_advisory_xact_lock({_CLAIMING}) ELSE pg_advisory_xact_lock_shared({_CLAIMING}) END
"""  # noqa: S608 - a number of ours

# What is handed to a gateway that does not answer is uncertain afterwards, so nothing is until it
# has answered a look. One that refuses us, or lacks a route, says for certain what it did not do.
_ANSWERS: Final = """(g.unreachable_since IS NULL
           OR g.last_error_code IN ('auth', 'route_missing', 'refused'))"""

_OPEN: Final = """(m.next_attempt_at IS NULL OR m.next_attempt_at <= :now)
      AND (m.expires_at IS NULL OR m.expires_at > :now)"""

# Of rows that were just written PostgreSQL knows nothing, and takes them for few: an index of all
# that is due, or pending, then looks as good as the one that leads to a single row. So what is due
# is asked in a way in which none of these is of use, nor anything guessed: of a row at hand inside
# a CASE, and of a lane as the end of a row. SQLite chooses without such guesses.
_STILL_DUE: Final = f"""CASE WHEN m.status = 'pending' AND m.scheduled_for <= :now
      AND {_OPEN} THEN TRUE ELSE FALSE END"""
_BY_NOW: Final = {
    "sqlite": "m.scheduled_for <= :now",
    "postgresql": "(m.number_id, m.priority, m.scheduled_for)"
    " <= (lane.number_id, {priority}, :now)",
}

# An attempt that may still arrive is only repeated where its reference is known.
_READY: Final = """{open}
      AND (m.gateway_id IS NULL OR m.gateway_id = lane.gateway_id
           OR m.request_started_at <= :over)
      AND (m.campaign_id IS NULL OR NOT EXISTS (
          SELECT 1 FROM notification_campaigns c
          WHERE c.id = m.campaign_id
            AND (c.status IN ('draft', 'paused', 'cancelled') OR c.next_send_at > :now)))"""

# Until the claim is committed, no campaign of its messages is paused or cancelled; one that is
# being paused at this moment is left alone. So nothing is claimed once a pause is committed.
# Of a campaign with a delay one claim at a time takes one message, from whatever number.
_RUNNING: Final = """
    SELECT c.id FROM notification_campaigns c
    WHERE c.id IN (SELECT campaign_id FROM ranked)
      AND c.status NOT IN ('draft', 'paused', 'cancelled') AND {spaced} {locking}"""
_AT_ONCE: Final = "c.delay_seconds = 0"
_SPACED: Final = "c.delay_seconds > 0 AND (c.next_send_at IS NULL OR c.next_send_at <= :now)"

# Asked per priority, so that each question is one look into the index of the lane: a queue of
# later messages in front of a due one is never walked through.
_FIRST: Final = """(SELECT m.id FROM scheduled_whatsapp_messages m
      WHERE m.number_id = lane.number_id AND m.priority = {priority}
        AND m.status = 'pending' AND {by_now} AND {ready}
      ORDER BY m.scheduled_for, m.id LIMIT 1)"""

# Looked up one by one. PostgreSQL would rather read the whole table, as long as it is a small one;
# what has an OFFSET it takes for itself.
_FOUND: Final = {
    "sqlite": "JOIN scheduled_whatsapp_messages m ON m.id = head.message_id",
    "postgresql": """CROSS JOIN LATERAL (
        SELECT id, priority, scheduled_for, campaign_id FROM scheduled_whatsapp_messages
        WHERE id = head.message_id OFFSET 0) AS m""",
}

# PostgreSQL expects a single busy lane, and would compare each number with each of them. By NOT IN
# they are looked up in a table in memory.
#
# A message may change between the snapshot and its lock: what can change is asked of the locked row
# once more, where PostgreSQL looks at it as it is by then.
_CLAIM: Final = """
WITH lane AS MATERIALIZED (
    SELECT n.id AS number_id, s.id AS session_id, s.gateway_id, s.gateway_session_id,
           g.max_in_flight, {keeps_refs} AS carries_ref
    FROM whatsapp_sessions s
    JOIN whatsapp_numbers n ON n.organization_id = s.organization_id AND n.id = s.number_id
    JOIN gateways g ON g.id = s.gateway_id
    WHERE s.status = 'connected' AND g.enabled AND {answers} AND n.paused_at IS NULL
      AND (n.restricted_until IS NULL OR n.restricted_until <= :now)
      AND (n.lane_free_at IS NULL OR n.lane_free_at <= :now
           OR (n.lane_hold_reason = 'not_connected' AND s.connected_at > n.last_send_at))
      AND n.id NOT IN (SELECT f.number_id FROM scheduled_whatsapp_messages f
                       WHERE f.status = 'sending')
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
           m.campaign_id,
           head.max_in_flight - COALESCE(flying.requests, 0) AS free,
           row_number() OVER (PARTITION BY head.gateway_id
                              ORDER BY m.priority, m.scheduled_for, m.id) AS place,
           row_number() OVER (PARTITION BY m.campaign_id
                              ORDER BY m.priority, m.scheduled_for, m.id) AS place_in_campaign
    FROM head
    {found}
    LEFT JOIN flying ON flying.gateway_id = head.gateway_id
),
at_once AS MATERIALIZED ({at_once}),
spaced AS MATERIALIZED ({spaced}),
picked AS MATERIALIZED (
    SELECT m.id AS message_id, ranked.session_id AS by_session, ranked.gateway_id AS to_gateway,
           ranked.gateway_session_id AS session_name, ranked.carries_ref
    FROM ranked JOIN scheduled_whatsapp_messages m ON m.id = ranked.message_id
    WHERE ranked.place <= ranked.free AND m.number_id = ranked.number_id AND {still_due}
      AND (m.campaign_id IS NULL OR m.campaign_id IN (SELECT id FROM at_once)
           OR (ranked.place_in_campaign = 1 AND m.campaign_id IN (SELECT id FROM spaced)))
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
"""


_KEEPS_REFS: Final = {
    "sqlite": "EXISTS (SELECT 1 FROM json_each(g.capabilities) WHERE value = 'client_ref')",
    "postgresql": """g.capabilities @> '["client_ref"]'""",
}


def claim_sql(dialect: str) -> str:
    """The claim itself: its plan is tested on both databases."""
    by_now, ready = _BY_NOW[dialect], _READY.format(open=_OPEN)
    first = ",\n    ".join(
        _FIRST.format(priority=each, by_now=by_now.format(priority=each), ready=ready)
        for each in PRIORITIES
    )
    is_sqlite = dialect == "sqlite"
    return _CLAIM.format(
        answers=_ANSWERS,
        first=first,
        found=_FOUND[dialect],
        still_due=_STILL_DUE,
        keeps_refs=_KEEPS_REFS[dialect],
        at_once=_RUNNING.format(
            spaced=_AT_ONCE, locking="" if is_sqlite else "FOR SHARE SKIP LOCKED"
        ),
        spaced=_RUNNING.format(
            spaced=_SPACED, locking="" if is_sqlite else "FOR NO KEY UPDATE SKIP LOCKED"
        ),
        locking="" if is_sqlite else "FOR UPDATE OF m SKIP LOCKED",
    )


# What this claim has taken is found by its token, among the few messages that are in flight.
_TAKEN: Final = "m.status = 'sending' AND m.claim_token = :token"
_AFTER: Final = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', :now, ({seconds} * :stretch) || ' seconds') || '000'",
    "postgresql": "CAST(:now AS timestamptz) + make_interval(secs => {seconds} * :stretch)",
}

# The next message of each number waits for its pace, counted from this one. Where another worker
# has claimed, sent and stored since this claim looked, the number says so, and ``_LOAD`` tells it.
_PACE: Final = """
UPDATE whatsapp_numbers
SET lane_free_at = {after}, lane_hold_reason = NULL, last_send_at = :now
WHERE pace_seconds > 0
  AND (lane_free_at IS NULL OR lane_free_at <= :now OR lane_hold_reason = 'not_connected')
  AND id IN (SELECT m.number_id FROM scheduled_whatsapp_messages m WHERE {taken})
"""
_TOO_SOON: Final = "n.pace_seconds > 0 AND n.lane_free_at > :now AND n.last_send_at <> :now"

# A campaign with a delay holds back itself, and not the number. Its row was locked above.
_DELAY: Final = """
UPDATE notification_campaigns SET next_send_at = {after}
WHERE delay_seconds > 0
  AND id IN (SELECT m.campaign_id FROM scheduled_whatsapp_messages m WHERE {taken})
"""

# One row, whatever the count: each row of an answer is one more turn for the thread of SQLite.
_LOAD: Final = """
SELECT {array}(
    m.id, m.organization_id, m.number_id, m.gateway_id, m.gateway_session_id, g.group_jid,
    m.content, m.media_url, m.media_type, m.client_ref, m.carried_ref, m.attempts,
    m.expires_at, {too_soon},
    g.is_community, g.is_community_announce, g.announce_only, w.is_active, w.is_admin)
FROM scheduled_whatsapp_messages m
JOIN whatsapp_groups g ON g.id = m.group_id
JOIN whatsapp_numbers n ON n.id = m.number_id
LEFT JOIN whatsapp_memberships w ON w.number_id = m.number_id AND w.group_id = m.group_id
WHERE {taken}
ORDER BY m.priority, m.scheduled_for, m.id
"""
_ALL: Final = {
    "sqlite": "SELECT json_group_array(json(loaded)) FROM ({load})",
    "postgresql": "SELECT json_agg(loaded) FROM ({load}) AS listed",
}


def _statements(dialect: str) -> tuple[str, ...]:
    """Everything that a claim is, in the order in which it is carried out."""
    is_sqlite = dialect == "sqlite"
    after = _AFTER[dialect]
    array = "json_array" if is_sqlite else "json_build_array"
    load = _LOAD.format(array=array, too_soon=_TOO_SOON, taken=_TAKEN)
    load = load.replace("w.is_admin)", "w.is_admin) AS loaded")
    return (
        *(() if is_sqlite else (_TURN,)),
        claim_sql(dialect),
        _PACE.format(after=after.format(seconds="pace_seconds"), taken=_TAKEN),
        _DELAY.format(after=after.format(seconds="delay_seconds"), taken=_TAKEN),
        _ALL[dialect].format(load=load),
    )


STATEMENTS: Final = {each: _statements(each) for each in ("sqlite", "postgresql")}


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
    expires_at: datetime | None
    """From then on it must not leave."""
    too_soon: bool
    """Another worker has sent from its number since this claim looked."""
    refusal: Refusal | None
    """Found at the last moment: it must not be sent."""


async def claim(
    database: Database,
    *,
    worker: str,
    now: datetime,
    lease: timedelta,
    limit: int,
    roll: float,
    token: UUID | None = None,
    policy: Policy = _POLICY,
    first: Sequence[Statement] = (),
    announcements: Sequence[Announcement] = (),
) -> list[Claim]:
    """Marks up to ``limit`` due messages as ``sending``: first things first, one per number.

    ``first`` is carried out before it, in the same transaction. By a ``token`` of one's own it can
    be found out later what it has ``claimed``.
    """
    token = token or new_id()
    values = values_of(
        worker=worker, now=now, lease=lease, limit=limit, roll=roll, token=token, policy=policy
    )
    statements = [*first, *claiming(database.dialect, values)]
    answers = await database.carry_out(statements, announcements)
    return [_claim(row, token, now, now + lease) for row in _loaded(answers[-1])]


async def claimed(
    database: Database, token: UUID, *, at: datetime, lease: timedelta
) -> list[Claim]:
    """What a claim took whose answer got lost: its commit may have arrived all the same."""
    load = Statement(STATEMENTS[database.dialect][-1], {"token": token, "now": at})
    (answer,) = await database.carry_out([load], ())
    return [_claim(row, token, at, at + lease) for row in _loaded(answer)]


def values_of(
    *,
    worker: str,
    now: datetime,
    lease: timedelta,
    limit: int,
    roll: float,
    token: UUID,
    policy: Policy,
) -> dict[str, Any]:
    return {
        "now": now,
        "over": now - policy.unsent_after,
        "until": now + lease,
        "token": token,
        "worker": worker,
        "limit": limit,
        "stretch": 1.0 + PACE_JITTER * roll,
    }


def claiming(dialect: str, values: Mapping[str, Any]) -> list[Statement]:
    """The statements of a claim: their plans are tested on both databases."""
    return [Statement(each, values) for each in STATEMENTS[dialect]]


_known_id: Final = lru_cache(maxsize=4_096)(UUID)
"""Of organizations, numbers and gateways, which are few: the same ones are read all the time."""


def _loaded(answer: Answer) -> Sequence[Sequence[Any]]:
    loaded = answer.rows[0][0]
    rows: Sequence[Sequence[Any]] = json.loads(loaded) if isinstance(loaded, str) else loaded or []
    return rows


def _moment(text: str) -> datetime:
    """As it stands in JSON: on PostgreSQL with its zone, on SQLite in UTC without saying so."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _claim(row: Sequence[Any], token: UUID, now: datetime, until: datetime) -> Claim:
    (message, organization, number, gateway, session_name, jid, content, media_url, media_type,
     client_ref, carried_ref, attempts, expires_at, too_soon, *standing) = row  # fmt: skip
    is_community, is_community_announce, announce_only, is_member, is_admin = map(bool, standing)
    refusal = refusal_of(
        content,
        GroupFacts(is_community, is_community_announce, announce_only),
        MembershipFacts(is_member, is_admin),
        has_media=media_url is not None,
    )
    return Claim(
        id=UUID(message),
        organization_id=_known_id(organization),
        number_id=_known_id(number),
        gateway_id=_known_id(gateway),
        token=token,
        started_at=now,
        until=until,
        gateway_session_id=session_name,
        group_jid=jid,
        content=plain(content),
        media_url=media_url,
        media_type=media_type,
        client_ref=client_ref,
        carries_ref=bool(carried_ref),
        attempts=attempts,
        expires_at=None if expires_at is None else _moment(expires_at),
        too_soon=bool(too_soon),
        refusal=refusal,
    )
