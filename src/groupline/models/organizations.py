"""The tenant, and what opens its doors to programs."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import (
    Identified,
    OfOrganization,
    check,
    one_of,
    organization_key,
)

Role = Literal["owner", "admin", "operator", "viewer"]
Scope = Literal["read", "write", "send", "admin"]


class Organization(Identified):
    __tablename__ = "organizations"
    __table_args__ = (
        UniqueConstraint("slug"),
        # Numbers refer to organizations, so on PostgreSQL this one is added after both exist.
        ForeignKeyConstraint(
            ["id", "community_number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            use_alter=True,
        ),
        check("name", "name <> ''"),
        check("slug", "slug <> ''"),
        check("timezone", "timezone <> ''"),
    )

    name: Mapped[str]
    slug: Mapped[str]
    timezone: Mapped[str]
    community_number_id: Mapped[UUID | None]
    created_at: Mapped[datetime]


class OrganizationMember(OfOrganization):
    __tablename__ = "organization_members"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "user_id"),
        Index("ix_organization_members_user", "user_id"),
        one_of("role", Role),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    role: Mapped[Role]
    created_at: Mapped[datetime]


class ApiKey(OfOrganization):
    __tablename__ = "api_keys"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("key_hash"),
        check("name", "name <> ''"),
    )

    name: Mapped[str]
    prefix: Mapped[str]
    key_hash: Mapped[str]
    scopes: Mapped[list[str]]
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(OfOrganization):
    """What a POST with an ``Idempotency-Key`` answered; no status yet means it is under way."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        organization_key(),
        UniqueConstraint("organization_id", "key"),
        Index("ix_idempotency_keys_created", "created_at"),
        check("key", "length(key) BETWEEN 1 AND 255"),
        check("answer", "(status_code IS NULL) = (response_body IS NULL)"),
    )

    key: Mapped[str]
    request_hash: Mapped[str]
    status_code: Mapped[int | None]
    response_body: Mapped[str | None]
    created_at: Mapped[datetime]
