"""Gateways, and what they report."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import Identified, check, one_of

GatewayKind = Literal["groupline", "waha", "evolution", "gowa"]
ManagedEngine = Literal["simulator", "whatsmeow"]
InboundKind = Literal[
    "status", "send_callback", "message_error", "receipt", "reaction", "membership", "unknown"
]
InboundOutcome = Literal["applied", "outdated", "repeated", "unmatched", "ambiguous", "invalid"]


class Gateway(Identified):
    """An HTTP server that speaks WhatsApp for us, shared by the organizations."""

    __tablename__ = "gateways"
    __table_args__ = (
        UniqueConstraint("name"),
        UniqueConstraint("managed_engine"),
        one_of("kind", GatewayKind),
        one_of("managed_engine", ManagedEngine),
        check("name", "name <> ''"),
        check("base_url", "base_url <> ''"),
        check("max_in_flight", "max_in_flight > 0"),
    )

    name: Mapped[str]
    kind: Mapped[GatewayKind]
    managed_engine: Mapped[ManagedEngine | None]
    """Set for those that ``groupline up`` starts and registers by itself."""
    base_url: Mapped[str]
    credentials: Mapped[str]
    """Encrypted."""
    webhook_secrets: Mapped[str | None]
    """Encrypted JSON list, newest first; two of them during a rotation."""
    max_in_flight: Mapped[int] = mapped_column(default=50)
    enabled: Mapped[bool] = mapped_column(default=True)
    last_seen_at: Mapped[datetime | None]
    unreachable_since: Mapped[datetime | None]
    last_error: Mapped[str | None]
    last_error_code: Mapped[str | None]
    version: Mapped[str | None]
    engine: Mapped[str | None]
    capabilities: Mapped[list[str]] = mapped_column(default=list)
    last_webhook_at: Mapped[datetime | None]
    webhooks_rejected: Mapped[int] = mapped_column(default=0)
    webhook_rejected_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class InboundEvent(Identified):
    """A webhook as it came: stored before it is understood, kept until it can be applied."""

    __tablename__ = "inbound_events"
    __table_args__ = (
        UniqueConstraint("gateway_id", "content_hash"),
        Index(
            "ix_inbound_events_waiting",
            "next_try_at",
            sqlite_where=text("next_try_at IS NOT NULL"),
            postgresql_where=text("next_try_at IS NOT NULL"),
        ),
        Index("ix_inbound_events_received", "received_at"),
        one_of("kind", InboundKind),
        one_of("outcome", InboundOutcome),
        check("processed", "processed_at IS NULL OR outcome IS NOT NULL"),
        check("next_try", "next_try_at IS NULL OR processed_at IS NULL"),
        check("tries", "tries >= 0"),
    )

    gateway_id: Mapped[UUID] = mapped_column(ForeignKey("gateways.id"))
    organization_id: Mapped[UUID | None] = mapped_column(ForeignKey("organizations.id"))
    """Known once the event is matched."""
    content_hash: Mapped[str]
    kind: Mapped[InboundKind]
    gateway_session_id: Mapped[str | None]
    payload: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime | None]
    """The event's own time: what counts when events come late or out of order."""
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
    """Empty while the event waits for what it refers to; ``outcome`` then says why."""
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    """When it is tried again; empty once it has been dealt with, or has waited too long."""
    outcome: Mapped[InboundOutcome | None]
    error: Mapped[str | None]
