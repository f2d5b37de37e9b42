"""What gateways report by themselves: callbacks, late rejections, receipts.

A report is matched by our reference, by the id of the message, or by being about the only message
in flight to its group. Otherwise it decides nothing: nothing is ever guessed, and the messages that
it may be about are told of it. The words that these
functions answer with are those of the stored event: an ``unmatched`` one is tried again later,
because the answer that it overtook may still be on its way.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import Select, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.ids import new_id
from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import MESSAGES, MessageRow, Step, fetch, for_change, tell, write
from groupline.messages.denied import deny
from groupline.messages.evidence import store_evidence
from groupline.messages.holds import NUMBERS, hold_lanes
from groupline.messages.repeated import kept_words
from groupline.messages.rules import IN_FLIGHT, Change, Policy
from groupline.messages.settle import overtake
from groupline.messages.unclear import CANDIDATES, Heard, tell_candidates
from groupline.models import (
    InboundOutcome,
    MessageReceipt,
    ReceiptKind,
    WhatsappGroup,
    WhatsappSession,
)

_CLOCKS_DIFFER: Final = timedelta(seconds=30)
_ACK_EVERY: Final = timedelta(minutes=1)
_POLICY: Final = Policy()


@dataclass(frozen=True, slots=True)
class Source:
    """Who reports: a session of a gateway, by the name that the gateway has for it."""

    gateway_id: UUID
    gateway_session_id: str


@dataclass(frozen=True, slots=True)
class About:
    """Which message a report is about, as far as it says."""

    client_ref: str | None = None
    message_id: str | None = None
    group_jid: str | None = None


@dataclass(frozen=True, slots=True)
class _Match:
    row: MessageRow
    exact: bool
    """By our reference or the message's id, not only by being alone in flight."""


@dataclass(frozen=True, slots=True)
class _Several:
    rows: Sequence[MessageRow]


def _rows_of(match: _Match | _Several | str) -> Sequence[MessageRow]:
    alone = (match.row,) if isinstance(match, _Match) else ()
    return match.rows if isinstance(match, _Several) else alone


async def apply_send_callback(
    session: AsyncSession,
    source: Source,
    about: About,
    *,
    event: Literal["sent", "failed"],
    error: str | None,
    at: datetime | None,
    now: datetime,
    policy: Policy = _POLICY,
) -> InboundOutcome:
    """The gateway says what became of a message that it had accepted."""
    match = await _match(session, source, about)
    error = await kept_words(session, _rows_of(match), error)
    heard = Heard(event, error, about.message_id, at)
    if not isinstance(match, _Match):
        return await _undecided(session, match, heard, now)
    if event == "failed" and not match.exact and at is None:  # of this attempt, or an earlier one
        return await _undecided(session, _Several([match.row]), heard, now)
    if _is_over(match, event, at):
        return "outdated"
    if event == "sent":
        return await _apply_sent(session, match.row, about.message_id, now)
    return await _apply_failed(session, match.row, error, now, policy)


async def apply_message_error(
    session: AsyncSession,
    source: Source,
    about: About,
    *,
    code: int | None,
    error: str | None,
    at: datetime | None = None,
    now: datetime,
    policy: Policy = _POLICY,
) -> InboundOutcome:
    """WhatsApp rejected a message after the gateway had sent it."""
    exact = About(client_ref=about.client_ref, message_id=about.message_id)
    match = await _match(session, source, exact)
    error = await kept_words(session, _rows_of(match), error)
    if not isinstance(match, _Match):
        heard = Heard("rejected", rules.rejection_words(code, error), about.message_id, at)
        return await _undecided(session, match, heard, now)
    row = match.row
    is_other = row.message_id not in (None, about.message_id or row.message_id)
    if is_other or _is_older(row, at) or _is_of_the_attempt_before(row, at):
        return "outdated"  # it is about an earlier attempt
    if row.status == "sending":
        return "unmatched"  # its own answer comes first
    change = rules.after_rejection(
        row.facts(), code, error, message_id=about.message_id, now=now, policy=policy
    )
    if change is None:
        words = rules.rejection_words(code, error)
        return await deny(session, row, about.message_id, words=words, now=now)
    step = Step(row, change, {"by": "message_error"})
    await write(session, [step], actor=SYSTEM, now=now)
    await hold_lanes(session, [step], now)
    return "applied"


