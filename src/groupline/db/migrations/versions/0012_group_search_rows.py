"""A group that is renamed finds its line of the search index by number, not by its old name.

SQLite may renumber the rows of ``whatsapp_groups``; the numbers in this table stay.
"""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        for statement in _SQLITE:
            op.execute(statement)


_SQLITE = (
    "DROP TRIGGER whatsapp_groups_search_insert",
    "DROP TRIGGER whatsapp_groups_search_update",
    "DROP TRIGGER whatsapp_groups_search_delete",
    """
    CREATE TABLE whatsapp_groups_search_rows (
        id INTEGER PRIMARY KEY, group_id CHAR(32) NOT NULL UNIQUE
    )
    """,
    """
    INSERT INTO whatsapp_groups_search_rows (id, group_id)
    SELECT rowid, group_id FROM whatsapp_groups_search
    """,
    """
    CREATE TRIGGER whatsapp_groups_search_insert AFTER INSERT ON whatsapp_groups
    BEGIN
        INSERT INTO whatsapp_groups_search_rows (group_id) VALUES (new.id);
        INSERT INTO whatsapp_groups_search (rowid, search_name, group_id)
        SELECT id, new.search_name, new.id FROM whatsapp_groups_search_rows
        WHERE group_id = new.id;
    END
    """,
    """
    CREATE TRIGGER whatsapp_groups_search_update AFTER UPDATE OF search_name ON whatsapp_groups
    WHEN old.search_name <> new.search_name
    BEGIN
        UPDATE whatsapp_groups_search SET search_name = new.search_name
        WHERE rowid = (
            SELECT id FROM whatsapp_groups_search_rows WHERE group_id = new.id
        );
    END
    """,
    """
    CREATE TRIGGER whatsapp_groups_search_delete AFTER DELETE ON whatsapp_groups
    BEGIN
        DELETE FROM whatsapp_groups_search WHERE rowid = (
            SELECT id FROM whatsapp_groups_search_rows WHERE group_id = old.id
        );
        DELETE FROM whatsapp_groups_search_rows WHERE group_id = old.id;
    END
    """,
)
