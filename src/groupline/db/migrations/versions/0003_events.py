"""Templates, sequences, events and campaigns."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _templates()
    _sequences()
    _sequence_steps()
    _events()
    _event_groups()
    _event_variables()
    _notification_campaigns()


def _templates() -> None:
    op.create_table(
        "templates",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("media_url", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "media_type IN ('image', 'video', 'document')", name="ck_templates_media_type"
        ),
        sa.CheckConstraint("name <> ''", name="ck_templates_name"),
        sa.CheckConstraint("(media_url IS NULL) = (media_type IS NULL)", name="ck_templates_media"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_templates_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_templates"),
        sa.UniqueConstraint("organization_id", "id", name="uq_templates_organization_id_id"),
        sa.UniqueConstraint("organization_id", "name", name="uq_templates_organization_id_name"),
    )


def _sequences() -> None:
    op.create_table(
        "sequences",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("name <> ''", name="ck_sequences_name"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_sequences_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sequences"),
        sa.UniqueConstraint("organization_id", "id", name="uq_sequences_organization_id_id"),
        sa.UniqueConstraint("organization_id", "name", name="uq_sequences_organization_id_name"),
    )


def _sequence_steps() -> None:
    op.create_table(
        "sequence_steps",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("sequence_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("offset_minutes", sa.Integer(), nullable=True),
        sa.Column("day_offset", sa.Integer(), nullable=True),
        sa.Column("local_time", sa.Time(), nullable=True),
        sa.Column("late_minutes", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("removed_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "(offset_minutes IS NOT NULL AND day_offset IS NULL AND local_time IS NULL)"
            " OR (offset_minutes IS NULL AND day_offset IS NOT NULL AND local_time IS NOT NULL)",
            name="ck_sequence_steps_when",
        ),
        sa.CheckConstraint("late_minutes > 0", name="ck_sequence_steps_late_minutes"),
        sa.ForeignKeyConstraint(
            ["organization_id", "sequence_id"],
            ["sequences.organization_id", "sequences.id"],
            name="fk_sequence_steps_organization_id_sequence_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "template_id"],
            ["templates.organization_id", "templates.id"],
            name="fk_sequence_steps_organization_id_template_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_sequence_steps_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sequence_steps"),
        sa.UniqueConstraint("organization_id", "id", name="uq_sequence_steps_organization_id_id"),
    )
    op.create_index("ix_sequence_steps_sequence", "sequence_steps", ["sequence_id", "position"])
    op.create_index("ix_sequence_steps_template", "sequence_steps", ["template_id"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=True),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("number_id", sa.Uuid(), nullable=True),
        sa.Column("sequence_id", sa.Uuid(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('workshop', 'webinar')", name="ck_events_kind"),
        sa.CheckConstraint("status IN ('planned', 'cancelled', 'done')", name="ck_events_status"),
        sa.CheckConstraint("timezone <> ''", name="ck_events_timezone"),
        sa.CheckConstraint("title <> ''", name="ck_events_title"),
        sa.CheckConstraint("ends_at > starts_at", name="ck_events_ends_at"),
        sa.ForeignKeyConstraint(
            ["organization_id", "number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            name="fk_events_organization_id_number_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "sequence_id"],
            ["sequences.organization_id", "sequences.id"],
            name="fk_events_organization_id_sequence_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_events_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("organization_id", "id", name="uq_events_organization_id_id"),
    )
    op.create_index("ix_events_list", "events", ["organization_id", "kind", "starts_at", "id"])
    op.create_index("ix_events_number", "events", ["number_id", "status"])
    op.create_index("ix_events_sequence", "events", ["sequence_id"])
    op.create_index("ix_events_starts", "events", ["status", "starts_at"])


def _event_groups() -> None:
    op.create_table(
        "event_groups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "event_id"],
            ["events.organization_id", "events.id"],
            name="fk_event_groups_organization_id_event_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "group_id"],
            ["whatsapp_groups.organization_id", "whatsapp_groups.id"],
            name="fk_event_groups_organization_id_group_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_event_groups_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_event_groups"),
        sa.UniqueConstraint("event_id", "group_id", name="uq_event_groups_event_id_group_id"),
        sa.UniqueConstraint("organization_id", "id", name="uq_event_groups_organization_id_id"),
    )
    op.create_index("ix_event_groups_group", "event_groups", ["group_id"])


def _event_variables() -> None:
    op.create_table(
        "event_variables",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint("key <> ''", name="ck_event_variables_key"),
        sa.ForeignKeyConstraint(
            ["organization_id", "event_id"],
            ["events.organization_id", "events.id"],
            name="fk_event_variables_organization_id_event_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_event_variables_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_event_variables"),
        sa.UniqueConstraint("event_id", "key", name="uq_event_variables_event_id_key"),
        sa.UniqueConstraint("organization_id", "id", name="uq_event_variables_organization_id_id"),
    )


def _notification_campaigns() -> None:
    op.create_table(
        "notification_campaigns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("number_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("media_url", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("delay_seconds", sa.Double(), nullable=False),
        sa.Column("late_minutes", sa.Integer(), nullable=False),
        sa.Column("scheduled_for", INSTANT, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "media_type IN ('image', 'video', 'document')",
            name="ck_notification_campaigns_media_type",
        ),
        sa.CheckConstraint("name <> ''", name="ck_notification_campaigns_name"),
        sa.CheckConstraint(
            "status <> 'scheduled' OR scheduled_for IS NOT NULL",
            name="ck_notification_campaigns_scheduled",
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'scheduled', 'sending', 'paused', 'completed',"
            " 'partial_failure', 'failed', 'cancelled')",
            name="ck_notification_campaigns_status",
        ),
        sa.CheckConstraint(
            "(media_url IS NULL) = (media_type IS NULL)", name="ck_notification_campaigns_media"
        ),
        sa.CheckConstraint("delay_seconds >= 0", name="ck_notification_campaigns_delay_seconds"),
        sa.CheckConstraint("late_minutes > 0", name="ck_notification_campaigns_late_minutes"),
        sa.ForeignKeyConstraint(
            ["organization_id", "number_id"],
            ["whatsapp_numbers.organization_id", "whatsapp_numbers.id"],
            name="fk_notification_campaigns_organization_id_number_id",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name="fk_notification_campaigns_organization_id",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_notification_campaigns"),
        sa.UniqueConstraint(
            "organization_id", "id", name="uq_notification_campaigns_organization_id_id"
        ),
    )
    op.create_index(
        "ix_notification_campaigns_list",
        "notification_campaigns",
        ["organization_id", "created_at", "id"],
    )
    op.create_index(
        "ix_notification_campaigns_number", "notification_campaigns", ["number_id", "status"]
    )
