"""Moving a number's work to another number, for when its phone or its SIM is gone.

What is planned moves. What happened stays with the number that did it, and so does what the other
number cannot do: messages to groups that it is not in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Exists, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from groupline import journal
from groupline.db import Topic, announce
from groupline.errors import InvalidInput
from groupline.journal import Actor
from groupline.models import (
    Base,
    Event,
    EventGroup,
    NotificationCampaign,
    Organization,
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
)
from groupline.numbers import queries

_UNFINISHED: Final = ("draft", "scheduled", "sending", "paused")
_TOPICS: Final[tuple[Topic, ...]] = (
    "numbers",
    "events",
    "campaigns",
    "messages",
    "organization",
)


@dataclass(frozen=True, slots=True)
class MissingGroup:
    """A group that the work is about and the other number is not in."""

    id: UUID
    name: str | None
    messages: int
    """Pending ones to it: they stay."""


@dataclass(frozen=True, slots=True)
class Handover:
    source: WhatsappNumber
    target: WhatsappNumber
    target_connected: bool
    moves: dict[str, int]
    """What was, or would be, moved, by kind."""
    stays: dict[str, int]
    missing_groups: Sequence[MissingGroup]
    moved: bool


async def hand_over(
    session: AsyncSession,
    organization_id: UUID,
    source_id: UUID,
    target_id: UUID,
    *,
    dry_run: bool,
    actor: Actor,
    now: datetime,
) -> Handover:
    """In the caller's transaction. The dry run says what would happen, and changes nothing."""
    if source_id == target_id:
        raise InvalidInput(
            "A number cannot hand its work over to itself.",
            fields={"to": "must be another number"},
        )
    source = await queries.get_number(session, organization_id, source_id)
    target = await queries.get_number(session, organization_id, target_id)
    work = _Work(organization_id, source_id, target_id)
    missing = await work.missing_groups(session)
    connected = await queries.connected_session(session, organization_id, target_id)
    moves = await work.count(session) if dry_run else await work.move(session, now)
    done = Handover(
        source=source,
        target=target,
        target_connected=connected is not None,
        moves=moves,
        stays=await work.count_staying(session),
        missing_groups=missing,
        moved=not dry_run,
    )
    if not dry_run:
        await _tell(session, done, actor, now)
    return done


