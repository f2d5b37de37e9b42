"""Why a message that is due does not go: the state of its number's lane, in one sentence."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import (
    Gateway,
    ScheduledWhatsappMessage,
    WhatsappNumber,
    WhatsappSession,
)


@dataclass(frozen=True, slots=True)
class Lane:
    """What the claim of a number's messages depends on."""

    is_connected: bool
    gateway_name: str | None = None
    gateway_enabled: bool = True
    gateway_down: bool = False
    is_paused: bool = False
    is_busy: bool = False
    free_at: datetime | None = None
    hold_reason: str | None = None
    restricted_until: datetime | None = None


HOLDS: Final[Mapping[str, str]] = {
    "not_connected": "The gateway says that the number is not connected; it is being verified.",
    "gateway_unreachable": "The gateway cannot be reached.",
    "gateway_busy": "The gateway is busy.",
    "gateway_refuses": "The gateway refuses Groupline's requests; an administrator has to look.",
    "rate_limited": "The gateway asks to send more slowly.",
    "restricted": "WhatsApp restricts what this number may send.",
}


def waiting_sentence(lane: Lane, now: datetime) -> str | None:  # noqa: PLR0911 - a table
    """The first thing that stands in the way, or ``None``."""
    if lane.is_paused:
        return "The number is paused."
    if not lane.is_connected:
        return "The number is not connected."
    if not lane.gateway_enabled:
        return "The number's gateway is switched off."
    if lane.gateway_down:
        return f"The gateway {lane.gateway_name or ''} cannot be reached.".replace("  ", " ")
    if lane.restricted_until is not None and lane.restricted_until > now:
        return HOLDS["restricted"]
    if lane.free_at is not None and lane.free_at > now and lane.hold_reason is not None:
        return HOLDS.get(lane.hold_reason, "The number is held back.")
    if lane.is_busy:
        return "Other messages of the number go first."
    if lane.free_at is not None and lane.free_at > now:
        return "The number pauses between two messages."
    return None


async def lanes(session: AsyncSession, number_ids: Collection[UUID]) -> dict[UUID, Lane]:
    """The lanes of numbers as they are now."""
    if not number_ids:
        return {}
    number, pairing, message = WhatsappNumber, WhatsappSession, ScheduledWhatsappMessage
    busy = exists().where(message.number_id == number.id, message.status == "sending")
    statement = (
        select(
            number.id,
            number.paused_at,
            number.lane_free_at,
            number.lane_hold_reason,
            number.restricted_until,
            pairing.id.label("session_id"),
            Gateway.name.label("gateway_name"),
            Gateway.enabled,
            Gateway.unreachable_since,
            busy.label("is_busy"),
        )
        .outerjoin(
            pairing,
            and_(
                pairing.organization_id == number.organization_id,
                pairing.number_id == number.id,
                pairing.status == "connected",
            ),
        )
        .outerjoin(Gateway, Gateway.id == pairing.gateway_id)
        .where(number.id.in_(number_ids))
    )
    return {row.id: _lane(row) for row in await session.execute(statement)}


def _lane(row: Row[*tuple[Any, ...]]) -> Lane:
    return Lane(
        is_connected=row.session_id is not None,
        gateway_name=row.gateway_name,
        gateway_enabled=row.enabled is not False,
        gateway_down=row.unreachable_since is not None,
        is_paused=row.paused_at is not None,
        is_busy=bool(row.is_busy),
        free_at=row.lane_free_at,
        hold_reason=row.lane_hold_reason,
        restricted_until=row.restricted_until,
    )
