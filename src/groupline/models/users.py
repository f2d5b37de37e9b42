"""People and how they prove who they are."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from groupline.models.base import Identified, check, one_of

SetupPurpose = Literal["first_run", "set_password"]


class User(Identified):
    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email"),
        check("email_case_folded", "email = lower(email) AND email <> ''"),
    )

    email: Mapped[str]
    """Case-folded: one person is one address, however it is typed."""
    name: Mapped[str]
    password_hash: Mapped[str | None]
    """Argon2id; without one nobody can sign in until a one-time link has set it."""
    is_instance_admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class Login(Identified):
    __tablename__ = "logins"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index("ix_logins_user", "user_id"),
        Index("ix_logins_expires", "expires_at"),
    )

    token_hash: Mapped[str]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    user_agent: Mapped[str | None]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class LoginAttempt(Identified):
    """A failed login, counted per bucket (an address or a user) by the rate limit."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        Index("ix_login_attempts_bucket", "bucket_hash", "at"),
        Index("ix_login_attempts_at", "at"),
    )

    bucket_hash: Mapped[str]
    at: Mapped[datetime]


class SetupLink(Identified):
    """A link that works once: the first run, or a new password."""

    __tablename__ = "setup_links"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        one_of("purpose", SetupPurpose),
        check("user", "(purpose = 'set_password') = (user_id IS NOT NULL)"),
    )

    token_hash: Mapped[str]
    purpose: Mapped[SetupPurpose]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
