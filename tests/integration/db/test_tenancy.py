"""The database itself keeps the rows of one organization away from those of another."""

from typing import Any

import pytest
from sqlalchemy import ForeignKeyConstraint, Table, update
from sqlalchemy.exc import IntegrityError
from tests.integration.db.tables import OF_ORGANIZATION, TABLES, key_of, make_row
from tests.support.cast import Cast
from tests.support.factories import make_event

from groupline.db import Database

WITHOUT_OWN_KEY = {"journal", "inbound_events"}
"""They name an organization, or none, and nothing refers to their rows."""

REFERENCES = [
    pytest.param(constraint, id=f"{table.name}.{constraint.column_keys[1]}")
    for table in TABLES.values()
    for constraint in sorted(table.foreign_key_constraints, key=lambda each: str(each.name))
    if len(constraint.column_keys) == 2
]


def tenant_tables() -> list[Table]:
    return [
        table
        for table in TABLES.values()
        if "organization_id" in table.c and table.name not in WITHOUT_OWN_KEY
    ]


def test_every_table_of_an_organization_is_known_to_these_tests() -> None:
    assert {table.name for table in tenant_tables()} == set(OF_ORGANIZATION)


def test_rows_of_an_organization_are_referred_to_only_within_it() -> None:
    tenants = {table.name for table in tenant_tables()}
    loose = [
        f"{table.name}.{constraint.column_keys}"
        for table in TABLES.values()
        for constraint in table.foreign_key_constraints
        if constraint.referred_table.name in tenants and len(constraint.column_keys) != 2
    ]
    assert loose == []


def test_nothing_is_deleted_by_a_cascade() -> None:
    rules = {
        constraint.name: (constraint.ondelete, constraint.onupdate)
        for table in TABLES.values()
        for constraint in table.foreign_key_constraints
    }
    assert set(rules.values()) == {(None, None)}


@pytest.mark.parametrize("constraint", REFERENCES)
async def test_a_reference_into_another_organization_is_refused(
    database: Database, cast: Cast, constraint: ForeignKeyConstraint
) -> None:
    table, column = constraint.table, constraint.column_keys[1]
    async with database.writing() as session:
        if table.name == "organizations":
            key: Any = cast.organization_id
        else:
            needs: dict[str, Any] = {}
            if column == "step_id":
                event = await make_event(session, organization_id=cast.organization_id)
                needs["event_id"] = event.id
            key = await make_row(session, table.name, cast.organization_id, **needs)
        referred = constraint.referred_table.name
        own = await make_row(session, referred, cast.organization_id)
        foreign = await make_row(session, referred, cast.outside_organization_id)

    point = update(table).where(key_of(table) == key)
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        async with database.writing() as session:
            await session.execute(point.values({column: foreign}))
    async with database.writing() as session:
        await session.execute(point.values({column: own}))
