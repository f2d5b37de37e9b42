"""Groups, once per organization, and which numbers are in them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import OfOrganization, check, organization_key, within_organization

# Compared by code point, so that both databases sort alike and a prefix can use the index.
_SearchText = Text().with_variant(Text(collation="C"), "postgresql")


class WhatsappGroup(OfOrganization):
    __tablename__ = "whatsapp_groups"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "group_jid"),
        Index("ix_whatsapp_groups_search", "organization_id", "search_name", "id"),
        check("group_jid", "group_jid <> ''"),
        check("participant_count", "participant_count >= 0"),
    )

    group_jid: Mapped[str]
    group_name: Mapped[str | None]
    search_name: Mapped[str] = mapped_column(_SearchText, default="")
    """Name and short id as search compares them: no accents, no case. Lists sort by it too."""
    participant_count: Mapped[int | None]
    is_community: Mapped[bool] = mapped_column(default=False)
    """A community parent: it cannot be sent to."""
    is_community_announce: Mapped[bool] = mapped_column(default=False)
    announce_only: Mapped[bool] = mapped_column(default=False)
    """Only admins may post."""
    invite_link: Mapped[str | None]
    member_changes: Mapped[dict[str, Any] | None]
    """The last reported change of each member who came or went: a repetition counts once."""
    synced_at: Mapped[datetime | None]
    """The time of the newest evidence that changed this row: older evidence undoes nothing."""
    created_at: Mapped[datetime]


class WhatsappMembership(OfOrganization):
    __tablename__ = "whatsapp_memberships"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("number_id", "group_id"),
        within_organization("number_id", "whatsapp_numbers"),
        within_organization("group_id", "whatsapp_groups"),
        Index("ix_whatsapp_memberships_group", "organization_id", "group_id"),
        check("missing_since", "is_active = (missing_since IS NULL)"),
    )

    number_id: Mapped[UUID]
    group_id: Mapped[UUID]
    is_admin: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    missing_since: Mapped[datetime | None]
    synced_at: Mapped[datetime | None]
    """The time of the newest evidence that changed this row: older evidence undoes nothing."""
    created_at: Mapped[datetime]
