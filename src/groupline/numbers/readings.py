"""The single way in which a gateway's word changes a session: polls and webhooks alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.gateways.outcomes import SessionConnected, SessionReading
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import StatusSource, WhatsappSession
from groupline.numbers import queries, rules, transitions
from groupline.numbers.account import GATEWAY, record_end, restrict_number
from groupline.numbers.rules import (
    Confirm,
    Connect,
    ConnectedToNobody,
    Decision,
    Doubt,
    End,
    Hint,
    LogOutAgain,
    Note,
    Outdated,
    PairAnew,
    ShowQr,
    StartUp,
)
from groupline.numbers.takeover import Report, Takeover, take_over
from groupline.numbers.transitions import end_session, is_pending, leave_pairing, request_logout
from groupline.settings import DEFAULT_PACE_SECONDS


@dataclass(frozen=True, slots=True)
class Word:
    """What a gateway said about a session."""

    reading: SessionReading
    at: datetime
    """A poll's time is that of its request: what the gateway says is not older."""
    now: datetime
    is_dated: bool = True
    """False: nobody knows when it was so; `at` is when it arrived."""
    source: StatusSource = "gateway"
    actor: Actor = GATEWAY
    knows_restrictions: bool = False
    pace_seconds: float = DEFAULT_PACE_SECONDS
    """Of a number that is new."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of it, as it is about to be committed."""

    decision: Decision
    session: WhatsappSession
    takeover: Takeover | None = None
    fresh_pairing: WhatsappSession | None = None
    """A new session under the same number, which the gateway has not been told of yet."""


async def apply_reading(
    session: AsyncSession, organization_id: UUID, session_id: UUID, word: Word
) -> Applied:
    """Decides and carries out, in the caller's transaction."""
    phone = await _phone(session, organization_id, session_id, word.reading)
    if phone is not None:
        await queries.lock_phone(session, organization_id, phone)
    row = await queries.lock_session(session, organization_id, session_id)
    decide = rules.decide if word.is_dated else rules.decide_undated
    decision = decide(queries.facts_of(row), word.reading, word.at, word.now)
    if _needs_another_look(decision, word, phone):
        decision = Outdated(disagrees=True)
    before, was_old, planned = (
        transitions.shown(row),
        _proof_is_old(row, word.now),
        row.next_verify_at,
    )
    if word.source == "gateway":
        transitions.forget_failed_check(row)
    applied = await _carry_out(session, row, decision, phone, word)
    await session.flush()
    if was_old or transitions.shown(applied.session) != before:
        await _announce(session, applied.session)
    elif _is_sooner(row.next_verify_at, planned):
        await announce(session, "proofs", organization_id=row.organization_id, subject_id=row.id)
    return applied


def _is_sooner(wanted: datetime | None, planned: datetime | None) -> bool:
    return wanted is not None and (planned is None or wanted < planned)


def _proof_is_old(row: WhatsappSession, now: datetime) -> bool:
    """Then a page may be showing that the gateway is being asked."""
    return row.verified_at is not None and now - row.verified_at > rules.FRESH_PROOF


async def _phone(
    session: AsyncSession, organization_id: UUID, session_id: UUID, reading: SessionReading
) -> str | None:
    """The phone that a takeover would be about; its lock comes before that of the row."""
    if not isinstance(reading, SessionConnected):
        return None
    if reading.phone is not None:
        return reading.phone
    row = await queries.get_session(session, organization_id, session_id)
    if row.number_id is None:
        return None
    return (await queries.get_number(session, organization_id, row.number_id)).phone_number


def _needs_another_look(decision: Decision, word: Word, phone: str | None) -> bool:
    """A webhook names a status and little else; what is missing in it is asked for."""
    if isinstance(decision, Connect):
        return phone is None  # the session got its number just now
    if word.source != "webhook":
        return False
    if isinstance(decision, ShowQr):
        return decision.qr is None
    return isinstance(decision, ConnectedToNobody | PairAnew)


