"""Alembic's entry point. It is only called by ``groupline.db.migrate``, in a transaction."""

from alembic import context

attributes = context.config.attributes

context.configure(
    connection=attributes["connection"],
    target_metadata=attributes.get("metadata"),
    transactional_ddl=True,  # also on SQLite: all of an upgrade, or nothing
)
context.run_migrations()
