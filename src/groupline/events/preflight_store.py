"""Preflights as they are stored: whose turn it is to look, and what was found."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    Table,
    and_,
    exists,
    func,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.events.preflight import Finding
from groupline.events.schemas import EventView
from groupline.ids import new_id
from groupline.journal import SYSTEM, Actor
from groupline.models import Event, EventKind, Preflight, PreflightPoint, WhatsappNumber

PREFLIGHTS: Final[Table] = Preflight.__table__  # type: ignore[assignment]
Ahead = Literal["day", "hour"]
AHEAD: Final[Mapping[Ahead, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(hours=24),
}
_TURN: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, and when."""

    event_id: UUID
    point: PreflightPoint
    checked_at: datetime
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        return problems_in(self.findings)


def problems_in(findings: Sequence[Finding]) -> int:
    return sum(1 for finding in findings if finding.severity == "problem")


@dataclass(frozen=True, slots=True)
class Turn:
    """A look that this worker, and nobody else, takes until its time is over."""

    id: UUID
    organization_id: UUID
    event_id: UUID
    starts_at: datetime
    until: datetime


async def store(session: AsyncSession, event: EventView, looked: Looked, actor: Actor) -> None:
    """What a person asked for."""
    await session.execute(
        PREFLIGHTS.insert().values(
            id=new_id(),
            organization_id=event.organization_id,
            event_id=event.id,
            point=looked.point,
            starts_at=event.starts_at,
            **_stored(looked),
        )
    )
    await _tell(session, event, looked, actor)


# --- turns ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Due:
    """An event that a worker has to look at now."""

    organization_id: UUID
    event_id: UUID
    starts_at: datetime
    point: Ahead
    paused_at: datetime | None
    """When the pause of its number began that has not been seen by this look yet, if one has."""


async def next_event(session: AsyncSession, now: datetime) -> Due | None:
    """An event that has reached a point in time at which nobody has looked at it, or whose number
    was paused after the last point.

    One that was planned later than that is looked at by the person who plans it.
    """
    for point, ahead in AHEAD.items():
        paused_at = WhatsappNumber.paused_at if point == "hour" else null()
        looked = exists().where(
            Preflight.event_id == Event.id,
            Preflight.point == point,
            Preflight.starts_at == Event.starts_at,
            or_(
                Preflight.claimed_until > now,
                Preflight.checked_at >= func.coalesce(paused_at, Preflight.checked_at),
            ),
        )
        statement = (
            select(
                Event.organization_id,
                Event.id,
                Event.starts_at,
                Event.created_at,
                paused_at.label("paused_at"),
            )
            .outerjoin(WhatsappNumber, WhatsappNumber.id == Event.number_id)
            .where(
                Event.status == "planned",
                Event.starts_at > now + (timedelta() if point == "hour" else AHEAD["hour"]),
                Event.starts_at <= now + ahead,
                ~looked,
            )
            .order_by(Event.starts_at, Event.id)
        )
        for row in await session.execute(statement):
            was_paused_later = row.paused_at is not None and row.paused_at >= row.created_at
            if row.created_at <= row.starts_at - ahead or was_paused_later:
                return Due(row.organization_id, row.id, row.starts_at, point, row.paused_at)
    return None


async def take_turn(session: AsyncSession, now: datetime) -> Turn | None:
    """Exactly one worker gets it: by the unique key, or by the turn of one that died or looked
    before the number was paused."""
    due = await next_event(session, now)
    if due is None:
        return None
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    statement = (
        (sqlite if is_sqlite else postgresql)
        .insert(PREFLIGHTS)
        .values(
            id=new_id(),
            organization_id=due.organization_id,
            event_id=due.event_id,
            point=due.point,
            starts_at=due.starts_at,
            claimed_until=now + _TURN,
            problems=0,
        )
    )
    checked_at, claimed_until = PREFLIGHTS.c.checked_at, PREFLIGHTS.c.claimed_until
    unseen: list[ColumnElement[bool]] = [checked_at.is_(None)]
    if due.paused_at is not None:
        unseen.append(checked_at < due.paused_at)
    taken = statement.on_conflict_do_update(
        index_elements=["event_id", "point", "starts_at"],
        index_where=PREFLIGHTS.c.point != "button",
        set_={"claimed_until": now + _TURN},
        where=and_(or_(*unseen), or_(claimed_until.is_(None), claimed_until <= now)),
    )
    row = (await session.execute(taken.returning(PREFLIGHTS.c.id))).one_or_none()
    if row is None:
        return None
    return Turn(row.id, due.organization_id, due.event_id, due.starts_at, now + _TURN)


