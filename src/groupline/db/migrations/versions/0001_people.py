"""Organizations, people and their keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _organizations()
    _users()
    _organization_members()
    _api_keys()
    _idempotency_keys()
    _logins()
    _login_attempts()
    _setup_links()


def _organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("community_number_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("name <> ''", name="ck_organizations_name"),
        sa.CheckConstraint("slug <> ''", name="ck_organizations_slug"),
        sa.CheckConstraint("timezone <> ''", name="ck_organizations_timezone"),
        sa.ForeignKeyConstraint(
            ["id", "community_number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            name="fk_organizations_id_community_number_id",
            use_alter=True,
        ),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
        sa.UniqueConstraint("slug", name="uq_organizations_slug"),
    )


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("is_instance_admin", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("disabled_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "email = lower(email) AND email <> ''", name="ck_users_email_case_folded"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )


def _organization_members() -> None:
    op.create_table(
        "organization_members",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "role IN ('owner', 'admin', 'operator', 'viewer')", name="ck_organization_members_role"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_organization_members_organization_id",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_organization_members_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_organization_members"),
        sa.UniqueConstraint(
            "organization_id", "id", name="uq_organization_members_organization_id_id"
        ),
        sa.UniqueConstraint(
            "organization_id", "user_id", name="uq_organization_members_organization_id_user_id"
        ),
    )
    op.create_index("ix_organization_members_user", "organization_members", ["user_id"])


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("last_used_at", INSTANT, nullable=True),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.CheckConstraint("name <> ''", name="ck_api_keys_name"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_api_keys_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.UniqueConstraint("organization_id", "id", name="uq_api_keys_organization_id_id"),
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "(status_code IS NULL) = (response_body IS NULL)", name="ck_idempotency_keys_answer"
        ),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 255", name="ck_idempotency_keys_key"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_idempotency_keys_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_idempotency_keys"),
        sa.UniqueConstraint("organization_id", "id", name="uq_idempotency_keys_organization_id_id"),
        sa.UniqueConstraint(
            "organization_id", "key", name="uq_idempotency_keys_organization_id_key"
        ),
    )
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created_at"])


def _logins() -> None:
    op.create_table(
        "logins",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_logins_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_logins"),
        sa.UniqueConstraint("token_hash", name="uq_logins_token_hash"),
    )
    op.create_index("ix_logins_expires", "logins", ["expires_at"])
    op.create_index("ix_logins_user", "logins", ["user_id"])


def _login_attempts() -> None:
    op.create_table(
        "login_attempts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bucket_hash", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_attempts"),
    )
    op.create_index("ix_login_attempts_at", "login_attempts", ["at"])
    op.create_index("ix_login_attempts_bucket", "login_attempts", ["bucket_hash", "at"])


def _setup_links() -> None:
    op.create_table(
        "setup_links",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "(purpose = 'set_password') = (user_id IS NOT NULL)", name="ck_setup_links_user"
        ),
        sa.CheckConstraint(
            "purpose IN ('first_run', 'set_password')", name="ck_setup_links_purpose"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_setup_links_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_setup_links"),
        sa.UniqueConstraint("token_hash", name="uq_setup_links_token_hash"),
    )