async def apply_receipt(
    session: AsyncSession,
    source: Source,
    about: About,
    *,
    kind: ReceiptKind,
    reader: str,
    at: datetime,
    now: datetime,
) -> InboundOutcome:
    """Somebody got the message, or has read it. A receipt is also evidence that it was sent."""
    if about.message_id is None:
        return "invalid"
    match = await _match(session, source, About(message_id=about.message_id))
    if not isinstance(match, _Match):
        heard = Heard(kind, None, about.message_id, at)
        return await _undecided(session, match, heard, now)
    row = match.row
    if row.status not in ("sent", "sending"):
        await store_evidence(session, row, about.message_id, by="receipt", now=now)
    counted = await _count(session, row, kind, reader.strip(), at)
    if not counted:
        return "repeated"
    await _acknowledged(session, row.number_id, now)
    await tell(session, [(row.organization_id, row.id)])
    return "applied"


# --- which message --------------------------------------------------------------------------


async def _match(
    session: AsyncSession, source: Source, about: About
) -> _Match | _Several | Literal["unmatched"]:
    found = await session.execute(
        select(
            WhatsappSession.id, WhatsappSession.organization_id, WhatsappSession.number_id
        ).where(
            WhatsappSession.gateway_id == source.gateway_id,
            WhatsappSession.gateway_session_id == source.gateway_session_id,
        )
    )
    pairing = found.one_or_none()
    if pairing is None:
        return "unmatched"
    base = for_change().where(MESSAGES.c.organization_id == pairing.organization_id)
    if about.client_ref is not None:
        match = await _only(session, base.where(MESSAGES.c.client_ref == about.client_ref), True)
        if match != "unmatched" or about.message_id is None:
            return match
        about = About(message_id=about.message_id)  # of an attempt under an earlier reference
    if about.message_id is not None:
        named = base.where(MESSAGES.c.gateway_message_id == about.message_id)
        match = await _only(session, named, True)
        if match != "unmatched" or about.group_jid is None:
            return match
    if about.group_jid is None:
        return "unmatched"
    alone = base.where(
        MESSAGES.c.session_id == pairing.id,
        or_(
            and_(MESSAGES.c.status == "sending", MESSAGES.c.number_id == pairing.number_id),
            MESSAGES.c.status.in_(("accepted", "uncertain")),
        ),
        MESSAGES.c.group_id.in_(
            select(WhatsappGroup.id).where(
                WhatsappGroup.organization_id == pairing.organization_id,
                WhatsappGroup.group_jid == about.group_jid,
            )
        ),
    )
    match = await _only(session, alone, False)
    if isinstance(match, _Match) and about.message_id is not None:
        known = match.row.message_id
        return match if known in (None, about.message_id) else "unmatched"
    return match


async def _only(
    session: AsyncSession, statement: Select[tuple[object, ...]], exact: bool
) -> _Match | _Several | Literal["unmatched"]:
    rows = await fetch(session, statement.limit(CANDIDATES + 1))
    if len(rows) > 1:
        return _Several(rows)
    return _Match(rows[0], exact) if rows else "unmatched"


async def _undecided(
    session: AsyncSession, match: _Several | Literal["unmatched"], heard: Heard, now: datetime
) -> Literal["unmatched", "ambiguous", "outdated"]:
    if not isinstance(match, _Several):
        return match
    if all(_is_older(row, heard.at) for row in match.rows):
        return "outdated"  # it fits none of them
    await tell_candidates(session, match.rows, heard, now)
    return "ambiguous"


def _is_older(row: MessageRow, at: datetime | None) -> bool:
    """It happened before this attempt began, and so is about another one."""
    return at is not None and row.started_at is not None and at < row.started_at - _CLOCKS_DIFFER


def _is_of_the_attempt_before(row: MessageRow, at: datetime | None) -> bool:
    """It happened before this attempt began, and an attempt before this one was rejected.

    Then clocks get no benefit: both attempts bear the same reference, and may bear the same id.
    """
    if at is None or row.started_at is None or row.attempts == 0:
        return False
    cut = at.microsecond == 0  # gateways may cut their times to seconds
    return at < (row.started_at.replace(microsecond=0) if cut else row.started_at)


