"""Sessions that a gateway has yet to let go of, and that the history no longer has."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "pending_logouts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gateway_id", sa.Uuid(), nullable=False),
        sa.Column("gateway_session_id", sa.Text(), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("next_try_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["gateway_id"], ["gateways.id"], name="fk_pending_logouts_gateway_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_pending_logouts"),
    )
    op.create_index("ix_pending_logouts_due", "pending_logouts", ["next_try_at"])