async def _carry_out(
    session: AsyncSession, row: WhatsappSession, decision: Decision, phone: str | None, word: Word
) -> Applied:
    match decision:
        case Connect():
            return await _connect(session, row, decision, phone, word)
        case End():
            await _end(session, row, decision, word)
        case PairAnew():
            return await _pair_anew(session, row, decision, word)
        case _:
            _change(row, decision, word)
    return Applied(decision, row)


def _change(
    row: WhatsappSession,
    decision: Outdated
    | Hint
    | Confirm
    | Note
    | Doubt
    | ShowQr
    | StartUp
    | ConnectedToNobody
    | LogOutAgain,
    word: Word,
) -> None:
    """The decisions that concern this row alone."""
    match decision:
        case Outdated() | Hint():
            _look_again(row, decision, word)
        case Doubt():
            _doubt(row, decision, word)
        case ShowQr():
            _show_qr(row, decision, word)
        case StartUp():
            _start_up(row, word)
            row.status_detail = decision.detail
            row.obstacle = rules.obstacle_told(decision.detail)
        case ConnectedToNobody():
            _connected_to_nobody(row, decision, word)
        case Confirm():
            ended_on_the_word_of = row.status_source
            _prove(row, word)
            row.status_source = ended_on_the_word_of
        case Note():
            row.status_detail = decision.detail
            if row.status != "disconnected":  # what ended it stays what it was
                row.obstacle = rules.obstacle_told(decision.detail)
        case LogOutAgain():
            request_logout(row, word.now, again=True)
        case _:
            assert_never(decision)


async def _connect(
    session: AsyncSession, row: WhatsappSession, decision: Connect, phone: str | None, word: Word
) -> Applied:
    assert phone is not None  # else it needed another look
    report = Report(
        phone=phone,
        at=word.at,
        now=word.now,
        source=word.source,
        actor=word.actor,
        restriction=decision.restriction,
        knows_restrictions=word.knows_restrictions,
        pace_seconds=word.pace_seconds,
    )
    done = await take_over(session, row.organization_id, row.id, report)
    return Applied(decision, done.session, takeover=done)


async def _end(session: AsyncSession, row: WhatsappSession, end: End, word: Word) -> None:
    was_connected = row.status == "connected"
    end_session(row, end.reason, source=word.source, at=word.at, now=word.now)
    row.verified_at = word.at
    row.last_error, row.last_error_at = end.detail, word.now
    row.obstacle = rules.obstacle_of(word.reading)
    await record_end(session, row, was_connected=was_connected, actor=word.actor, now=word.now)
    if end.restriction is not None and row.number_id is not None:
        await restrict_number(
            session,
            row.organization_id,
            row.number_id,
            end.restriction,
            actor=word.actor,
            now=word.now,
        )


async def _pair_anew(
    session: AsyncSession, row: WhatsappSession, decision: PairAnew, word: Word
) -> Applied:
    """The number's next pairing begins where the old one cannot be revived, unless it has begun."""
    await _end(session, row, End("logged_out", decision.detail), word)
    organization_id, number_id = row.organization_id, row.number_id
    assert number_id is not None  # what is revived was paired once
    await queries.lock_number(session, organization_id, number_id)
    if await queries.pairing_for(session, organization_id, number_id, word.now) is not None:
        return Applied(decision, row)
    fresh = new_pairing_row(
        organization_id=row.organization_id,
        gateway_id=row.gateway_id,
        expected_number_id=row.number_id,
        label=row.label,
        proxy=row.proxy,
        created_by=row.created_by,
        now=word.now,
    )
    session.add(fresh)
    await session.flush()
    await _announce(session, fresh)
    return Applied(decision, row, fresh_pairing=fresh)


