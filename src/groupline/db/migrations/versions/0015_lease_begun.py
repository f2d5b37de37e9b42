"""Since when a lease is held: one that is renewed does not tell by its end."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("leases", sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True))
