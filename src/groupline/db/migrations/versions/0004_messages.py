"""The outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _scheduled_whatsapp_messages()
    _message_receipts()


def _scheduled_whatsapp_messages() -> None:
    op.create_table(
        "scheduled_whatsapp_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("number_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=True),
        sa.Column("campaign_id", sa.Uuid(), nullable=True),
        sa.Column("step_id", sa.Uuid(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("media_url", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("scheduled_for", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=True),
        sa.Column("client_ref", sa.Text(), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", INSTANT, nullable=True),
        sa.Column("claim_token", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("request_started_at", INSTANT, nullable=True),
        sa.Column("gateway_message_id", sa.Text(), nullable=True),
        sa.Column("accepted_at", INSTANT, nullable=True),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("next_check_at", INSTANT, nullable=True),
        sa.Column("delivered_count", sa.Integer(), nullable=False),
        sa.Column("read_count", sa.Integer(), nullable=False),
        sa.Column("anonymous_delivered_count", sa.Integer(), nullable=False),
        sa.Column("anonymous_read_count", sa.Integer(), nullable=False),
        sa.Column("first_receipt_at", INSTANT, nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("vps_error", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("resolved_at", INSTANT, nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "media_type IN ('image', 'video', 'document')",
            name="ck_scheduled_whatsapp_messages_media_type",
        ),
        sa.CheckConstraint(
            "status <> 'accepted' OR accepted_at IS NOT NULL",
            name="ck_scheduled_whatsapp_messages_accepted",
        ),
        sa.CheckConstraint(
            "status <> 'sending' OR (claimed_by IS NOT NULL AND claimed_until IS NOT NULL"
            " AND claim_token IS NOT NULL)",
            name="ck_scheduled_whatsapp_messages_sending",
        ),
        sa.CheckConstraint(
            "status <> 'sent' OR (sent_at IS NOT NULL AND (gateway_message_id IS NOT NULL"
            " OR resolved_by IS NOT NULL))",
            name="ck_scheduled_whatsapp_messages_sent_has_evidence",
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'sending', 'accepted', 'sent', 'uncertain', 'failed',"
            " 'expired', 'cancelled')",
            name="ck_scheduled_whatsapp_messages_status",
        ),
        sa.CheckConstraint(
            "status NOT IN ('failed', 'expired', 'uncertain') OR error_code IS NOT NULL",
            name="ck_scheduled_whatsapp_messages_end_has_reason",
        ),
        sa.CheckConstraint(
            "(media_url IS NULL) = (media_type IS NULL)",
            name="ck_scheduled_whatsapp_messages_media",
        ),
        sa.CheckConstraint("attempts >= 0", name="ck_scheduled_whatsapp_messages_attempts"),
        sa.CheckConstraint(
            "delivered_count >= 0 AND read_count >= 0 AND anonymous_delivered_count >= 0"
            " AND anonymous_read_count >= 0",
            name="ck_scheduled_whatsapp_messages_receipts",
        ),
        sa.CheckConstraint(
            "event_id IS NULL OR campaign_id IS NULL", name="ck_scheduled_whatsapp_messages_origin"
        ),
        sa.CheckConstraint(
            "expires_at >= scheduled_for", name="ck_scheduled_whatsapp_messages_expires_at"
        ),
        sa.CheckConstraint(
            "step_id IS NULL OR event_id IS NOT NULL", name="ck_scheduled_whatsapp_messages_step"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["notification_campaigns.organization_id", "notification_campaigns.id"],
            name="fk_scheduled_whatsapp_messages_organization_id_campaign_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "event_id"],
            ["events.organization_id", "events.id"],
            name="fk_scheduled_whatsapp_messages_organization_id_event_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "group_id"],
            ["whatsapp_groups.organization_id", "whatsapp_groups.id"],
            name="fk_scheduled_whatsapp_messages_organization_id_group_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            name="fk_scheduled_whatsapp_messages_organization_id_number_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "step_id"],
            ["sequence_steps.organization_id", "sequence_steps.id"],
            name="fk_scheduled_whatsapp_messages_organization_id_step_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_scheduled_whatsapp_messages_organization_id",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_scheduled_whatsapp_messages"),
        sa.UniqueConstraint("client_ref", name="uq_scheduled_whatsapp_messages_client_ref"),
        sa.UniqueConstraint(
            "organization_id", "id", name="uq_scheduled_whatsapp_messages_organization_id_id"
        ),
    )
    _scheduled_whatsapp_messages_indexes()


def _scheduled_whatsapp_messages_indexes() -> None:
    op.create_index(
        "ix_scheduled_whatsapp_messages_campaign",
        "scheduled_whatsapp_messages",
        ["campaign_id", "status", "scheduled_for", "id"],
        sqlite_where=sa.text("campaign_id IS NOT NULL"),
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_due",
        "scheduled_whatsapp_messages",
        ["scheduled_for"],
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_event",
        "scheduled_whatsapp_messages",
        ["event_id", "scheduled_for", "id"],
        sqlite_where=sa.text("event_id IS NOT NULL"),
        postgresql_where=sa.text("event_id IS NOT NULL"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_expiry",
        "scheduled_whatsapp_messages",
        ["expires_at"],
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_gateway_message",
        "scheduled_whatsapp_messages",
        ["gateway_message_id"],
        sqlite_where=sa.text("gateway_message_id IS NOT NULL"),
        postgresql_where=sa.text("gateway_message_id IS NOT NULL"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_group",
        "scheduled_whatsapp_messages",
        ["group_id", "scheduled_for", "id"],
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_in_flight",
        "scheduled_whatsapp_messages",
        ["group_id", "session_id"],
        sqlite_where=sa.text("status IN ('accepted', 'uncertain')"),
        postgresql_where=sa.text("status IN ('accepted', 'uncertain')"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_list",
        "scheduled_whatsapp_messages",
        ["organization_id", "scheduled_for", "id"],
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_next",
        "scheduled_whatsapp_messages",
        ["number_id", "priority", "scheduled_for", "id"],
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_number",
        "scheduled_whatsapp_messages",
        ["number_id", "scheduled_for", "id"],
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_of_step",
        "scheduled_whatsapp_messages",
        ["step_id"],
        sqlite_where=sa.text("step_id IS NOT NULL"),
        postgresql_where=sa.text("step_id IS NOT NULL"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_retry",
        "scheduled_whatsapp_messages",
        ["next_attempt_at"],
        sqlite_where=sa.text("status = 'pending' AND next_attempt_at IS NOT NULL"),
        postgresql_where=sa.text("status = 'pending' AND next_attempt_at IS NOT NULL"),
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_status",
        "scheduled_whatsapp_messages",
        ["organization_id", "status", "scheduled_for", "id"],
    )
    op.create_index(
        "ix_scheduled_whatsapp_messages_unsettled",
        "scheduled_whatsapp_messages",
        ["next_check_at"],
        sqlite_where=sa.text("status IN ('accepted', 'uncertain')"),
        postgresql_where=sa.text("status IN ('accepted', 'uncertain')"),
    )
    op.create_index(
        "uq_scheduled_whatsapp_messages_campaign",
        "scheduled_whatsapp_messages",
        ["campaign_id", "group_id"],
        unique=True,
        sqlite_where=sa.text("campaign_id IS NOT NULL AND status <> 'cancelled'"),
        postgresql_where=sa.text("campaign_id IS NOT NULL AND status <> 'cancelled'"),
    )
    op.create_index(
        "uq_scheduled_whatsapp_messages_lane",
        "scheduled_whatsapp_messages",
        ["number_id"],
        unique=True,
        sqlite_where=sa.text("status = 'sending'"),
        postgresql_where=sa.text("status = 'sending'"),
    )
    op.create_index(
        "uq_scheduled_whatsapp_messages_step",
        "scheduled_whatsapp_messages",
        ["event_id", "step_id", "group_id"],
        unique=True,
        sqlite_where=sa.text("event_id IS NOT NULL AND status <> 'cancelled'"),
        postgresql_where=sa.text("event_id IS NOT NULL AND status <> 'cancelled'"),
    )


def _message_receipts() -> None:
    op.create_table(
        "message_receipts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('delivered', 'read')", name="ck_message_receipts_kind"),
        sa.CheckConstraint("reader <> ''", name="ck_message_receipts_reader"),
        sa.ForeignKeyConstraint(
            ["organization_id", "message_id"],
            ["scheduled_whatsapp_messages.organization_id", "scheduled_whatsapp_messages.id"],
            name="fk_message_receipts_organization_id_message_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_message_receipts_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_message_receipts"),
        sa.UniqueConstraint(
            "message_id", "reader", "kind", name="uq_message_receipts_message_id_reader_kind"
        ),
        sa.UniqueConstraint("organization_id", "id", name="uq_message_receipts_organization_id_id"),
    )
