"""Templates and sequences that messages were written with stay, and are no longer offered."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("templates", sa.Column("removed_at", INSTANT, nullable=True))
    op.add_column("sequences", sa.Column("removed_at", INSTANT, nullable=True))
