"""Many ids as one parameter find the same rows as one parameter each."""

from sqlalchemy import select
from tests.support.factories import make_organization

from groupline.db import Database, is_among
from groupline.ids import new_id
from groupline.models import Organization


async def test_ids_are_found_and_no_others(database: Database) -> None:
    async with database.writing() as session:
        made = [(await make_organization(session)).id for _ in range(3)]
    async with database.reading() as session:
        wanted = {made[0], made[2]}
        asked = [*wanted, *(new_id() for _ in range(40_000)), made[0]]
        statement = select(Organization.id).where(is_among(session, Organization.id, asked))
        assert set(await session.scalars(statement)) == wanted
        none = select(Organization.id).where(is_among(session, Organization.id, []))
        assert (await session.scalars(none)).all() == []
