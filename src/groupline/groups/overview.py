"""How it stands with the groups of each number: how many, since when, and what went wrong."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.groups.rules import NO_GROUPS
from groupline.groups.turns import Turn, running
from groupline.models import WhatsappMembership, WhatsappNumber, WhatsappSession


@dataclass(frozen=True, slots=True)
class SyncState:
    """One number, as the pages show it."""

    number_id: UUID
    phone_number: str
    display_name: str | None
    is_connected: bool
    groups: int
    """Groups the number is in."""
    synced_at: datetime | None
    running: Turn | None
    last_sync: dict[str, Any]

    @property
    def error(self) -> str | None:
        """Why the last sync failed, as a sentence; ``None`` if it did not."""
        return None if self.last_sync.get("success", True) else self.last_sync.get("error")

    @property
    def suspicious(self) -> str | None:
        """Why the last sync removed nothing."""
        return self.last_sync.get("suspicious")

    @property
    def failed_at(self) -> datetime | None:
        """When the last sync failed; ``None`` if it did not."""
        at = self.last_sync.get("at") if self.error else None
        return None if at is None else datetime.fromisoformat(at)

    @property
    def shows_none(self) -> bool:
        """It was in no group, and the gateway answered with an empty list."""
        return self.suspicious == NO_GROUPS

    @property
    def can_be_confirmed(self) -> bool:
        return bool(self.last_sync.get("canBeConfirmed"))


async def sync_states(
    session: AsyncSession, organization_id: UUID, now: datetime
) -> list[SyncState]:
    """All numbers of the organization, the oldest first."""
    counts = (
        select(WhatsappMembership.number_id, func.count().label("groups"))
        .where(WhatsappMembership.organization_id == organization_id)
        .where(WhatsappMembership.is_active)
        .group_by(WhatsappMembership.number_id)
        .subquery()
    )
    rows = (
        await session.execute(
            select(WhatsappNumber, func.coalesce(counts.c.groups, 0), WhatsappSession.id)
            .outerjoin(counts, counts.c.number_id == WhatsappNumber.id)
            .outerjoin(
                WhatsappSession,
                (WhatsappSession.organization_id == WhatsappNumber.organization_id)
                & (WhatsappSession.number_id == WhatsappNumber.id)
                & (WhatsappSession.status == "connected"),
            )
            .where(WhatsappNumber.organization_id == organization_id)
            .order_by(WhatsappNumber.created_at, WhatsappNumber.id)
        )
    ).all()
    under_way = await running(session, [number.id for number, _, _ in rows], now)
    return [
        SyncState(
            number_id=number.id,
            phone_number=number.phone_number,
            display_name=number.display_name,
            is_connected=session_id is not None,
            groups=groups,
            synced_at=number.synced_at,
            running=under_way.get(number.id),
            last_sync=number.last_sync or {},
        )
        for number, groups, session_id in rows
    ]
