"""Takeover: "session S is connected with phone P". One transaction, whoever reports it.

Poll, webhook, verifier and import all end here. Repeating it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.gateways.outcomes import Restriction
from groupline.gateways.phone import normalise_phone
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import StatusSource, WhatsappNumber, WhatsappSession
from groupline.numbers import queries
from groupline.numbers.account import note_restriction, record_end, record_of_number
from groupline.numbers.rules import Pairing
from groupline.numbers.transitions import end_session, leave_pairing, request_logout
from groupline.settings import DEFAULT_PACE_SECONDS


@dataclass(frozen=True, slots=True)
class Report:
    """Somebody says that a session is connected."""

    phone: str
    at: datetime
    """When it was so, by the report's own time."""
    now: datetime
    source: StatusSource
    actor: Actor
    restriction: Restriction | None = None
    knows_restrictions: bool = False
    """Whether the absence of a restriction means that there is none."""
    pace_seconds: float = DEFAULT_PACE_SECONDS
    """Of a number that is new."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """What was written. `session` is the row that now stands for the pairing."""

    outcome: Literal["connected", "unchanged", "superseded"]
    session: WhatsappSession
    number: WhatsappNumber
    migration: dict[str, int] | None = None
    """Counts of what followed the number to this session, if another one had served it."""
    replaced: tuple[UUID, ...] = field(default=())
    other_phone: bool = False
    """Another phone than the expected one has scanned."""


async def take_over(
    session: AsyncSession, organization_id: UUID, session_id: UUID, report: Report
) -> Takeover:
    """Connects the session to the number of the phone, in the caller's transaction.

    Of two connected pairings of one number the newer stays, in whatever order they are reported.
    Raises `InvalidInput` for what is no phone number.
    """
    phone = normalise_phone(report.phone)
    await queries.lock_phone(session, organization_id, phone)
    row = await queries.lock_session(session, organization_id, session_id)
    number = await _number_of(session, row, phone, report)
    if row.number_id is not None and row.number_id != number.id:
        row = await _give_to_other_phone(session, row, number, report)
    others = await queries.other_sessions(session, row, number.id)
    newer = _newer_connected(row, others)
    if newer is not None:
        return await _superseded(session, row, number, newer, report)
    if row.status == "connected":
        _note_proof(row, report)
        done = Takeover("unchanged", row, number)
    else:
        done = await _connect(session, row, number, others, report)
    if report.restriction is not None or report.knows_restrictions:
        await note_restriction(
            session, number, report.restriction, actor=report.actor, now=report.now
        )
    return done


async def _number_of(
    session: AsyncSession, row: WhatsappSession, phone: str, report: Report
) -> WhatsappNumber:
    """A number that is new is called as its pairing was."""
    number = await queries.find_number(session, row.organization_id, phone)
    if number is None:
        number = WhatsappNumber(
            id=new_id(),
            organization_id=row.organization_id,
            phone_number=phone,
            display_name=row.label,
            pace_seconds=report.pace_seconds,
            created_at=report.now,
        )
        session.add(number)
        await session.flush()
    return number


def _pairing(row: WhatsappSession) -> Pairing:
    return Pairing(row.pairing_started_at, str(row.id))


def _newer_connected(
    row: WhatsappSession, others: Sequence[WhatsappSession]
) -> WhatsappSession | None:
    connected = (other for other in others if other.status == "connected")
    return next((other for other in connected if _pairing(other) > _pairing(row)), None)


async def _connect(
    session: AsyncSession,
    row: WhatsappSession,
    number: WhatsappNumber,
    others: Sequence[WhatsappSession],
    report: Report,
) -> Takeover:
    served_before = await queries.was_served_before(session, row, number)
    replaced = tuple(_replace_older(row, others, report))
    await session.flush()  # the others let go of the number before this one takes it
    down_since = number.last_disconnected_at
    _become_connected(row, number, report)
    migration = None
    if served_before:
        migration = (await queries.following(session, row.organization_id, [number.id]))[number.id]
        row.migration = dict(migration)
    number.groups_sync_due_at = report.now
    await session.flush()
    other_phone = row.expected_number_id not in (None, number.id)
    done = Takeover("connected", row, number, migration, replaced, other_phone)
    await _tell(session, done, down_since, report)
    return done


def _replace_older(
    row: WhatsappSession, others: Sequence[WhatsappSession], report: Report
) -> list[UUID]:
    """Older sessions become history, and what is left of them at a gateway is logged out."""
    replaced = []
    for other in others:
        if _pairing(other) > _pairing(row):
            continue  # somebody is pairing anew: that one wins when it connects
        if other.status != "disconnected":
            end_session(other, "replaced", source=report.source, at=report.at, now=report.now)
            other.replaced_by_id = row.id
            other.last_error, other.last_error_at = None, None
            replaced.append(other.id)
        other.next_verify_at = None
        if other.ended_reason in ("replaced", "disconnected"):
            request_logout(other, report.now)
    return replaced


def _become_connected(row: WhatsappSession, number: WhatsappNumber, report: Report) -> None:
    leave_pairing(row)
    row.status, row.status_source = "connected", report.source
    row.number_id = number.id
    row.connected_at, row.disconnected_at, row.ended_reason = report.at, None, None
    number.last_connected_at = report.at
    number.last_disconnected_at = number.last_ended_reason = None
    row.last_error = row.last_error_at = row.status_detail = row.obstacle = None
    row.logout_requested_at = row.logout_confirmed_at = None
    _note_proof(row, report)


def _note_proof(row: WhatsappSession, report: Report) -> None:
    row.status_at = max(row.status_at, report.at)
    row.verified_at = max(row.verified_at or report.at, report.at)
    row.status_source = report.source
    row.doubted_at = row.status_detail = None


async def _superseded(
    session: AsyncSession,
    row: WhatsappSession,
    number: WhatsappNumber,
    newer: WhatsappSession,
    report: Report,
) -> Takeover:
    """Linked twice: the older pairing does not take the number back, it is logged out."""
    known = row.status == "disconnected" and row.ended_reason == "replaced"
    row.number_id = number.id
    if not known:
        end_session(row, "replaced", source=report.source, at=report.at, now=report.now)
        row.replaced_by_id = newer.id
    row.next_verify_at = None
    request_logout(row, report.now, again=True)
    await session.flush()
    if not known:
        await _record(session, "session.superseded", row, report, {"replacedById": str(newer.id)})
        await _announce(session, row, number)
    return Takeover("superseded", row, number)


async def _give_to_other_phone(
    session: AsyncSession, row: WhatsappSession, number: WhatsappNumber, report: Report
) -> WhatsappSession:
    """A session never changes its number: what is there now at the gateway is a new session.

    The old one becomes history under its number, and gives the gateway's name for it away.
    """
    gateway_session_id, before = row.gateway_session_id, row.number_id
    was_connected = row.status == "connected"
    end_session(row, "other_phone", source=report.source, at=report.at, now=report.now)
    row.gateway_session_id = f"{gateway_session_id}.until.{new_id()}"
    row.next_verify_at = row.logout_requested_at = None
    row.last_error, row.last_error_at = "Another phone was linked to this session.", report.now
    await session.flush()
    if was_connected:
        await record_end(session, row, was_connected=True, actor=report.actor, now=report.now)
    await _record(session, "session.other_phone", row, report, {"numberId": str(number.id)})
    fresh = WhatsappSession(
        id=new_id(),
        organization_id=row.organization_id,
        expected_number_id=before,
        gateway_id=row.gateway_id,
        gateway_session_id=gateway_session_id,
        label=row.label,
        status="connecting",
        status_source=report.source,
        status_at=report.at,
        next_verify_at=report.now,
        pairing_started_at=row.pairing_started_at,
        proxy=row.proxy,
        created_by=row.created_by,
        created_at=report.now,
    )
    session.add(fresh)
    await session.flush()
    return fresh


async def _tell(
    session: AsyncSession, done: Takeover, down_since: datetime | None, report: Report
) -> None:
    row, number = done.session, done.number
    facts = {
        "sessionId": str(row.id),
        "source": report.source,
        "otherPhone": done.other_phone,
        "replaced": [str(each) for each in done.replaced],
        "downSince": None if down_since is None else down_since.isoformat(),
    }
    await record_of_number(
        session, number, "number.connected", facts, actor=report.actor, now=report.now
    )
    if done.migration is not None:
        counts = {**done.migration, "sessionId": str(row.id)}
        await record_of_number(
            session, number, "number.taken_over", counts, actor=report.actor, now=report.now
        )
    await _announce(session, row, number)
    await announce(session, "messages", organization_id=row.organization_id, subject_id=None)


async def _announce(session: AsyncSession, row: WhatsappSession, number: WhatsappNumber) -> None:
    organization_id = row.organization_id
    await announce(session, "numbers", organization_id=organization_id, subject_id=number.id)
    await announce(session, "sessions", organization_id=organization_id, subject_id=row.id)


async def _record(
    session: AsyncSession,
    action: str,
    row: WhatsappSession,
    report: Report,
    data: dict[str, object],
) -> None:
    await journal.record(
        session,
        action=action,
        actor=report.actor,
        organization_id=row.organization_id,
        subject="session",
        subject_id=row.id,
        data=data,
        at=report.now,
    )
