"""Where the last attempt of a message went, and whether it carried our reference."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_MESSAGES = "scheduled_whatsapp_messages"


def upgrade() -> None:
    # Attempts from before are left empty: what they carried is not known, and is never assumed.
    op.add_column(_MESSAGES, sa.Column("gateway_id", sa.Uuid(), nullable=True))
    op.add_column(_MESSAGES, sa.Column("gateway_session_id", sa.Text(), nullable=True))
    op.add_column(_MESSAGES, sa.Column("carried_ref", sa.Boolean(), nullable=True))
