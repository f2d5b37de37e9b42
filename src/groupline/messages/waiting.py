"""Why a message that is due does not go: the state of its number's lane, in one sentence."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, ScalarSelect, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import moment
from groupline.messages.rules import PRIORITIES
from groupline.models import (
    Gateway,
    NotificationCampaign,
    Organization,
    ScheduledWhatsappMessage,
    WhatsappNumber,
    WhatsappSession,
)
from groupline.numbers.restrictions import named_end, next_try_sentence
from groupline.numbers.workers import is_missed, last_sign

message, campaign = ScheduledWhatsappMessage, NotificationCampaign


@dataclass(frozen=True, slots=True)
class Lane:
    """What the claim of a number's messages depends on."""

    is_connected: bool
    gateway_name: str | None = None
    gateway_enabled: bool = True
    gateway_down: bool = False
    paused_at: datetime | None = None
    is_busy: bool = False
    free_at: datetime | None = None
    hold_reason: str | None = None
    restricted_until: datetime | None = None
    """As WhatsApp says."""
    is_worked: bool = True
    """Some worker runs, or none is missed yet."""
    next_id: UUID | None = None
    """The message that goes as soon as the number may send."""
    zone: tzinfo = UTC
    """Of its organization: in it, sentences name points in time."""


NO_WORKER: Final = "No worker is running: nothing is sent until one runs."
OTHERS_FIRST: Final = "Other messages of the number go first."
HOLDS: Final[Mapping[str, str]] = {
    "not_connected": "The gateway says that the number is not connected; it is being verified.",
    "gateway_unreachable": "The gateway cannot be reached.",
    "gateway_busy": "The gateway is busy.",
    "gateway_refuses": "The gateway refuses Groupline's requests; an administrator has to look.",
    "rate_limited": "The gateway asked to send more slowly.",
    "restricted": "WhatsApp restricts what this number may send.",
}

Obstacle = Literal["paused", "disconnected", "switched_off", "gateway_down", "restricted", "held"]
_WITH_AN_END: Final = frozenset({"rate_limited", "restricted"})
"""Holds that end at their time. The others may begin anew then: the next try finds out."""


def obstacle(lane: Lane, now: datetime) -> str | None:
    """What has to change before the number sends anything. Its pace does not: it passes."""
    return _obstacle(lane, now) if lane.is_worked else NO_WORKER


def is_clear_by(lane: Lane, now: datetime, later: datetime) -> bool:
    """What holds the number back is known to be over by then."""
    is_held = lane.hold_reason is not None and lane.free_at is not None and lane.free_at > now
    if is_held and lane.hold_reason not in _WITH_AN_END:
        return False
    return obstacle(lane, later) is None


def first_obstacle(lane: Lane, now: datetime) -> Obstacle | None:
    if lane.paused_at is not None:
        return "paused"
    if not lane.is_connected:
        return "disconnected"
    if not lane.gateway_enabled:
        return "switched_off"
    if lane.gateway_down:
        return "gateway_down"
    if lane.restricted_until is not None and lane.restricted_until > now:
        return "restricted"
    is_held = lane.free_at is not None and lane.free_at > now and lane.hold_reason is not None
    return "held" if is_held else None


def named(sentence: str, lane: Lane) -> str:
    """With the name of the lane's gateway, if it is known."""
    name = f"“{lane.gateway_name}”" if lane.gateway_name else ""
    return sentence.format(name).replace("  ", " ")


def _obstacle(lane: Lane, now: datetime) -> str | None:  # noqa: PLR0911 - a table
    match first_obstacle(lane, now):
        case "paused" if lane.paused_at is not None:
            since = moment(lane.paused_at, lane.zone)
            return f"The number is paused since {since}, until somebody resumes sending."
        case "disconnected":
            return "The number is not connected."
        case "switched_off":
            return "The number's gateway is switched off."
        case "gateway_down":
            return named("The gateway {} cannot be reached.", lane)
        case "restricted" if lane.restricted_until is not None:
            until = moment(lane.restricted_until, lane.zone)
            return f"{HOLDS['restricted'].rstrip('.')} until {until}."
        case "held" if lane.hold_reason is not None and lane.free_at is not None:
            return _held(lane.hold_reason, lane.free_at, lane.zone)
    return None


def _held(reason: str, until: datetime, zone: tzinfo) -> str:
    sentence = HOLDS.get(reason, "The number is held back.")
    if reason == "rate_limited":  # the one end that a gateway names, and often a near one
        return f"{sentence} Nothing is sent until {moment(until, zone, to_the_second=True)}."
    if reason == "restricted":
        return f"{sentence} {next_try_sentence(until, zone)}"
    return sentence


async def lanes(
    session: AsyncSession, number_ids: Collection[UUID], now: datetime
) -> dict[UUID, Lane]:
    """The lanes of numbers as they are now."""
    if not number_ids:
        return {}
    number, pairing = WhatsappNumber, WhatsappSession
    busy = exists().where(message.number_id == number.id, message.status == "sending")
    statement = (
        select(
            number.id,
            number.paused_at,
            number.lane_free_at,
            number.lane_hold_reason,
            number.restricted_until,
            Organization.timezone,
            pairing.id.label("session_id"),
            Gateway.name.label("gateway_name"),
            Gateway.enabled,
            Gateway.unreachable_since,
            busy.label("is_busy"),
            next_of(number.id, now).label("next_id"),
            last_sign().label("last_sign"),
        )
        .join(Organization, Organization.id == number.organization_id)
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
    return {row.id: _lane(row, now) for row in await session.execute(statement)}


def _lane(row: Row[*tuple[Any, ...]], now: datetime) -> Lane:
    return Lane(
        is_connected=row.session_id is not None,
        gateway_name=row.gateway_name,
        gateway_enabled=row.enabled is not False,
        gateway_down=row.unreachable_since is not None,
        paused_at=row.paused_at,
        is_busy=bool(row.is_busy),
        free_at=row.lane_free_at,
        hold_reason=row.lane_hold_reason,
        restricted_until=named_end(row.restricted_until, row.lane_hold_reason, row.lane_free_at),
        is_worked=not is_missed(row.last_sign, now),
        next_id=row.next_id,
        zone=ZoneInfo(row.timezone),
    )


def next_of(number_id: Any, now: datetime) -> ColumnElement[UUID | None]:
    """The message that the number sends next, as a claim picks it: one look into the index of the
    lane for each priority. What only waits for the delay of its campaign comes after the rest."""
    held = ("draft", "paused", "cancelled")
    stopped, delayed = campaign.status.in_(held), campaign.next_send_at > now
    firsts = [
        _first(number_id, priority, now, unless)
        for unless in (or_(stopped, delayed), stopped)
        for priority in PRIORITIES
    ]
    return func.coalesce(*firsts)


def _first(
    number_id: Any, priority: int, now: datetime, unless: ColumnElement[bool]
) -> ScalarSelect[UUID]:
    later = message.next_attempt_at
    return (
        select(message.id)
        .where(
            message.number_id == number_id,
            message.status == "pending",
            message.priority == priority,
            message.scheduled_for <= now,
            or_(later.is_(None), later <= now),
            or_(message.expires_at.is_(None), message.expires_at > now),
            ~exists().where(campaign.id == message.campaign_id, unless),
        )
        .order_by(message.scheduled_for, message.id)
        .limit(1)
        .scalar_subquery()
    )
