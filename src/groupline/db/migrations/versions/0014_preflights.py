"""What was found when an event was looked at before it begins, and whose turn it is to look."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"

INSTANT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
BY_ITSELF = sa.text("point <> 'button'")


def upgrade() -> None:
    op.create_table(
        "preflights",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("point", sa.Text(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("claimed_until", INSTANT, nullable=True),
        sa.Column("checked_at", INSTANT, nullable=True),
        sa.Column("findings", DOCUMENT, nullable=True),
        sa.Column("problems", sa.Integer(), nullable=False),
        sa.CheckConstraint("point IN ('button', 'day', 'hour')", name="ck_preflights_point"),
        sa.CheckConstraint(
            "(checked_at IS NULL) = (findings IS NULL)", name="ck_preflights_checked"
        ),
        sa.CheckConstraint(
            "checked_at IS NOT NULL OR claimed_until IS NOT NULL", name="ck_preflights_turn"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "event_id"],
            ["events.organization_id", "events.id"],
            name="fk_preflights_organization_id_event_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_preflights_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_preflights"),
        sa.UniqueConstraint("organization_id", "id", name="uq_preflights_organization_id_id"),
    )
    op.create_index("ix_preflights_event", "preflights", ["event_id", "checked_at"])
    op.create_index(
        "uq_preflights_turn",
        "preflights",
        ["event_id", "point", "starts_at"],
        unique=True,
        sqlite_where=BY_ITSELF,
        postgresql_where=BY_ITSELF,
    )
