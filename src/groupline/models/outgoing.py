"""What goes out about the journal: webhooks to other systems, alerts to people."""

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

DeliveryStatus = Literal["pending", "delivered", "failed"]

_PENDING = text("status = 'pending'")
_WAITING = text("raised_at IS NULL")


class WebhookEndpoint(OfOrganization):
    __tablename__ = "webhook_endpoints"
    __table_args__ = (organization_key(), check("url", "url <> ''"))

    url: Mapped[str]
    description: Mapped[str | None]
    secret: Mapped[str]
    """Encrypted."""
    previous_secret: Mapped[str | None]
    """Encrypted. It signs as well for a day after the rotation, so that receivers can change."""
    rotated_at: Mapped[datetime | None]
    event_types: Mapped[list[str]]
    enabled: Mapped[bool] = mapped_column(default=True)
    enabled_at: Mapped[datetime | None]
    """When it was switched on again: what happened before that is not sent."""
    last_error: Mapped[str | None]
    last_error_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class WebhookDelivery(OfOrganization):
    """``journal_id`` is no foreign key: the delivery log may outlive the journal's retention."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("endpoint_id", "journal_id"),
        within_organization("endpoint_id", "webhook_endpoints"),
        Index(
            "ix_webhook_deliveries_due",
            "next_attempt_at",
            sqlite_where=_PENDING,
            postgresql_where=_PENDING,
        ),
        Index("ix_webhook_deliveries_list", "endpoint_id", "created_at", "id"),
        Index("ix_webhook_deliveries_created", "created_at"),
        one_of("status", DeliveryStatus),
        check("attempts", "attempts >= 0"),
        check("delivered", "status <> 'delivered' OR delivered_at IS NOT NULL"),
    )

    endpoint_id: Mapped[UUID]
    journal_id: Mapped[UUID]
    event_type: Mapped[str]
    payload: Mapped[dict[str, Any]]
    status: Mapped[DeliveryStatus] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    response_status: Mapped[int | None]
    last_error: Mapped[str | None]
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class AlertChannel(OfOrganization):
    __tablename__ = "alert_channels"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "name"),
        check("name", "name <> ''"),
    )

    name: Mapped[str]
    url: Mapped[str]
    """Encrypted: it usually contains a token."""
    kinds: Mapped[list[str]]
    enabled: Mapped[bool] = mapped_column(default=True)
    last_error: Mapped[str | None]
    last_error_at: Mapped[datetime | None]
    last_delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Alert(OfOrganization):
    """Something a person should know of. It waits until it is due, and is dropped if it passes.

    ``key`` is what makes it the same alert: many causes of one kind within a minute, or the same
    cause that is read twice, are one row.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "key"),
        Index("ix_alerts_due", "due_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_alerts_open", "organization_id", "kind", "subject_id"),
        Index("ix_alerts_list", "organization_id", "raised_at"),
        Index("ix_alerts_created", "created_at"),
        check("count", "count > 0"),
        check("raised", "raised_at IS NULL OR title IS NOT NULL"),
    )

    kind: Mapped[str]
    key: Mapped[str]
    subject: Mapped[str]
    subject_id: Mapped[UUID | None]
    data: Mapped[dict[str, Any]]
    count: Mapped[int] = mapped_column(default=1)
    happened_at: Mapped[datetime]
    due_at: Mapped[datetime]
    raised_at: Mapped[datetime | None]
    """When it was written to the channels, with its text."""
    title: Mapped[str | None]
    text: Mapped[str | None]
    link: Mapped[str | None]
    """Where it can be dealt with: a path of the dashboard."""
    resolved_at: Mapped[datetime | None]
    """When its cause was gone, or a person had seen it."""
    created_at: Mapped[datetime]


class AlertDelivery(OfOrganization):
    """One alert to one channel."""

    __tablename__ = "alert_deliveries"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("alert_id", "channel_id"),
        within_organization("alert_id", "alerts"),
        within_organization("channel_id", "alert_channels"),
        Index(
            "ix_alert_deliveries_due",
            "next_attempt_at",
            sqlite_where=_PENDING,
            postgresql_where=_PENDING,
        ),
        Index("ix_alert_deliveries_channel", "channel_id"),
        one_of("status", DeliveryStatus),
        check("attempts", "attempts >= 0"),
        check("delivered", "status <> 'delivered' OR delivered_at IS NOT NULL"),
    )

    alert_id: Mapped[UUID]
    channel_id: Mapped[UUID]
    status: Mapped[DeliveryStatus] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    last_error: Mapped[str | None]
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
