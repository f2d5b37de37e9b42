"""A group without a name is found by any part of its id, not only by the end."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute(_NAMELESS[op.get_context().dialect.name])


_NAMELESS = {
    "sqlite": """
        UPDATE whatsapp_groups
        SET search_name = ' ' || lower(substr(group_jid, 1, instr(group_jid, '@') - 1))
        WHERE group_name IS NULL AND instr(group_jid, '@') BETWEEN 2 AND 100
    """,
    "postgresql": """
        UPDATE whatsapp_groups
        SET search_name = ' ' || lower(left(group_jid, position('@' IN group_jid) - 1))
        WHERE group_name IS NULL AND position('@' IN group_jid) BETWEEN 2 AND 100
    """,
}
