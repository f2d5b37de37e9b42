"""Alerts and what becomes of them on each channel; the secret before the last; a quiet journal."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
PENDING = sa.text("status = 'pending'")
WAITING = sa.text("raised_at IS NULL")
QUIET = sa.text("action NOT LIKE 'message.%'")


def upgrade() -> None:
    op.create_index(
        "ix_journal_quiet",
        "journal",
        ["organization_id", "position"],
        sqlite_where=QUIET,
        postgresql_where=QUIET,
    )
    op.add_column("webhook_endpoints", sa.Column("previous_secret", sa.Text(), nullable=True))
    op.add_column("webhook_endpoints", sa.Column("rotated_at", INSTANT, nullable=True))
    op.add_column("webhook_endpoints", sa.Column("enabled_at", INSTANT, nullable=True))
    op.create_index("ix_webhook_deliveries_created", "webhook_deliveries", ["created_at"])
    op.add_column("alert_channels", sa.Column("last_delivered_at", INSTANT, nullable=True))
    _alerts()
    _alert_deliveries()


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("data", JSON, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("happened_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("raised_at", INSTANT, nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("resolved_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("count > 0", name="ck_alerts_count"),
        sa.CheckConstraint("raised_at IS NULL OR title IS NOT NULL", name="ck_alerts_raised"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_alerts_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
        sa.UniqueConstraint("organization_id", "id", name="uq_alerts_organization_id_id"),
        sa.UniqueConstraint("organization_id", "key", name="uq_alerts_organization_id_key"),
    )
    op.create_index(
        "ix_alerts_due", "alerts", ["due_at"], sqlite_where=WAITING, postgresql_where=WAITING
    )
    op.create_index("ix_alerts_open", "alerts", ["organization_id", "kind", "subject_id"])
    op.create_index("ix_alerts_list", "alerts", ["organization_id", "raised_at"])
    op.create_index("ix_alerts_created", "alerts", ["created_at"])


def _alert_deliveries() -> None:
    op.create_table(
        "alert_deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("claimed_until", INSTANT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("delivered_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'failed')", name="ck_alert_deliveries_status"
        ),
        sa.CheckConstraint("attempts >= 0", name="ck_alert_deliveries_attempts"),
        sa.CheckConstraint(
            "status <> 'delivered' OR delivered_at IS NOT NULL",
            name="ck_alert_deliveries_delivered",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "alert_id"],
            ["alerts.organization_id", "alerts.id"],
            name="fk_alert_deliveries_organization_id_alert_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "channel_id"],
            ["alert_channels.organization_id", "alert_channels.id"],
            name="fk_alert_deliveries_organization_id_channel_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_alert_deliveries_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_alert_deliveries"),
        sa.UniqueConstraint("organization_id", "id", name="uq_alert_deliveries_organization_id_id"),
        sa.UniqueConstraint(
            "alert_id", "channel_id", name="uq_alert_deliveries_alert_id_channel_id"
        ),
    )
    op.create_index(
        "ix_alert_deliveries_due",
        "alert_deliveries",
        ["next_attempt_at"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
    op.create_index("ix_alert_deliveries_channel", "alert_deliveries", ["channel_id"])