def _can_be_asked(row: MessageRow) -> bool:
    """Its gateway knows what became of it, whatever it reported before."""
    return row.status in IN_FLIGHT and bool(row.carried_ref)


def _is_over(match: _Match, event: Literal["sent", "failed"], at: datetime | None) -> bool:
    """The report is about an attempt before this one."""
    row = match.row
    if not match.exact:
        just_before = event == "failed" and _is_just_before(row, at)
        return just_before or _is_older(row, at)
    if event == "failed" and _is_older(row, at):
        return True
    return _can_be_asked(row) and _is_of_the_attempt_before(row, at)


def _is_just_before(row: MessageRow, at: datetime | None) -> bool:
    """A failure that names no message would end one that is fine: clocks get no benefit here.

    Gateways may cut their times to seconds; two attempts are further apart than that.
    """
    if at is None or row.started_at is None:
        return False
    return at < row.started_at.replace(microsecond=0)


# --- callbacks ------------------------------------------------------------------------------


async def _apply_sent(
    session: AsyncSession, row: MessageRow, message_id: str | None, now: datetime
) -> InboundOutcome:
    evidence = message_id or row.message_id
    if evidence is None:
        return "invalid"  # a claim without evidence
    if row.status == "sending":
        await overtake(session, row, evidence)
        return "applied"
    if await store_evidence(session, row, evidence, by="callback", now=now):
        return "applied"
    return "repeated" if row.status in ("sent", "cancelled") else "outdated"


async def _apply_failed(
    session: AsyncSession,
    row: MessageRow,
    error: str | None,
    now: datetime,
    policy: Policy,
) -> InboundOutcome:
    if row.status == "sending":
        return "unmatched"  # the answer to the request decides first; then this is tried again
    change: Change | None = rules.after_failed_callback(
        row.facts(),
        error,
        now=now,
        roll=random.random(),  # noqa: S311 - spreads retries
        policy=policy,
    )
    if change is None:
        return "outdated"
    await write(session, [Step(row, change, {"by": "callback"})], actor=SYSTEM, now=now)
    return "applied"


# --- receipts -------------------------------------------------------------------------------


async def _count(
    session: AsyncSession, row: MessageRow, kind: ReceiptKind, reader: str, at: datetime
) -> bool:
    """One reader counts once per kind; who has read it has also got it."""
    columns = MESSAGES.c
    added = {}
    if not reader:
        anonymous = (
            columns.anonymous_read_count if kind == "read" else (columns.anonymous_delivered_count)
        )
        added = {anonymous.name: anonymous + 1}
    else:
        if await _add(session, row, "delivered", reader, at):
            added["delivered_count"] = columns.delivered_count + 1
        if kind == "read" and await _add(session, row, "read", reader, at):
            added["read_count"] = columns.read_count + 1
    if not added:
        return False
    await session.execute(update(MESSAGES).where(columns.id == row.id).values(**added))
    await session.execute(
        update(MESSAGES)
        .where(
            columns.id == row.id,
            columns.first_receipt_at.is_(None) | (columns.first_receipt_at > at),
        )
        .values(first_receipt_at=at)
    )
    return True


async def _add(
    session: AsyncSession, row: MessageRow, kind: ReceiptKind, reader: str, at: datetime
) -> bool:
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert(MessageReceipt) if is_sqlite else postgresql.insert(MessageReceipt)
    statement = (
        insert.values(
            id=new_id(),
            organization_id=row.organization_id,
            message_id=row.id,
            reader=reader,
            kind=kind,
            at=at,
        )
        .on_conflict_do_nothing(index_elements=["message_id", "reader", "kind"])
        .returning(MessageReceipt.id)
    )
    return await session.scalar(statement) is not None


async def _acknowledged(session: AsyncSession, number_id: UUID, now: datetime) -> None:
    """The number's messages arrive. Once a minute is often enough to know."""
    await session.execute(
        update(NUMBERS)
        .where(
            NUMBERS.c.id == number_id,
            (NUMBERS.c.unacknowledged > 0)
            | NUMBERS.c.last_ack_at.is_(None)
            | (NUMBERS.c.last_ack_at < now - _ACK_EVERY),
        )
        .values(last_ack_at=now, unacknowledged=0)
    )
