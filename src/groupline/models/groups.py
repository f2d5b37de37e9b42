"""Groups, once per organization, and which numbers are in them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import OfOrganization, check, organization_key, within_organization


class WhatsappGroup(OfOrganization):
    __tablename__ = "whatsapp_groups"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "group_jid"),
        Index("ix_whatsapp_groups_name", "organization_id", "group_name", "id"),
        check("group_jid", "group_jid <> ''"),
        check("participant_count", "participant_count >= 0"),
    )

    group_jid: Mapped[str]
    group_name: Mapped[str | None]
    participant_count: Mapped[int | None]
    is_community: Mapped[bool] = mapped_column(default=False)
    """A community parent: it cannot be sent to."""
    is_community_announce: Mapped[bool] = mapped_column(default=False)
    announce_only: Mapped[bool] = mapped_column(default=False)
    """Only admins may post."""
    invite_link: Mapped[str | None]
    synced_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class WhatsappMembership(OfOrganization):
    __tablename__ = "whatsapp_memberships"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("number_id", "group_id"),
        within_organization("number_id", "whatsapp_numbers"),
        within_organization("group_id", "whatsapp_groups"),
        Index("ix_whatsapp_memberships_group", "group_id"),
        check("missing_since", "is_active = (missing_since IS NULL)"),
    )

    number_id: Mapped[UUID]
    group_id: Mapped[UUID]
    is_admin: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    missing_since: Mapped[datetime | None]
    synced_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
