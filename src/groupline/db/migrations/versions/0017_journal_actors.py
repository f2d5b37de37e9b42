"""What one person did is found without reading what everybody else did."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_SOMEBODY = "actor_id IS NOT NULL"


def upgrade() -> None:
    op.create_index(
        "ix_journal_actor",
        "journal",
        ["organization_id", "actor_id", "actor_kind", "position"],
        unique=False,
        sqlite_where=sa.text(_SOMEBODY),
        postgresql_where=sa.text(_SOMEBODY),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_journal_actor",
        table_name="journal",
        sqlite_where=sa.text(_SOMEBODY),
        postgresql_where=sa.text(_SOMEBODY),
    )
