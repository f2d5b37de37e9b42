"""One content to many groups. The counts come from its messages."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import (
    OfOrganization,
    check,
    one_of,
    organization_key,
    within_organization,
)
from groupline.models.templates import MEDIA, MediaType

CampaignStatus = Literal[
    "draft",
    "scheduled",
    "sending",
    "paused",
    "completed",
    "partial_failure",
    "failed",
    "cancelled",
]


class NotificationCampaign(OfOrganization):
    __tablename__ = "notification_campaigns"
    __table_args__ = (
        organization_key(),
        within_organization("number_id", "whatsapp_numbers"),
        Index("ix_notification_campaigns_list", "organization_id", "created_at", "id"),
        Index("ix_notification_campaigns_number", "number_id", "status"),
        one_of("status", CampaignStatus),
        one_of("media_type", MediaType),
        check("media", MEDIA),
        check("name", "name <> ''"),
        check("delay_seconds", "delay_seconds >= 0"),
        check("late_minutes", "late_minutes > 0"),
        check("scheduled", "status <> 'scheduled' OR scheduled_for IS NOT NULL"),
    )

    number_id: Mapped[UUID]
    name: Mapped[str]
    content: Mapped[str]
    media_url: Mapped[str | None]
    media_type: Mapped[MediaType | None]
    delay_seconds: Mapped[float] = mapped_column(default=1.0)
    late_minutes: Mapped[int] = mapped_column(default=24 * 60)
    scheduled_for: Mapped[datetime | None]
    status: Mapped[CampaignStatus] = mapped_column(default="draft")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
