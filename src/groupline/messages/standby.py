"""Messages whose number is down at their time go through its standby number, if it has one.

A person sets a standby; without one nothing happens. Only what has certainly not been sent is
moved: a message with an attempt that was accepted, or whose fate is uncertain, stays.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.clock import Clock
from groupline.db import Database
from groupline.journal import SYSTEM
from groupline.messages.changes import MESSAGES, tell
from groupline.models import WhatsappGroup, WhatsappMembership, WhatsappNumber, WhatsappSession

EVERY_SECONDS: Final = 10.0
WAKES_ON: Final = frozenset({"sessions", "numbers"})
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
_group: Final[Table] = WhatsappGroup.__table__  # type: ignore[assignment]
_member: Final[Table] = WhatsappMembership.__table__  # type: ignore[assignment]


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
        .join(_group, _group.c.id == MESSAGES.c.group_id)
        .join(
            _member,
            and_(_member.c.number_id == _other.c.id, _member.c.group_id == MESSAGES.c.group_id),
        )
        .where(
            MESSAGES.c.status == "pending",
            MESSAGES.c.scheduled_for <= now,
            or_(MESSAGES.c.expires_at.is_(None), MESSAGES.c.expires_at > now),
            MESSAGES.c.gateway_id.is_(None),
            MESSAGES.c.accepted_at.is_(None),
            ~_connected(_own),
            _connected(_other),
            _other.c.paused_at.is_(None),
            or_(_other.c.restricted_until.is_(None), _other.c.restricted_until <= now),
            _member.c.is_active.is_(True),
            _group.c.is_community.is_(False),
            or_(_group.c.announce_only.is_(False), _member.c.is_admin.is_(True)),
        )
        .order_by(MESSAGES.c.scheduled_for, MESSAGES.c.id)
    )


def _connected(number: Table) -> ColumnElement[bool]:
    return exists().where(
        WhatsappSession.organization_id == number.c.organization_id,
        WhatsappSession.number_id == number.c.id,
        WhatsappSession.status == "connected",
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
