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


class WebhookEndpoint(OfOrganization):
    __tablename__ = "webhook_endpoints"
    __table_args__ = (organization_key(), check("url", "url <> ''"))

    url: Mapped[str]
    description: Mapped[str | None]
    secret: Mapped[str]
    """Encrypted."""
    event_types: Mapped[list[str]]
    enabled: Mapped[bool] = mapped_column(default=True)
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
    created_at: Mapped[datetime]
