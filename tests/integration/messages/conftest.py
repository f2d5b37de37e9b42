from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.messages.desk import Desk, make_desk
from tests.integration.messages.outbox import Outbox, open_outbox
from tests.support.cast import Cast
from tests.support.clock import ManualClock

from groupline.db import Database


@pytest.fixture
async def outbox(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Outbox]:
    async with open_outbox(database, clock, tmp_path / "gateway") as opened:
        yield opened


@pytest.fixture
async def desk(database: Database, cast: Cast) -> Desk:
    async with database.writing() as session:
        return await make_desk(session, cast)
