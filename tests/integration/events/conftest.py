import pytest
from tests.integration.events.studio import Studio, make_studio
from tests.support.cast import Cast

from groupline.db import Database


@pytest.fixture
async def studio(database: Database, cast: Cast) -> Studio:
    async with database.writing() as session:
        return await make_studio(session, cast)
