"""One decision about many messages: those that were picked, or all that a filter matches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, assert_never
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import Conflict
from groupline.journal import Actor
from groupline.messages import rules
from groupline.messages.called_off import call_off, is_called_off, refuse_called_off
from groupline.messages.changes import MESSAGES, MessageRow, Step, fetch, for_change, write
from groupline.messages.held_back import HeldBack, held_back
from groupline.messages.queries import matching
from groupline.messages.requeue import requeue
from groupline.messages.rules import Change
from groupline.messages.schemas import Filter
from groupline.models import MessageStatus
from groupline.text import amount

BulkAction = Literal["cancel", "send_again", "discard", "arrived", "not_arrived"]

MAX_AT_ONCE: Final = 5_000
"""In one transaction. What is left over is told, and can be decided next."""

CAN: Final[Mapping[BulkAction, frozenset[MessageStatus]]] = {
    "cancel": frozenset({"pending"}),
    "send_again": frozenset({"failed", "expired"}),
    "discard": frozenset({"failed"}),
    "arrived": frozenset({"uncertain"}),
    "not_arrived": frozenset({"uncertain"}),
}
"""What a decision is about; messages in another state stay as they are."""

_EVERYTHING: Final = Filter()


@dataclass(frozen=True, slots=True)
class Selection:
    """Either the ids, or all that the filter matches."""

    filter: Filter = _EVERYTHING
    ids: Sequence[UUID] | None = None
    as_of: datetime | None = None
    """Leaves out what has changed since: a person decides about what they have seen. What was
    scheduled then has not changed by becoming due."""


_NOT_HELD: Final = HeldBack()


@dataclass(frozen=True, slots=True)
class Decided:
    done: int
    left: int
    """So many more could be decided, and were not, because they are too many for one turn."""
    called_off: int = 0
    """Of those that did not arrive: their campaign was cancelled, so they are not sent again."""
    held: HeldBack = _NOT_HELD
    """Of those that are sent again."""

    @property
    def not_again(self) -> str:
        """What has become of those that were called off, as a sentence."""
        many = amount(self.called_off, "message is", "messages are")
        whose = "its" if self.called_off == 1 else "their"
        return f"{many} put away and not sent again: {whose} campaign was cancelled."


async def count(
    session: AsyncSession,
    organization_id: UUID,
    action: BulkAction,
    selection: Selection,
    *,
    now: datetime,
) -> int:
    """How many messages the decision is about."""
    chosen = _chosen(organization_id, action, selection, now).subquery()
    return await session.scalar(select(func.count()).select_from(chosen)) or 0


async def decide(
    session: AsyncSession,
    organization_id: UUID,
    action: BulkAction,
    selection: Selection,
    *,
    actor: Actor,
    now: datetime,
    most: int = MAX_AT_ONCE,
    at_most: int | None = None,
) -> Decided:
    """Decides, and answers with what was written. What cannot be decided so is left alone.

    at_most: so many somebody was asked about. If it is about more by now, nothing is written.
    """
    first = first_of(organization_id, action, selection, now=now, most=most)
    # Asked again of the locked rows: somebody else may have been quicker.
    statement = for_change().where(MESSAGES.c.id.in_(first), MESSAGES.c.status.in_(CAN[action]))
    rows = await fetch(session, statement)
    if action == "send_again" and not rows and selection.ids is not None:
        await refuse_called_off(session, organization_id, selection.ids)
    await _carry_out(session, action, rows, actor, now)
    called_off = 0
    if action == "not_arrived" and rows:
        ids = [row.id for row in rows]
        called_off = await call_off(session, organization_id, ids, actor=actor, now=now)
    left = await count(session, organization_id, action, selection, now=now) if rows else 0
    if at_most is not None and len(rows) + left > at_most:
        raise not_as_asked(len(rows) + left)
    held = _NOT_HELD
    if action in ("send_again", "not_arrived"):
        held = await held_back(session, [row.id for row in rows], now)
    return Decided(done=len(rows), left=left, called_off=called_off, held=held)


def first_of(
    organization_id: UUID,
    action: BulkAction,
    selection: Selection,
    *,
    now: datetime,
    most: int = MAX_AT_ONCE,
) -> Select[tuple[UUID]]:
    """The messages that one decision is about: those that fit one turn."""
    wanted = _chosen(organization_id, action, selection, now)
    return wanted.order_by(MESSAGES.c.scheduled_for, MESSAGES.c.id).limit(most)


def not_as_asked(found: int) -> Conflict:
    noun = "message" if found == 1 else "messages"
    return Conflict(
        f"By now it is about {found:,} {noun}.",
        hint="Nothing was changed. Look at them, and decide again.",
        state=str(found),
    )


def _chosen(
    organization_id: UUID, action: BulkAction, selection: Selection, now: datetime
) -> Select[tuple[UUID]]:
    if selection.ids is None:
        statement = matching(organization_id, selection.filter, selection.as_of or now)
    else:
        statement = select(MESSAGES.c.id).where(
            MESSAGES.c.organization_id == organization_id, MESSAGES.c.id.in_(selection.ids)
        )
    statement = statement.where(MESSAGES.c.status.in_(CAN[action]))
    if action == "send_again":
        statement = statement.where(~is_called_off())
    if selection.as_of is not None:
        statement = statement.where(MESSAGES.c.updated_at <= selection.as_of)
    return statement


async def _carry_out(
    session: AsyncSession,
    action: BulkAction,
    rows: Sequence[MessageRow],
    actor: Actor,
    now: datetime,
) -> None:
    if action in ("arrived", "not_arrived") and rows:
        await session.execute(
            update(MESSAGES)
            .where(MESSAGES.c.id.in_([row.id for row in rows]))
            .values(resolved_by=actor.reference, resolved_at=now)
        )
    steps = [Step(row, _change(action, row), {"outcome": action, "by": "person"}) for row in rows]
    await write(session, steps, actor=actor, now=now)
    if action in ("send_again", "not_arrived"):
        await requeue(session, rows, now=now)


def _change(action: BulkAction, row: MessageRow) -> Change:
    match action:
        case "cancel" | "discard":
            return rules.cancelled(row.facts())
        case "send_again":
            return rules.sent_again(row.facts())
        case "arrived" | "not_arrived":
            return rules.resolved(row.facts(), arrived=action == "arrived")
        case _:
            assert_never(action)
