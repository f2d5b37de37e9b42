"""Workshops and webinars: two words for the user, one table."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import (
    OfOrganization,
    check,
    one_of,
    organization_key,
    within_organization,
)

EventKind = Literal["workshop", "webinar"]
EventStatus = Literal["planned", "cancelled", "done"]


class Event(OfOrganization):
    __tablename__ = "events"
    __table_args__ = (
        organization_key(),
        within_organization("number_id", "whatsapp_numbers"),
        within_organization("sequence_id", "sequences"),
        Index("ix_events_list", "organization_id", "kind", "starts_at", "id"),
        Index("ix_events_number", "number_id", "status"),
        Index("ix_events_sequence", "sequence_id"),
        Index("ix_events_starts", "status", "starts_at"),
        one_of("kind", EventKind),
        one_of("status", EventStatus),
        check("title", "title <> ''"),
        check("timezone", "timezone <> ''"),
        check("ends_at", "ends_at > starts_at"),
    )

    kind: Mapped[EventKind]
    title: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    timezone: Mapped[str]
    number_id: Mapped[UUID | None]
    sequence_id: Mapped[UUID | None]
    status: Mapped[EventStatus] = mapped_column(default="planned")
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class EventGroup(OfOrganization):
    __tablename__ = "event_groups"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("event_id", "group_id"),
        within_organization("event_id", "events"),
        within_organization("group_id", "whatsapp_groups"),
        Index("ix_event_groups_group", "group_id"),
    )

    event_id: Mapped[UUID]
    group_id: Mapped[UUID]
    created_at: Mapped[datetime]


class EventVariable(OfOrganization):
    __tablename__ = "event_variables"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("event_id", "key"),
        within_organization("event_id", "events"),
        check("key", "key <> ''"),
    )

    event_id: Mapped[UUID]
    key: Mapped[str]
    value: Mapped[str]
    updated_at: Mapped[datetime]


PreflightPoint = Literal["button", "day", "hour"]

_BY_ITSELF = text("point <> 'button'")


class Preflight(OfOrganization):
    """One look at an event before it begins: asked for by a person, or a day and an hour before.

    The worker looks once for each start: who writes the row has the turn until ``claimed_until``.
    """

    __tablename__ = "preflights"
    __table_args__ = (
        organization_key(),
        within_organization("event_id", "events"),
        Index("ix_preflights_event", "event_id", "checked_at"),
        Index(
            "uq_preflights_turn",
            *("event_id", "point", "starts_at"),
            unique=True,
            sqlite_where=_BY_ITSELF,
            postgresql_where=_BY_ITSELF,
        ),
        one_of("point", PreflightPoint),
        check("checked", "(checked_at IS NULL) = (findings IS NULL)"),
        check("turn", "checked_at IS NOT NULL OR claimed_until IS NOT NULL"),
    )

    event_id: Mapped[UUID]
    point: Mapped[PreflightPoint]
    starts_at: Mapped[datetime]
    """Of the event, when it was looked at."""
    claimed_until: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    findings: Mapped[dict[str, Any] | None]
    problems: Mapped[int] = mapped_column(default=0)
