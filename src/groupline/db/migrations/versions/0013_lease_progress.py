"""How far the holder of a lease has come: long syncs say so."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("leases", sa.Column("progress", sa.Integer(), nullable=True))
