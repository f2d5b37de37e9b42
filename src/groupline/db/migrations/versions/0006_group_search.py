"""Finds three letters anywhere in the name of a group, on either database."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        for statement in _SQLITE:
            op.execute(statement)
    else:
        op.execute(_POSTGRESQL)


_FORGET_OLD_NAME = """
DELETE FROM whatsapp_groups_search WHERE group_id = old.id AND rowid IN (
    SELECT rowid FROM whatsapp_groups_search
    WHERE whatsapp_groups_search MATCH '"' || replace(old.search_name, '"', '""') || '"'
);
"""
_LEARN_NEW_NAME = """
INSERT INTO whatsapp_groups_search (search_name, group_id) VALUES (new.search_name, new.id);
"""
_SQLITE = (
    """
    CREATE VIRTUAL TABLE whatsapp_groups_search
    USING fts5(search_name, group_id UNINDEXED, tokenize = 'trigram')
    """,
    f"""
    CREATE TRIGGER whatsapp_groups_search_insert AFTER INSERT ON whatsapp_groups
    BEGIN {_LEARN_NEW_NAME} END
    """,
    f"""
    CREATE TRIGGER whatsapp_groups_search_update AFTER UPDATE OF search_name ON whatsapp_groups
    WHEN old.search_name <> new.search_name
    BEGIN {_FORGET_OLD_NAME} {_LEARN_NEW_NAME} END
    """,
    f"""
    CREATE TRIGGER whatsapp_groups_search_delete AFTER DELETE ON whatsapp_groups
    BEGIN {_FORGET_OLD_NAME} END
    """,
    """
    INSERT INTO whatsapp_groups_search (search_name, group_id)
    SELECT search_name, id FROM whatsapp_groups
    """,
)
# Without the extension, or the right to create it, search reads the names of one organization.
_POSTGRESQL = """
DO $search$
DECLARE home text;
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    SELECT nspname INTO home FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
        WHERE extname = 'pg_trgm';
    EXECUTE format(
        'CREATE INDEX ix_whatsapp_groups_trigram ON whatsapp_groups'
        ' USING gin (search_name %I.gin_trgm_ops)', home
    );
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
    RAISE NOTICE 'search works without pg_trgm: %', SQLERRM;
END
$search$
"""
