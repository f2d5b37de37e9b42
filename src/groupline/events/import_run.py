"""Writing the events that a table describes."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.imports import FoundEvent
from groupline.events.service import GROUPS, VARIABLES, create
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import EventKind


async def create_all(
    session: AsyncSession,
    organization_id: UUID,
    kind: EventKind,
    wanted: Sequence[FoundEvent],
    *,
    actor: Actor,
    now: datetime,
) -> list[UUID]:
    """The events of a table with their groups and values, all or none."""
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
