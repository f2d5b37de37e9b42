"""Gateways, numbers, sessions and groups."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    _gateways()
    _inbound_events()
    _whatsapp_numbers()
    _community_number()
    _whatsapp_sessions()
    _whatsapp_groups()
    _whatsapp_memberships()


def _gateways() -> None:
    op.create_table(
        "gateways",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("managed_engine", sa.Text(), nullable=True),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("credentials", sa.Text(), nullable=False),
        sa.Column("webhook_secrets", sa.Text(), nullable=True),
        sa.Column("max_in_flight", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=True),
        sa.Column("unreachable_since", INSTANT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_code", sa.Text(), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("engine", sa.Text(), nullable=True),
        sa.Column("capabilities", JSON, nullable=False),
        sa.Column("last_webhook_at", INSTANT, nullable=True),
        sa.Column("webhooks_rejected", sa.Integer(), nullable=False),
        sa.Column("webhook_rejected_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("base_url <> ''", name="ck_gateways_base_url"),
        sa.CheckConstraint(
            "kind IN ('groupline', 'waha', 'evolution', 'gowa')", name="ck_gateways_kind"
        ),
        sa.CheckConstraint(
            "managed_engine IN ('simulator', 'whatsmeow')", name="ck_gateways_managed_engine"
        ),
        sa.CheckConstraint("name <> ''", name="ck_gateways_name"),
        sa.CheckConstraint("max_in_flight > 0", name="ck_gateways_max_in_flight"),
        sa.PrimaryKeyConstraint("id", name="pk_gateways"),
        sa.UniqueConstraint("managed_engine", name="uq_gateways_managed_engine"),
        sa.UniqueConstraint("name", name="uq_gateways_name"),
    )


def _inbound_events() -> None:
    op.create_table(
        "inbound_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gateway_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=True),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("gateway_session_id", sa.Text(), nullable=True),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("occurred_at", INSTANT, nullable=True),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("processed_at", INSTANT, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", INSTANT, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('status', 'send_callback', 'message_error', 'receipt', 'reaction',"
            " 'membership', 'unknown')",
            name="ck_inbound_events_kind",
        ),
        sa.CheckConstraint(
            "outcome IN ('applied', 'outdated', 'repeated', 'unmatched', 'ambiguous', 'invalid')",
            name="ck_inbound_events_outcome",
        ),
        sa.CheckConstraint(
            "processed_at IS NULL OR outcome IS NOT NULL", name="ck_inbound_events_processed"
        ),
        sa.CheckConstraint(
            "next_try_at IS NULL OR processed_at IS NULL", name="ck_inbound_events_next_try"
        ),
        sa.CheckConstraint("tries >= 0", name="ck_inbound_events_tries"),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["gateways.id"], name="fk_inbound_events_gateway_id"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_inbound_events_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_inbound_events"),
        sa.UniqueConstraint(
            "gateway_id", "content_hash", name="uq_inbound_events_gateway_id_content_hash"
        ),
    )
    op.create_index("ix_inbound_events_received", "inbound_events", ["received_at"])
    op.create_index(
        "ix_inbound_events_waiting",
        "inbound_events",
        ["next_try_at"],
        sqlite_where=sa.text("next_try_at IS NOT NULL"),
        postgresql_where=sa.text("next_try_at IS NOT NULL"),
    )


def _whatsapp_numbers() -> None:
    op.create_table(
        "whatsapp_numbers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("phone_number", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("pace_seconds", sa.Double(), nullable=False),
        sa.Column("standby_number_id", sa.Uuid(), nullable=True),
        sa.Column("paused_at", INSTANT, nullable=True),
        sa.Column("lane_free_at", INSTANT, nullable=True),
        sa.Column("lane_hold_reason", sa.Text(), nullable=True),
        sa.Column("last_send_at", INSTANT, nullable=True),
        sa.Column("last_ack_at", INSTANT, nullable=True),
        sa.Column("unacknowledged", sa.Integer(), nullable=False),
        sa.Column("restriction", sa.Text(), nullable=True),
        sa.Column("restricted_until", INSTANT, nullable=True),
        sa.Column("groups_sync_due_at", INSTANT, nullable=True),
        sa.Column("synced_at", INSTANT, nullable=True),
        sa.Column("last_sync", JSON, nullable=True),
        sa.Column("last_connected_at", INSTANT, nullable=True),
        sa.Column("last_disconnected_at", INSTANT, nullable=True),
        sa.Column("last_ended_reason", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "length(phone_number) BETWEEN 7 AND 15 AND trim(phone_number, '0123456789') = ''",
            name="ck_whatsapp_numbers_phone_number",
        ),
        sa.CheckConstraint("pace_seconds >= 0", name="ck_whatsapp_numbers_pace_seconds"),
        sa.CheckConstraint(
            "last_ended_reason IN ('logged_out', 'replaced', 'expired', 'unknown_to_gateway',"
            " 'disconnected', 'user', 'cancelled', 'deleted_at_gateway', 'other_phone')",
            name="ck_whatsapp_numbers_last_ended_reason",
        ),
        sa.CheckConstraint("standby_number_id <> id", name="ck_whatsapp_numbers_standby"),
        sa.ForeignKeyConstraint(
            ["organization_id", "standby_number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            name="fk_whatsapp_numbers_organization_id_standby_number_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_whatsapp_numbers_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_whatsapp_numbers"),
        sa.UniqueConstraint("organization_id", "id", name="uq_whatsapp_numbers_organization_id_id"),
        sa.UniqueConstraint(
            "organization_id",
            "phone_number",
            name="uq_whatsapp_numbers_organization_id_phone_number",
        ),
    )
    op.create_index(
        "ix_whatsapp_numbers_sync",
        "whatsapp_numbers",
        ["groups_sync_due_at"],
        sqlite_where=sa.text("groups_sync_due_at IS NOT NULL"),
        postgresql_where=sa.text("groups_sync_due_at IS NOT NULL"),
    )


def _community_number() -> None:
    """SQLite has had this reference since 0001: it may name a table that comes later."""
    if op.get_context().dialect.supports_alter:
        op.create_foreign_key(
            "fk_organizations_id_community_number_id",
            "organizations",
            "whatsapp_numbers",
            ["id", "community_number_id"],
            ["organization_id", "id"],
        )


def _whatsapp_sessions() -> None:
    op.create_table(
        "whatsapp_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("number_id", sa.Uuid(), nullable=True),
        sa.Column("expected_number_id", sa.Uuid(), nullable=True),
        sa.Column("gateway_id", sa.Uuid(), nullable=False),
        sa.Column("gateway_session_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_source", sa.Text(), nullable=False),
        sa.Column("status_at", INSTANT, nullable=False),
        sa.Column("status_detail", sa.Text(), nullable=True),
        sa.Column("verified_at", INSTANT, nullable=True),
        sa.Column("next_verify_at", INSTANT, nullable=True),
        sa.Column("doubted_at", INSTANT, nullable=True),
        sa.Column("qr_code", sa.Text(), nullable=True),
        sa.Column("qr_expires_at", INSTANT, nullable=True),
        sa.Column("pairing_code", sa.Text(), nullable=True),
        sa.Column("pairing_started_at", INSTANT, nullable=False),
        sa.Column("connected_at", INSTANT, nullable=True),
        sa.Column("disconnected_at", INSTANT, nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.Column("replaced_by_id", sa.Uuid(), nullable=True),
        sa.Column("logout_requested_at", INSTANT, nullable=True),
        sa.Column("logout_confirmed_at", INSTANT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", INSTANT, nullable=True),
        sa.Column("proxy", sa.Text(), nullable=True),
        sa.Column("migration", JSON, nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "(coalesce(ended_reason, '') = 'replaced') = (replaced_by_id IS NOT NULL)",
            name="ck_whatsapp_sessions_replaced",
        ),
        sa.CheckConstraint(
            "ended_reason IN ('logged_out', 'replaced', 'expired', 'unknown_to_gateway',"
            " 'disconnected', 'user', 'cancelled', 'deleted_at_gateway', 'other_phone')",
            name="ck_whatsapp_sessions_ended_reason",
        ),
        sa.CheckConstraint(
            "pairing_code IS NULL OR status IN ('connecting', 'qr_pending')",
            name="ck_whatsapp_sessions_pairing_code",
        ),
        sa.CheckConstraint(
            "qr_code IS NULL OR status = 'qr_pending'", name="ck_whatsapp_sessions_qr"
        ),
        sa.CheckConstraint(
            "status <> 'connected' OR (number_id IS NOT NULL AND connected_at IS NOT NULL"
            " AND verified_at IS NOT NULL AND ended_reason IS NULL)",
            name="ck_whatsapp_sessions_connected",
        ),
        sa.CheckConstraint(
            "status <> 'disconnected' OR (disconnected_at IS NOT NULL"
            " AND ended_reason IS NOT NULL)",
            name="ck_whatsapp_sessions_disconnected",
        ),
        sa.CheckConstraint(
            "status IN ('connecting', 'qr_pending', 'connected', 'disconnected')",
            name="ck_whatsapp_sessions_status",
        ),
        sa.CheckConstraint(
            "status_source IN ('gateway', 'webhook', 'user', 'sweeper')",
            name="ck_whatsapp_sessions_status_source",
        ),
        sa.CheckConstraint(
            "logout_confirmed_at IS NULL OR logout_requested_at IS NOT NULL",
            name="ck_whatsapp_sessions_logout",
        ),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["gateways.id"], name="fk_whatsapp_sessions_gateway_id"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "expected_number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            name="fk_whatsapp_sessions_organization_id_expected_number_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            name="fk_whatsapp_sessions_organization_id_number_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_whatsapp_sessions_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_whatsapp_sessions"),
        sa.UniqueConstraint("gateway_session_id", name="uq_whatsapp_sessions_gateway_session_id"),
        sa.UniqueConstraint(
            "organization_id", "id", name="uq_whatsapp_sessions_organization_id_id"
        ),
    )
    _whatsapp_sessions_indexes()


def _whatsapp_sessions_indexes() -> None:
    op.create_index("ix_whatsapp_sessions_gateway", "whatsapp_sessions", ["gateway_id"])
    op.create_index(
        "ix_whatsapp_sessions_list", "whatsapp_sessions", ["organization_id", "created_at", "id"]
    )
    op.create_index(
        "ix_whatsapp_sessions_logout",
        "whatsapp_sessions",
        ["logout_requested_at"],
        sqlite_where=sa.text("logout_requested_at IS NOT NULL AND logout_confirmed_at IS NULL"),
        postgresql_where=sa.text("logout_requested_at IS NOT NULL AND logout_confirmed_at IS NULL"),
    )
    op.create_index("ix_whatsapp_sessions_number", "whatsapp_sessions", ["number_id", "created_at"])
    op.create_index(
        "ix_whatsapp_sessions_pairing",
        "whatsapp_sessions",
        ["pairing_started_at"],
        sqlite_where=sa.text("status IN ('connecting', 'qr_pending')"),
        postgresql_where=sa.text("status IN ('connecting', 'qr_pending')"),
    )
    op.create_index(
        "ix_whatsapp_sessions_verify",
        "whatsapp_sessions",
        ["next_verify_at"],
        sqlite_where=sa.text("next_verify_at IS NOT NULL"),
        postgresql_where=sa.text("next_verify_at IS NOT NULL"),
    )
    op.create_index(
        "uq_whatsapp_sessions_connected",
        "whatsapp_sessions",
        ["organization_id", "number_id"],
        unique=True,
        sqlite_where=sa.text("status = 'connected'"),
        postgresql_where=sa.text("status = 'connected'"),
    )


def _whatsapp_groups() -> None:
    op.create_table(
        "whatsapp_groups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("group_jid", sa.Text(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=True),
        sa.Column(
            "search_name",
            sa.Text().with_variant(sa.Text(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("participant_count", sa.Integer(), nullable=True),
        sa.Column("is_community", sa.Boolean(), nullable=False),
        sa.Column("is_community_announce", sa.Boolean(), nullable=False),
        sa.Column("announce_only", sa.Boolean(), nullable=False),
        sa.Column("invite_link", sa.Text(), nullable=True),
        sa.Column("member_changes", JSON, nullable=True),
        sa.Column("synced_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("group_jid <> ''", name="ck_whatsapp_groups_group_jid"),
        sa.CheckConstraint("participant_count >= 0", name="ck_whatsapp_groups_participant_count"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_whatsapp_groups_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_whatsapp_groups"),
        sa.UniqueConstraint(
            "organization_id", "group_jid", name="uq_whatsapp_groups_organization_id_group_jid"
        ),
        sa.UniqueConstraint("organization_id", "id", name="uq_whatsapp_groups_organization_id_id"),
    )
    op.create_index(
        "ix_whatsapp_groups_search", "whatsapp_groups", ["organization_id", "search_name", "id"]
    )


def _whatsapp_memberships() -> None:
    op.create_table(
        "whatsapp_memberships",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("number_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("missing_since", INSTANT, nullable=True),
        sa.Column("synced_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "is_active = (missing_since IS NULL)", name="ck_whatsapp_memberships_missing_since"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "group_id"],
            ["whatsapp_groups.organization_id", "whatsapp_groups.id"],
            name="fk_whatsapp_memberships_organization_id_group_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            name="fk_whatsapp_memberships_organization_id_number_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_whatsapp_memberships_organization_id",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_whatsapp_memberships"),
        sa.UniqueConstraint(
            "number_id", "group_id", name="uq_whatsapp_memberships_number_id_group_id"
        ),
        sa.UniqueConstraint(
            "organization_id", "id", name="uq_whatsapp_memberships_organization_id_id"
        ),
    )
    op.create_index(
        "ix_whatsapp_memberships_group", "whatsapp_memberships", ["organization_id", "group_id"]
    )
