"""The groups of an event."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import Conflict, InvalidInput, NotFound
from groupline.events.group_queries import event_groups, group_names
from groupline.events.pending import cancel_pending, count_pending
from groupline.events.queries import get_event, lock_event
from groupline.events.rules import check_planned
from groupline.events.schemas import EventGroupView, EventView, GroupsChanged
from groupline.events.telling import in_words, tell
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.messages.changes import MESSAGES
from groupline.messages.schemas import GroupsRefused, RefusedGroup
from groupline.messages.service import MAX_GROUPS
from groupline.models import EventGroup, EventKind, WhatsappGroup

GROUPS: Final[Table] = EventGroup.__table__  # type: ignore[assignment]


async def set_groups(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    group_ids: Collection[UUID],
    *,
    kind: EventKind | None = None,
    cancel_messages: bool = False,
    actor: Actor,
    now: datetime,
) -> GroupsChanged:
    """Makes these the groups of the event.

    Where a group that is taken out has pending messages, they are called off too, which has to be
    asked for.
    """
    await lock_event(session, organization_id, event_id, kind)
    event = await get_event(session, organization_id, event_id, now=now)
    check_planned(event.kind, event.status)
    wanted = dict.fromkeys(group_ids)
    if len(wanted) > MAX_GROUPS:
        raise InvalidInput("Too many groups.", fields={"groupIds": f"at most {MAX_GROUPS:,}"})
    present = await group_names(session, organization_id, event_id)
    added = [each for each in wanted if each not in present]
    removed = [each for each in present if each not in wanted]
    await _check_groups_exist(session, organization_id, added)
    cancelled = await _take_out(
        session, event, removed, cancel_messages=cancel_messages, actor=actor, now=now
    )
    if added:
        own = {"organization_id": organization_id, "event_id": event_id, "created_at": now}
        rows = [{"id": new_id(), **own, "group_id": each} for each in added]
        await session.execute(insert(GROUPS), rows)
    changed = GroupsChanged(len(added), len(removed), len(wanted), cancelled)
    data = {"added": len(added), "removed": len(removed), "cancelledMessages": cancelled}
    if added or removed:
        await tell(
            session,
            "event.groups_changed",
            organization_id=organization_id,
            event_id=event_id,
            data=data,
            actor=actor,
            now=now,
        )
    return changed


async def _take_out(
    session: AsyncSession,
    event: EventView,
    removed: Sequence[UUID],
    *,
    cancel_messages: bool,
    actor: Actor,
    now: datetime,
) -> int:
    if not removed:
        return 0
    of_removed = MESSAGES.c.group_id.in_(removed)
    pending = await count_pending(session, event.organization_id, event.id, of_removed)
    if pending and not cancel_messages:
        many = "1 group" if len(removed) == 1 else f"{len(removed):,} groups"
        raise Conflict(
            f"{many} would be taken out for which {in_words(pending)} are scheduled.",
            hint="Confirm that these messages are cancelled too.",
            state=event.status,
            pendingMessages=pending,
            removedGroups=len(removed),
        )
    await session.execute(
        delete(GROUPS).where(
            GROUPS.c.organization_id == event.organization_id,
            GROUPS.c.event_id == event.id,
            GROUPS.c.group_id.in_(removed),
        )
    )
    if not pending:
        return 0
    return await cancel_pending(
        session,
        event.organization_id,
        event.id,
        of_removed,
        reason="group_removed",
        actor=actor,
        now=now,
    )


async def _check_groups_exist(
    session: AsyncSession, organization_id: UUID, group_ids: Collection[UUID]
) -> None:
    """Whether a number may write to a group changes, and is checked later. A community parent
    can never be written to."""
    if not group_ids:
        return
    statement = select(
        WhatsappGroup.id, WhatsappGroup.group_name, WhatsappGroup.is_community
    ).where(WhatsappGroup.organization_id == organization_id, WhatsappGroup.id.in_(group_ids))
    rows = (await session.execute(statement)).all()
    if len(rows) < len(group_ids):
        raise NotFound("There is no such group.")
    why = "This is a community; messages go to the groups in it."
    refused = [
        RefusedGroup(row.id, row.group_name, "community_parent", why)
        for row in rows
        if row.is_community
    ]
    if refused:
        raise GroupsRefused(refused)


async def unreachable_groups(
    session: AsyncSession, organization_id: UUID, event_id: UUID, number_id: UUID | None
) -> list[EventGroupView]:
    """The event's groups that the number cannot write to."""
    groups = await event_groups(session, organization_id, event_id, number_id)
    return [group for group in groups if group.refusal is not None]
