"""Texts with variables, and sequences of them around the start of an event."""

from datetime import datetime, time
from typing import Literal
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import (
    OfOrganization,
    check,
    one_of,
    organization_key,
    within_organization,
)

MediaType = Literal["image", "video", "document"]

MEDIA = "(media_url IS NULL) = (media_type IS NULL)"


class Template(OfOrganization):
    """What messages were written with is not deleted but removed, and gives its name back."""

    __tablename__ = "templates"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "name"),
        one_of("media_type", MediaType),
        check("media", MEDIA),
        check("name", "name <> ''"),
    )

    name: Mapped[str]
    content: Mapped[str]
    media_url: Mapped[str | None]
    media_type: Mapped[MediaType | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class Sequence(OfOrganization):
    """What an event ran with is not deleted but removed, and gives its name back."""

    __tablename__ = "sequences"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "name"),
        check("name", "name <> ''"),
    )

    name: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class SequenceStep(OfOrganization):
    """A message relative to the start, or at a time of day on a day relative to it.

    A step that was used is not deleted but removed: its messages keep their story.
    """

    __tablename__ = "sequence_steps"
    __table_args__ = (
        organization_key(),
        within_organization("sequence_id", "sequences"),
        within_organization("template_id", "templates"),
        Index("ix_sequence_steps_sequence", "sequence_id", "position"),
        Index("ix_sequence_steps_template", "template_id"),
        check(
            "when",
            "(offset_minutes IS NOT NULL AND day_offset IS NULL AND local_time IS NULL) OR "
            "(offset_minutes IS NULL AND day_offset IS NOT NULL AND local_time IS NOT NULL)",
        ),
        check("late_minutes", "late_minutes > 0"),
    )

    sequence_id: Mapped[UUID]
    position: Mapped[int]
    template_id: Mapped[UUID]
    label: Mapped[str | None]
    offset_minutes: Mapped[int | None]
    day_offset: Mapped[int | None]
    local_time: Mapped[time | None]
    late_minutes: Mapped[int] = mapped_column(default=30)
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
