"""What pages and the API show of numbers and sessions. Every list is a fixed count of queries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Integer, Select, Uuid, case, cast, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from groupline.db import UtcDateTime
from groupline.errors import NotFound
from groupline.gateways.phone import display_phone
from groupline.gateways.port import Capability
from groupline.models import (
    Gateway,
    Organization,
    SessionStatus,
    WhatsappNumber,
    WhatsappSession,
)
from groupline.numbers import queries, rules, states
from groupline.numbers.impact import Due, NextEvent, events_soon, messages_due
from groupline.numbers.pause import pauses
from groupline.numbers.restrictions import named_end
from groupline.numbers.states import Pause, Shown
from groupline.numbers.transitions import has_failed_check
from groupline.numbers.workers import is_missed, last_sign


@dataclass(frozen=True, slots=True)
class SessionView:
    row: WhatsappSession
    gateway_name: str
    phone: str | None
    """Of its number, in digits."""
    expected_phone: str | None = None

    @property
    def other_phone(self) -> bool:
        """A phone has scanned that was not the one expected."""
        expected, got = self.row.expected_number_id, self.row.number_id
        return expected is not None and got is not None and expected != got


_NOTHING_DUE: Final = Due()


@dataclass(frozen=True, slots=True)
class NumberView:
    number: WhatsappNumber
    session: WhatsappSession | None
    """The connected one, or the last that was."""
    pairing: WhatsappSession | None
    """One that is under way to connect it again."""
    gateway: Gateway | None
    shown: Shown
    follows: dict[str, int] = field(default_factory=dict)
    due: Due = _NOTHING_DUE
    pause: Pause | None = None
    next_event: NextEvent | None = None
    """One that begins within a day."""

    @property
    def phone(self) -> str:
        return display_phone(self.number.phone_number)

    @property
    def name(self) -> str:
        return self.number.display_name or self.phone

    @property
    def messages_due(self) -> int:
        return self.due.messages

    @property
    def is_held_back(self) -> bool:
        """What is said of it changes with its messages too."""
        return self.pause is not None or self.number.lane_hold_reason == "rate_limited"

    @property
    def restricted_until(self) -> datetime | None:
        """As WhatsApp says; the time of a next try is no end."""
        return _named_end(self.number)

    @property
    def since(self) -> datetime | None:
        """Since when it is as it is shown."""
        if self.session is None or _is_outlived(self.number, self.session):
            return self.number.last_disconnected_at
        if self.shown.state is states.NumberState.GATEWAY_UNREACHABLE and self.gateway is not None:
            return self.gateway.unreachable_since
        if self.session.status == "connected":
            if self.shown.state is states.NumberState.VERIFYING and has_failed_check(self.session):
                return self.session.last_error_at
            return self.session.connected_at
        return self.session.disconnected_at


# --- numbers --------------------------------------------------------------------------------


async def list_numbers(
    session: AsyncSession,
    organization_id: UUID,
    now: datetime,
    *,
    after: UUID | None = None,
    limit: int = 500,
) -> list[NumberView]:
    """In the order in which they were first connected."""
    statement = (
        select(WhatsappNumber)
        .where(WhatsappNumber.organization_id == organization_id)
        .order_by(WhatsappNumber.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(WhatsappNumber.id > after)
    numbers = (await session.scalars(statement)).all()
    return await _number_views(session, organization_id, numbers, now)


async def show_number(
    session: AsyncSession, organization_id: UUID, number_id: UUID, now: datetime
) -> NumberView:
    number = await queries.get_number(session, organization_id, number_id)
    return (await _number_views(session, organization_id, [number], now))[0]


async def show_numbers(
    session: AsyncSession, organization_id: UUID, number_ids: Collection[UUID], now: datetime
) -> dict[UUID, NumberView]:
    """Some of them, by their ids."""
    if not number_ids:
        return {}
    statement = select(WhatsappNumber).where(
        WhatsappNumber.organization_id == organization_id, WhatsappNumber.id.in_(number_ids)
    )
    numbers = (await session.scalars(statement)).all()
    views = await _number_views(session, organization_id, numbers, now)
    return {view.number.id: view for view in views}


async def _number_views(
    session: AsyncSession,
    organization_id: UUID,
    numbers: Sequence[WhatsappNumber],
    now: datetime,
) -> list[NumberView]:
    ids = [number.id for number in numbers]
    current = await _current_sessions(session, organization_id, ids)
    pairings = await _pairings(session, organization_id, ids, now)
    rows = [*current.values(), *pairings.values()]
    gateways = await queries.gateways_by_id(session, [row.gateway_id for row in rows])
    follows = await queries.following(session, organization_id, ids)
    due = await messages_due(session, organization_id, now)
    events = await events_soon(session, organization_id, now)
    paused = await pauses(session, organization_id, numbers, now)
    zone, sign = await _zone_and_sign(session, organization_id)
    is_worked = not is_missed(sign, now)
    views = []
    for number in numbers:
        serving, pairing = current.get(number.id), pairings.get(number.id)
        some = serving or pairing
        gateway = gateways[some.gateway_id] if some else None
        facts = _facts(number, serving, pairing, gateway, now)
        facts = replace(facts, pause=paused.get(number.id), zone=zone, is_worked=is_worked)
        views.append(
            NumberView(
                number=number,
                session=serving,
                pairing=pairing,
                gateway=gateway,
                shown=states.show(facts, now),
                follows=follows[number.id],
                due=due.get(number.id, _NOTHING_DUE),
                pause=paused.get(number.id),
                next_event=events.get(number.id),
            )
        )
    return views


async def _zone_and_sign(
    session: AsyncSession, organization_id: UUID
) -> tuple[ZoneInfo, datetime | None]:
    """Of the organization; and the last sign of life of any worker."""
    statement = select(Organization.timezone, last_sign()).where(Organization.id == organization_id)
    timezone, sign = (await session.execute(statement)).one()
    return ZoneInfo(timezone), sign


def _is_outlived(number: WhatsappNumber, row: WhatsappSession) -> bool:
    """The session that replaced it has ended too, and was deleted from the history."""
    return row.ended_reason == "replaced" and number.last_ended_reason is not None


def _facts(
    number: WhatsappNumber,
    row: WhatsappSession | None,
    pairing: WhatsappSession | None,
    gateway: Gateway | None,
    now: datetime,
) -> states.NumberFacts:
    told = None if row is None or _is_outlived(number, row) else row
    return states.NumberFacts(
        session_status=row.status if row else None,
        was_connected=number.last_connected_at is not None,
        ended_reason=told.ended_reason if told else number.last_ended_reason,
        last_error=row.last_error if row else None,
        obstacle=row.obstacle if row else None,
        verified_at=row.verified_at if row else None,
        not_said=row.last_error if row is not None and has_failed_check(row) else None,
        asked_again=row is not None and _is_asked(row, now),
        doubt=row.status_detail if row is not None and row.doubted_at is not None else None,
        pairing_under_way=pairing is not None,
        gateway_name=gateway.name if gateway else None,
        gateway_down=gateway is not None and gateway.unreachable_since is not None,
        gateway_error_code=gateway.last_error_code if gateway else None,
        restriction=number.restriction,
        restricted_until=_named_end(number),
        tried_again_at=number.lane_free_at if number.lane_hold_reason == "restricted" else None,
        slow_until=number.lane_free_at if number.lane_hold_reason == "rate_limited" else None,
        unacknowledged=number.unacknowledged,
        unacknowledged_for=_unacknowledged_for(number, now),
        has_receipts=gateway is not None and Capability.RECEIPTS in (gateway.capabilities or ()),
    )


def _named_end(number: WhatsappNumber) -> datetime | None:
    return named_end(number.restricted_until, number.lane_hold_reason, number.lane_free_at)


def _unacknowledged_for(number: WhatsappNumber, now: datetime) -> timedelta:
    """Sends keep the pace of the number, so the first of them is at least as old as this says."""
    if not number.unacknowledged or number.last_send_at is None:
        return timedelta()
    first = number.last_send_at - (number.unacknowledged - 1) * timedelta(
        seconds=number.pace_seconds
    )
    return now - first


def _is_asked(row: WhatsappSession, now: datetime) -> bool:
    """Due now, and the proof is no longer fresh: somebody has opened the page."""
    if row.doubted_at is not None:
        return True
    is_old = row.verified_at is not None and now - row.verified_at > rules.FRESH_PROOF
    return is_old and row.next_verify_at is not None and row.next_verify_at <= now


async def _current_sessions(
    session: AsyncSession, organization_id: UUID, number_ids: Sequence[UUID]
) -> dict[UUID, WhatsappSession]:
    """Per number: the connected session, else the newest that was not replaced."""
    replaced = func.coalesce(WhatsappSession.ended_reason, "").in_(("replaced", "other_phone"))
    rank = func.row_number().over(
        partition_by=WhatsappSession.number_id,
        order_by=(
            case((WhatsappSession.status == "connected", 0), else_=1),
            cast(replaced, Integer),
            WhatsappSession.pairing_started_at.desc(),
            WhatsappSession.id.desc(),
        ),
    )
    ranked = (
        select(WhatsappSession.id, rank.label("rank"))
        .where(
            WhatsappSession.organization_id == organization_id,
            WhatsappSession.number_id.in_(number_ids),
        )
        .subquery()
    )
    rows = await session.scalars(
        select(WhatsappSession)
        .join(ranked, ranked.c.id == WhatsappSession.id)
        .where(ranked.c.rank == 1)
    )
    return {row.number_id: row for row in rows if row.number_id is not None}


async def _pairings(
    session: AsyncSession, organization_id: UUID, number_ids: Sequence[UUID], now: datetime
) -> dict[UUID, WhatsappSession]:
    rows = await session.scalars(
        select(WhatsappSession)
        .where(
            WhatsappSession.organization_id == organization_id,
            queries.IS_BEING_PAIRED,
            WhatsappSession.pairing_started_at > now - rules.PAIRING_LASTS,
            WhatsappSession.expected_number_id.in_(number_ids)
            | WhatsappSession.number_id.in_(number_ids),
        )
        .order_by(WhatsappSession.pairing_started_at)
    )
    wanted = ((row.number_id or row.expected_number_id, row) for row in rows)
    return {number_id: row for number_id, row in wanted if number_id is not None}


# --- sessions -------------------------------------------------------------------------------


_Expected = aliased(WhatsappNumber)


def _sessions() -> Select[WhatsappSession, str, str, str]:
    of_number = (WhatsappNumber.organization_id == WhatsappSession.organization_id) & (
        WhatsappNumber.id == WhatsappSession.number_id
    )
    expected = (_Expected.organization_id == WhatsappSession.organization_id) & (
        _Expected.id == WhatsappSession.expected_number_id
    )
    return (
        select(WhatsappSession, Gateway.name, WhatsappNumber.phone_number, _Expected.phone_number)
        .join(Gateway, Gateway.id == WhatsappSession.gateway_id)
        .outerjoin(WhatsappNumber, of_number)
        .outerjoin(_Expected, expected)
    )


async def show_session(
    session: AsyncSession, organization_id: UUID, session_id: UUID
) -> SessionView:
    statement = _sessions().where(
        WhatsappSession.organization_id == organization_id, WhatsappSession.id == session_id
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("There is no such session.")
    return SessionView(row[0], row[1], row[2], row[3])


@dataclass(frozen=True, slots=True)
class SessionFilter:
    status: SessionStatus | None = None
    number_id: UUID | None = None
    ended_or_pending: bool = False
    """The history: everything but what is connected."""


async def list_sessions(
    session: AsyncSession,
    organization_id: UUID,
    wanted: SessionFilter,
    *,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[SessionView]:
    """Newest first."""
    statement = (
        _sessions()
        .where(WhatsappSession.organization_id == organization_id)
        .order_by(WhatsappSession.created_at.desc(), WhatsappSession.id.desc())
        .limit(limit)
    )
    if wanted.status is not None:
        statement = statement.where(WhatsappSession.status == wanted.status)
    if wanted.number_id is not None:
        statement = statement.where(WhatsappSession.number_id == wanted.number_id)
    if wanted.ended_or_pending:
        statement = statement.where(WhatsappSession.status != "connected")
    if before is not None:
        place = tuple_(WhatsappSession.created_at, WhatsappSession.id)
        statement = statement.where(
            place < tuple_(literal(before[0], UtcDateTime), literal(before[1], Uuid))
        )
    return [SessionView(row[0], row[1], row[2], row[3]) for row in await session.execute(statement)]


async def describe_sessions(
    session: AsyncSession, rows: Sequence[WhatsappSession]
) -> list[SessionView]:
    """Rows that may be gone already, with the names of what they refer to."""
    gateways = await queries.gateways_by_id(session, [row.gateway_id for row in rows])
    number_ids = {id_ for row in rows for id_ in (row.number_id, row.expected_number_id) if id_}
    numbers = await session.execute(
        select(WhatsappNumber.id, WhatsappNumber.phone_number).where(
            WhatsappNumber.id.in_(number_ids)
        )
    )
    phones: dict[UUID | None, str] = {row.id: row.phone_number for row in numbers}
    return [
        SessionView(
            row,
            gateways[row.gateway_id].name,
            phones.get(row.number_id),
            phones.get(row.expected_number_id),
        )
        for row in rows
    ]