async def finish(
    session: AsyncSession,
    turn: Turn,
    event: EventView,
    found: Sequence[Finding],
    *,
    now: datetime,
) -> None:
    """Whose turn is over has nothing to say any more."""
    looked = Looked(turn.event_id, "button", now, tuple(found))
    stored = (
        update(PREFLIGHTS)
        .where(
            PREFLIGHTS.c.id == turn.id,
            PREFLIGHTS.c.claimed_until == turn.until,
        )
        .values(**_stored(looked), claimed_until=None)
        .returning(PREFLIGHTS.c.point)
    )
    point = await session.scalar(stored)
    if point is not None:
        await _tell(session, event, Looked(turn.event_id, point, now, tuple(found)), SYSTEM)


def _stored(looked: Looked) -> dict[str, Any]:
    return {
        "checked_at": looked.checked_at,
        "findings": {"items": [finding.as_json() for finding in looked.findings]},
        "problems": looked.problems,
    }


async def _tell(session: AsyncSession, event: EventView, looked: Looked, actor: Actor) -> None:
    """Alerts and webhooks hear of what the worker found; who asked for a look sees it at once."""
    await announce(session, "events", organization_id=event.organization_id, subject_id=event.id)
    by_person = looked.point == "button"
    if not by_person and not looked.problems:
        return
    await journal.record(
        session,
        action="event.checked" if by_person else "preflight.failed",
        actor=actor,
        organization_id=event.organization_id,
        subject="event",
        subject_id=event.id,
        data={
            "point": looked.point,
            "startsAt": event.starts_at.isoformat(),
            "problems": looked.problems,
            "findings": [finding.as_json() for finding in looked.findings],
        },
        at=looked.checked_at,
    )


# --- what was found last --------------------------------------------------------------------


async def last_looks(
    session: AsyncSession, organization_id: UUID, event_ids: Collection[UUID]
) -> dict[UUID, Looked]:
    """By event; those that nobody has looked at are left out."""
    newest = _newest(organization_id).where(Preflight.event_id.in_(event_ids)).subquery()
    statement = (
        select(Preflight.event_id, Preflight.point, Preflight.checked_at, Preflight.findings)
        .join(newest, _is_of(newest))
        .order_by(Preflight.id)
    )
    return {row.event_id: _looked(row) for row in await session.execute(statement)}


def _newest(organization_id: UUID) -> Select[*tuple[Any, ...]]:
    return (
        select(Preflight.event_id, func.max(Preflight.checked_at).label("at"))
        .where(Preflight.organization_id == organization_id)
        .group_by(Preflight.event_id)
    )


def _is_of(newest: Subquery) -> ColumnElement[bool]:
    return and_(Preflight.event_id == newest.c.event_id, Preflight.checked_at == newest.c.at)


def _looked(row: Any) -> Looked:
    return Looked(row.event_id, row.point, row.checked_at, _findings(row))


def _findings(row: Any) -> tuple[Finding, ...]:
    return tuple(Finding.from_json(each) for each in row.findings["items"])


@dataclass(frozen=True, slots=True)
class Troubled:
    """An event to come whose last look found problems."""

    event_id: UUID
    kind: EventKind
    title: str
    starts_at: datetime
    number_id: UUID | None
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        return problems_in(self.findings)

    @property
    def first(self) -> Finding:
        """The worst: they come first."""
        return self.findings[0]


async def troubled_events(
    session: AsyncSession, organization_id: UUID, now: datetime
) -> list[Troubled]:
    """In what the last look found problems, the soonest first."""
    coming = (
        Event.organization_id == organization_id,
        Event.status == "planned",
        Event.starts_at > now,
    )
    ids = select(Event.id).where(*coming)  # so that not every look of all times is read
    newest = _newest(organization_id).where(Preflight.event_id.in_(ids)).subquery()
    statement = (
        select(
            Event.id,
            Event.kind,
            Event.title,
            Event.starts_at,
            Event.number_id,
            Preflight.findings,
        )
        .join(newest, newest.c.event_id == Event.id)
        .join(Preflight, _is_of(newest))
        .where(*coming, Preflight.problems > 0)
        .order_by(Event.starts_at, Event.id)
    )
    found = {
        row.id: Troubled(row.id, row.kind, row.title, row.starts_at, row.number_id, _findings(row))
        for row in await session.execute(statement)
    }
    return list(found.values())
