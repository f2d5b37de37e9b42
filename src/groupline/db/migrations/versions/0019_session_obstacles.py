"""What keeps a session from coming back is a fact of its own, and not read out of sentences.

Of what ended before, the sentence is all that there is: it is read here for the last time.
"""

from alembic import op

revision = "0019"
down_revision = "0018"

_TABLE = "whatsapp_sessions"
_WORDS = "'banned', 'outdated', 'whatsapp_unreachable', 'trying'"


def upgrade() -> None:
    # In one statement, which SQLite carries out without copying the table.
    op.execute(
        f"ALTER TABLE {_TABLE} ADD COLUMN obstacle TEXT"
        f" CONSTRAINT ck_{_TABLE}_obstacle CHECK (obstacle IN ({_WORDS}))"
    )
    op.execute(
        f"""
        UPDATE {_TABLE} SET obstacle = CASE
            WHEN {_SAID} LIKE 'WhatsApp has banned this number%' THEN 'banned'
            WHEN {_SAID} LIKE '%too old for WhatsApp%' THEN 'outdated'
            WHEN {_SAID} LIKE 'WhatsApp cannot be reached%' THEN 'whatsapp_unreachable'
            WHEN {_SAID} = '{_RECONNECTING}' THEN 'whatsapp_unreachable'
            WHEN {_SAID} LIKE '%keeps trying%' THEN 'trying'
        END
        WHERE status <> 'connected'
        """  # noqa: S608 - nothing in it comes from outside
    )


def downgrade() -> None:
    op.execute(f"ALTER TABLE {_TABLE} DROP COLUMN obstacle")


_SAID = "(CASE WHEN status = 'disconnected' THEN last_error ELSE status_detail END)"
_RECONNECTING = "The gateway has been trying to reach WhatsApp again for a while."
