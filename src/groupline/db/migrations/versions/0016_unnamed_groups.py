"""A group without a name is found by any part of its id, not only by the end."""

from alembic import op

revision = "0016"
down_revision = "0015"

_ID_BEGINS = {"sqlite": "substr({0}, 1, {1})", "postgresql": "left({0}, {1})"}
_AT = {"sqlite": "instr(group_jid, '@')", "postgresql": "position('@' in group_jid)"}


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    local_part = _ID_BEGINS[dialect].format("group_jid", f"{_AT[dialect]} - 1")
    op.execute(
        f"""
        UPDATE whatsapp_groups SET search_name = ' ' || lower({local_part})
        WHERE group_name IS NULL AND {_AT[dialect]} BETWEEN 2 AND 100
        """
    )