def new_pairing_row(
    *,
    organization_id: UUID,
    gateway_id: UUID,
    expected_number_id: UUID | None,
    label: str | None,
    proxy: str | None,
    created_by: str | None,
    now: datetime,
) -> WhatsappSession:
    """A row that exists before its gateway is told. If that never happens, the verifier finds it
    when the grace is over.
    """
    session_id = new_id()
    return WhatsappSession(
        id=session_id,
        organization_id=organization_id,
        gateway_id=gateway_id,
        gateway_session_id=f"wa_{session_id}",
        expected_number_id=expected_number_id,
        label=label,
        proxy=proxy,
        status="connecting",
        status_source="user",
        status_at=now,
        pairing_started_at=now,
        next_verify_at=now + rules.START_GRACE,
        created_by=created_by,
        created_at=now,
    )


def _prove(row: WhatsappSession, word: Word) -> None:
    row.status_at = max(row.status_at, word.at)
    row.verified_at = word.at if row.verified_at is None else max(row.verified_at, word.at)
    row.status_source = word.source
    row.doubted_at = row.status_detail = None


def _look_again(row: WhatsappSession, decision: Outdated | Hint, word: Word) -> None:
    """What came late, or without its time, changes nothing. What it contradicts is asked for: also
    whether an ended session is back, unless that one waits for its logout.
    """
    if isinstance(decision, Outdated):
        is_wanted = decision.disagrees and row.status != "disconnected"
    else:
        is_back = isinstance(word.reading, SessionConnected) and not is_pending(row)
        is_wanted = row.status != "disconnected" or is_back
    if is_wanted:
        row.next_verify_at = word.now


def _doubt(row: WhatsappSession, decision: Doubt, word: Word) -> None:
    row.status_at = max(row.status_at, word.at)
    row.doubted_at = row.doubted_at or word.at
    row.status_detail = decision.detail
    row.next_verify_at = word.now + timedelta(seconds=3)


def show_code(
    row: WhatsappSession,
    code: str | None,
    pairing_code: str | None,
    expires_at: datetime | None,
    now: datetime,
) -> None:
    """A new code replaces the old one; the same code again stays, with its own expiry."""
    row.status = "qr_pending"
    if code is not None and expires_at is None:
        known = row.qr_expires_at if code == row.qr_code else None
        still_good = known is not None and known > now
        expires_at = known if still_good else now + rules.QR_LASTS
    row.qr_code, row.qr_expires_at = code, expires_at if code is not None else None
    row.pairing_code = pairing_code


def _show_qr(row: WhatsappSession, decision: ShowQr, word: Word) -> None:
    _prove(row, word)
    row.status_detail = decision.detail
    qr = decision.qr
    code = None if qr is None else qr.text or qr.image_data_url
    show_code(row, code, decision.pairing_code, decision.expires_at, word.now)
    if code is None and decision.pairing_code is None:
        _complain(row, rules.NO_QR_DATA, word.now)
    elif row.last_error == rules.NO_QR_DATA:
        row.last_error = row.last_error_at = None


def _start_up(row: WhatsappSession, word: Word) -> None:
    _prove(row, word)
    if row.status == "qr_pending":
        leave_pairing(row)
        row.status = "connecting"


def _connected_to_nobody(row: WhatsappSession, decision: ConnectedToNobody, word: Word) -> None:
    _prove(row, word)
    _complain(row, decision.detail, word.now)
    if row.status == "qr_pending":
        leave_pairing(row)
        row.status = "connecting"


def _complain(row: WhatsappSession, sentence: str, now: datetime) -> None:
    if row.last_error != sentence:
        row.last_error, row.last_error_at = sentence, now


async def _announce(session: AsyncSession, row: WhatsappSession) -> None:
    organization_id = row.organization_id
    await announce(session, "sessions", organization_id=organization_id, subject_id=row.id)
    if row.number_id is not None:
        await announce(
            session, "numbers", organization_id=organization_id, subject_id=row.number_id
        )
