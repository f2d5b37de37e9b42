"""Messages whose number is down at their time go through its standby number, if it has one.

A person sets a standby; without one nothing happens. Only what has certainly not been sent is
moved: a message with an attempt that was accepted, or whose fate was ever uncertain, stays. What
has moved stays with the standby; two numbers can stand in for each other.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.clock import Clock
from groupline.db import Database
from groupline.groups.queries import may_write
from groupline.journal import SYSTEM
from groupline.messages.changes import MESSAGES, tell
from groupline.models import (
    Gateway,
    JournalEntry,
    NotificationCampaign,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)

EVERY_SECONDS: Final = 10.0
WAKES_ON: Final = frozenset({"sessions", "numbers", "gateways"})
PATIENCE: Final = timedelta(minutes=1)
"""A gateway that restarts is away for less. Only then is a number behind it down."""
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Move:
    """A message, the number that is down, and the one that takes over."""

    id: UUID
    organization_id: UUID
    from_number: UUID
    to_number: UUID


class Standby:
    """Looks for due messages of numbers that are down and have a standby."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> bool:
        now = self._clock.now()
        async with self._database.reading() as session:
            if (await session.execute(movable(now).limit(1))).first() is None:
                return False
        async with self._database.writing() as session:
            return await move(session, now=now) == _BATCH


async def move(session: AsyncSession, *, now: datetime) -> int:
    """Hands due messages over to the standby of their number; says how many."""
    statement = movable(now).limit(_BATCH).with_for_update(of=MESSAGES, skip_locked=True)
    moves = [Move(*row) for row in await session.execute(statement)]
    if not moves:
        return 0
    await session.execute(
        _MOVE, [{"message": each.id, "to": each.to_number, "at": now} for each in moves]
    )
    await journal.record_all(session, [_entry(each, now) for each in moves])
    await tell(session, ((each.organization_id, each.id) for each in moves))
    return len(moves)


_MOVE: Final = (
    update(MESSAGES)
    .where(MESSAGES.c.id == bindparam("message"))
    .values(number_id=bindparam("to"), updated_at=bindparam("at"))
)
_own: Final[Table] = WhatsappNumber.__table__.alias("own")  # type: ignore[assignment]
_other: Final[Table] = WhatsappNumber.__table__.alias("other")  # type: ignore[assignment]


def movable(now: datetime) -> Select[Any]:
    """Due, certainly not sent, its number down, and its standby able to write to the group."""
    return (
        select(MESSAGES.c.id, MESSAGES.c.organization_id, _own.c.id, _other.c.id)
        .select_from(_own)
        .join(
            _other,
            and_(
                _other.c.organization_id == _own.c.organization_id,
                _other.c.id == _own.c.standby_number_id,
            ),
        )
        .join(MESSAGES, MESSAGES.c.number_id == _own.c.id)
        .join(WhatsappGroup, WhatsappGroup.id == MESSAGES.c.group_id)
        .join(
            WhatsappMembership,
            and_(
                WhatsappMembership.number_id == _other.c.id,
                WhatsappMembership.group_id == MESSAGES.c.group_id,
            ),
        )
        .where(
            MESSAGES.c.status == "pending",
            MESSAGES.c.scheduled_for <= now,
            or_(MESSAGES.c.expires_at.is_(None), MESSAGES.c.expires_at > now),
            ~_is_held_by_its_campaign(),
            *_certainly_not_sent(),
            ~_is_up(_own, unreachable_since=now - PATIENCE),
            _is_up(_other, unreachable_since=None),
            _other.c.paused_at.is_(None),
            or_(_other.c.restricted_until.is_(None), _other.c.restricted_until <= now),
            ~WhatsappGroup.is_community,
            *may_write(),
        )
        .order_by(MESSAGES.c.scheduled_for, MESSAGES.c.id)
    )


def _certainly_not_sent() -> tuple[ColumnElement[bool], ...]:
    """No attempt was ever taken by a gateway, or left without an answer.

    The row knows the last attempt. The journal knows all of them: what one gateway has proven not
    to have sent may be repeated there, under its reference, but not through somebody else.
    """
    doubted = exists().where(
        JournalEntry.organization_id == MESSAGES.c.organization_id,
        JournalEntry.subject_id == MESSAGES.c.id,
        JournalEntry.action.in_(("message.accepted", "message.uncertain", "message.sent")),
    )
    return (MESSAGES.c.gateway_id.is_(None), MESSAGES.c.accepted_at.is_(None), ~doubted)


def _is_held_by_its_campaign() -> ColumnElement[bool]:
    """Nobody sends it now, so nobody takes it over."""
    return exists().where(
        NotificationCampaign.id == MESSAGES.c.campaign_id,
        NotificationCampaign.status.in_(("draft", "paused", "cancelled")),
    )


def _is_up(number: Table, *, unreachable_since: datetime | None) -> ColumnElement[bool]:
    """Connected, through a gateway that can be reached, or could until this time."""
    reachable: ColumnElement[bool] = Gateway.unreachable_since.is_(None)
    if unreachable_since is not None:
        reachable = or_(reachable, Gateway.unreachable_since > unreachable_since)
    return exists().where(
        WhatsappSession.organization_id == number.c.organization_id,
        WhatsappSession.number_id == number.c.id,
        WhatsappSession.status == "connected",
        Gateway.id == WhatsappSession.gateway_id,
        Gateway.enabled.is_(True),
        reachable,
    )


def _entry(each: Move, now: datetime) -> journal.Entry:
    return journal.Entry(
        action="message.moved",
        actor=SYSTEM,
        organization_id=each.organization_id,
        subject="message",
        subject_id=each.id,
        at=now,
        data={
            "status": "pending",
            "sentence": "Its number is down; the standby number sends it.",
            "from": str(each.from_number),
            "to": str(each.to_number),
        },
    )
