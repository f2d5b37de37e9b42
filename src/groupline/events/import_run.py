"""Taking a table of events: looked at first, then written, by page, API and command line alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import InvalidInput
from groupline.events.choices import known_to_imports
from groupline.events.imports import (
    FoundEvent,
    FoundEvents,
    PresentEvent,
    find_events,
    with_present,
)
from groupline.events.service import GROUPS, VARIABLES, create
from groupline.events.tables import Mistake, read_table
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import Event, EventKind, Organization


@dataclass(frozen=True, slots=True)
class Imported:
    """What a table became."""

    found: FoundEvents
    ids: tuple[UUID, ...]
    """Of the events that were planned; none if it was only looked at."""
    again: bool = False
    committed: bool = True

    @property
    def planned(self) -> int:
        """How many are planned, or would be."""
        return len(self.found.events if self.again else self.found.new)

    @property
    def skipped(self) -> int:
        """How many are left out, as they are there already."""
        return len(self.found.events) - self.planned


class TableRefused(InvalidInput):
    """Some lines cannot be taken; nothing was written."""

    code, title = "table_refused", "Some lines cannot be taken"

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        said = [f"line {each.line}: {each.why}" for each in mistakes[:_NAMED]]
        more = len(mistakes) - _NAMED
        super().__init__(
            "; ".join([*said, f"and {more:,} more"] if more > 0 else said),
            fields={f"line {each.line}": each.why for each in mistakes},
        )


_NAMED: Final = 5


async def look(
    session: AsyncSession,
    organization_id: UUID,
    kind: EventKind,
    data: bytes | str,
    *,
    timezone: str,
    now: datetime,
) -> FoundEvents:
    """What a table says, and which of its events are there already. Nothing is written."""
    table = read_table(data)
    known = await known_to_imports(session, organization_id, timezone)
    found = find_events(table, known, now)
    present = await _present(session, organization_id, kind, found.events)
    return with_present(found, present)


async def take(
    session: AsyncSession,
    organization_id: UUID,
    kind: EventKind,
    data: bytes | str,
    *,
    timezone: str,
    again: bool = False,
    actor: Actor,
    now: datetime,
) -> Imported:
    """Plans the events of a table with their groups and values, all or none.

    Those that are there already are left out, unless they are wanted once more.
    """
    await _one_at_a_time(session, organization_id)
    found = await look(session, organization_id, kind, data, timezone=timezone, now=now)
    if found.mistakes:
        raise TableRefused(found.mistakes)
    wanted = found.events if again else found.new
    ids = await _create_all(session, organization_id, kind, wanted, actor=actor, now=now)
    return Imported(found, tuple(ids), again)


async def _one_at_a_time(session: AsyncSession, organization_id: UUID) -> None:
    """The same table twice at once is planned once."""
    own = select(Organization.id).where(Organization.id == organization_id)
    await session.execute(own.with_for_update(key_share=True))


async def _present(
    session: AsyncSession, organization_id: UUID, kind: EventKind, events: Iterable[FoundEvent]
) -> list[PresentEvent]:
    starts = {each.event.starts_at for each in events}
    statement = (
        select(Event.id, Event.title, Event.starts_at, Event.status)
        .where(
            Event.organization_id == organization_id,
            Event.kind == kind,
            Event.starts_at.in_(starts),
        )
        .order_by(Event.id)
    )
    return [PresentEvent(*row) for row in await session.execute(statement)]


async def _create_all(
    session: AsyncSession,
    organization_id: UUID,
    kind: EventKind,
    wanted: Sequence[FoundEvent],
    *,
    actor: Actor,
    now: datetime,
) -> list[UUID]:
    ids = []
    for each in wanted:
        event_id = await create(session, organization_id, kind, each.event, actor=actor, now=now)
        own = {"organization_id": organization_id, "event_id": event_id}
        groups = [
            {"id": new_id(), **own, "group_id": group.id, "created_at": now}
            for group in each.groups
        ]
        values = [
            {"id": new_id(), **own, "key": name, "value": value, "updated_at": now}
            for name, value in each.values.items()
        ]
        if groups:
            await session.execute(insert(GROUPS), groups)
        if values:
            await session.execute(insert(VARIABLES), values)
        ids.append(event_id)
    return ids