@dataclass(frozen=True, slots=True)
class _Work:
    """The rows that a handover is about."""

    organization_id: UUID
    source_id: UUID
    target_id: UUID

    def events(self, kind: str) -> tuple[ColumnElement[bool], ...]:
        return (
            Event.organization_id == self.organization_id,
            Event.number_id == self.source_id,
            Event.kind == kind,
            Event.status == "planned",
        )

    @property
    def campaigns(self) -> tuple[ColumnElement[bool], ...]:
        return (
            NotificationCampaign.organization_id == self.organization_id,
            NotificationCampaign.number_id == self.source_id,
            NotificationCampaign.status.in_(_UNFINISHED),
        )

    @property
    def pending(self) -> tuple[ColumnElement[bool], ...]:
        return (
            ScheduledWhatsappMessage.organization_id == self.organization_id,
            ScheduledWhatsappMessage.number_id == self.source_id,
            ScheduledWhatsappMessage.status == "pending",
        )

    def target_is_in(self, group_id: InstrumentedAttribute[UUID]) -> Exists:
        return exists().where(
            WhatsappMembership.organization_id == self.organization_id,
            WhatsappMembership.number_id == self.target_id,
            WhatsappMembership.group_id == group_id,
            WhatsappMembership.is_active.is_(True),
        )

    @property
    def default(self) -> tuple[ColumnElement[bool], ...]:
        return (
            Organization.id == self.organization_id,
            Organization.community_number_id == self.source_id,
        )

    def kinds(self) -> dict[str, tuple[type[Base], tuple[ColumnElement[bool], ...]]]:
        """What moves, by the name of its kind."""
        return {
            "workshops": (Event, self.events("workshop")),
            "webinars": (Event, self.events("webinar")),
            "campaigns": (NotificationCampaign, self.campaigns),
            "messages": (
                ScheduledWhatsappMessage,
                (*self.pending, self.target_is_in(ScheduledWhatsappMessage.group_id)),
            ),
            "organizations": (Organization, self.default),
        }

    async def count(self, session: AsyncSession) -> dict[str, int]:
        return {
            kind: await _count(session, model, where)
            for kind, (model, where) in self.kinds().items()
        }

    async def move(self, session: AsyncSession, now: datetime) -> dict[str, int]:
        """A message that a worker claims at this moment is no longer pending, and stays."""
        moved = {}
        for kind, (model, where) in self.kinds().items():
            values: dict[str, object] = {"number_id": self.target_id, "updated_at": now}
            if model is Organization:
                values = {"community_number_id": self.target_id}
            result = await session.execute(
                update(model)
                .where(*where)
                .values(values)
                .execution_options(synchronize_session=False)
            )
            moved[kind] = int(result.rowcount)  # type: ignore[attr-defined]  # of an UPDATE
        return moved

    async def count_staying(self, session: AsyncSession) -> dict[str, int]:
        under_way = (
            ScheduledWhatsappMessage.organization_id == self.organization_id,
            ScheduledWhatsappMessage.number_id == self.source_id,
            ScheduledWhatsappMessage.status.in_(("sending", "accepted", "uncertain")),
        )
        not_in_the_group = (
            *self.pending,
            ~self.target_is_in(ScheduledWhatsappMessage.group_id),
        )
        return {
            "messages": await _count(session, ScheduledWhatsappMessage, not_in_the_group),
            "messagesUnderWay": await _count(session, ScheduledWhatsappMessage, under_way),
        }

    async def missing_groups(self, session: AsyncSession) -> list[MissingGroup]:
        """Of pending messages and of planned events."""
        message = ScheduledWhatsappMessage
        waiting = (
            select(message.group_id, func.count().label("messages"))
            .where(*self.pending)
            .group_by(message.group_id)
            .subquery()
        )
        of_events = (
            select(EventGroup.group_id)
            .join(
                Event,
                (Event.organization_id == EventGroup.organization_id)
                & (Event.id == EventGroup.event_id),
            )
            .where(
                Event.organization_id == self.organization_id,
                Event.number_id == self.source_id,
                Event.status == "planned",
            )
        )
        count = func.coalesce(waiting.c.messages, 0)
        rows = await session.execute(
            select(WhatsappGroup.id, WhatsappGroup.group_name, count.label("messages"))
            .outerjoin(waiting, waiting.c.group_id == WhatsappGroup.id)
            .where(
                WhatsappGroup.organization_id == self.organization_id,
                waiting.c.group_id.is_not(None) | WhatsappGroup.id.in_(of_events),
                ~self.target_is_in(WhatsappGroup.id),
            )
            .order_by(WhatsappGroup.group_name, WhatsappGroup.id)
        )
        return [MissingGroup(row.id, row.group_name, row.messages) for row in rows]


async def _count(
    session: AsyncSession, model: type[Base], where: Sequence[ColumnElement[bool]]
) -> int:
    statement = select(func.count()).select_from(model).where(*where)
    return (await session.execute(statement)).scalar_one()


async def _tell(session: AsyncSession, done: Handover, actor: Actor, now: datetime) -> None:
    organization_id = done.source.organization_id
    await journal.record(
        session,
        action="number.handed_over",
        actor=actor,
        organization_id=organization_id,
        subject="number",
        subject_id=done.source.id,
        data={"to": str(done.target.id), "moved": done.moves, "stays": done.stays},
        at=now,
    )
    for topic in _TOPICS:
        await announce(session, topic, organization_id=organization_id, subject_id=None)
