"""A database that refuses to store what becomes of messages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from groupline.db import Database


@asynccontextmanager
async def unstorable(
    database: Database, *ids: UUID, condition: str = "check_violation"
) -> AsyncIterator[None]:
    """The database itself refuses what becomes of these messages, however it is written. On
    PostgreSQL it can name another ``condition`` as the cause."""
    shown = [each.hex if database.dialect == "sqlite" else str(each) for each in ids]
    refused = ", ".join(f"'{each}'" for each in shown)
    for statement in REFUSING[database.dialect]:
        await carry_out(database, statement.format(refused=refused, condition=condition))
    try:
        yield
    finally:
        for statement in STORING_AGAIN[database.dialect]:
            await carry_out(database, statement)


REFUSING = {
    "sqlite": [
        """CREATE TRIGGER refusing BEFORE UPDATE ON scheduled_whatsapp_messages
           WHEN NEW.id IN ({refused}) BEGIN SELECT RAISE(ABORT, 'refused'); END"""
    ],
    "postgresql": [
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
           AS $$ BEGIN RAISE {condition} USING MESSAGE = 'refused'; END $$""",
        """CREATE TRIGGER refusing BEFORE UPDATE ON scheduled_whatsapp_messages FOR EACH ROW
           WHEN (NEW.id IN ({refused})) EXECUTE FUNCTION refuse()""",
    ],
}
STORING_AGAIN = {
    "sqlite": ["DROP TRIGGER refusing"],
    "postgresql": [
        "DROP TRIGGER refusing ON scheduled_whatsapp_messages",
        "DROP FUNCTION refuse",
    ],
}


async def carry_out(database: Database, statement: str) -> None:
    async with database.writing() as session:
        await (await session.connection()).exec_driver_sql(statement)
