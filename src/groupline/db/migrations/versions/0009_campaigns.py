"""Campaigns: the groups of a draft, the delay of each campaign, and when one was paused."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

INSTANT = sa.DateTime(timezone=True)
OPEN = sa.text("finished_at IS NULL AND status <> 'draft'")
ENDED = sa.text("finished_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("notification_campaigns", sa.Column("paused_at", INSTANT, nullable=True))
    op.add_column("notification_campaigns", sa.Column("next_send_at", INSTANT, nullable=True))
    op.create_index(
        "ix_notification_campaigns_open",
        "notification_campaigns",
        ["id"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index(
        "ix_notification_campaigns_finished",
        "notification_campaigns",
        ["finished_at"],
        sqlite_where=ENDED,
        postgresql_where=ENDED,
    )
    op.create_table(
        "campaign_groups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["notification_campaigns.organization_id", "notification_campaigns.id"],
            name="fk_campaign_groups_organization_id_campaign_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "group_id"],
            ["whatsapp_groups.organization_id", "whatsapp_groups.id"],
            name="fk_campaign_groups_organization_id_group_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_campaign_groups_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_campaign_groups"),
        sa.UniqueConstraint(
            "campaign_id", "group_id", name="uq_campaign_groups_campaign_id_group_id"
        ),
        sa.UniqueConstraint("organization_id", "id", name="uq_campaign_groups_organization_id_id"),
    )
    op.create_index("ix_campaign_groups_group", "campaign_groups", ["group_id"])
