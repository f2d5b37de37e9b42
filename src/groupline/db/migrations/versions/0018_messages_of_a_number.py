"""The next message of a number is looked for in the index made for it.

The one that people page through by number began with the number, too. While PostgreSQL believed
that almost everything is pending, it took that one, and walked over all that the number had sent.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

_TABLE = "scheduled_whatsapp_messages"
_NAME = "ix_scheduled_whatsapp_messages_number"
_AS_BEFORE = ["number_id", "scheduled_for", "id"]


def upgrade() -> None:
    op.drop_index(_NAME, table_name=_TABLE)
    op.create_index(_NAME, _TABLE, ["organization_id", *_AS_BEFORE], unique=False)


def downgrade() -> None:
    op.drop_index(_NAME, table_name=_TABLE)
    op.create_index(_NAME, _TABLE, _AS_BEFORE, unique=False)
