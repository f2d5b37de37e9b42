"""One content to many groups. The counts come from its messages."""

from datetime import datetime
from typing import Literal
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


_OPEN = text("finished_at IS NULL AND status <> 'draft'")
_ENDED = text("finished_at IS NOT NULL")


class NotificationCampaign(OfOrganization):
    __tablename__ = "notification_campaigns"
    __table_args__ = (
        organization_key(),
        within_organization("number_id", "whatsapp_numbers"),
        Index("ix_notification_campaigns_list", "organization_id", "created_at", "id"),
        Index("ix_notification_campaigns_number", "number_id", "status"),
        Index("ix_notification_campaigns_open", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index(
            "ix_notification_campaigns_finished",
            "finished_at",
            sqlite_where=_ENDED,
            postgresql_where=_ENDED,
        ),
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
    """Between two messages of this campaign; the pace of the number holds as well."""
    late_minutes: Mapped[int] = mapped_column(default=24 * 60)
    scheduled_for: Mapped[datetime | None]
    status: Mapped[CampaignStatus] = mapped_column(default="draft")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    """Since when each of its messages is final."""
    paused_at: Mapped[datetime | None]
    next_send_at: Mapped[datetime | None]
    """No message of the campaign leaves before this: its own delay, where that is the longer."""
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CampaignGroup(OfOrganization):
    """A group that a draft is meant for. When the campaign starts, messages take its place."""

    __tablename__ = "campaign_groups"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("campaign_id", "group_id"),
        within_organization("campaign_id", "notification_campaigns"),
        within_organization("group_id", "whatsapp_groups"),
        Index("ix_campaign_groups_group", "group_id"),
    )

    campaign_id: Mapped[UUID]
    group_id: Mapped[UUID]
    created_at: Mapped[datetime]
