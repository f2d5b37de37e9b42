from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.messages.desk import Desk, make_desk
from tests.integration.messages.outbox import Outbox, open_outbox
from tests.support.app import RunningApp
from tests.support.cast import Cast
from tests.support.clock import ManualClock

from groupline.db import Database
from groupline.orgs.rules import Scope


@pytest.fixture
async def desk(database: Database, cast: Cast) -> Desk:
    async with database.writing() as session:
        return await make_desk(session, cast)


@pytest.fixture
async def client(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    scopes = (Scope.READ, Scope.WRITE, Scope.SEND)
    async with await running.client_of(cast.admin, *scopes) as client:
        yield client


@pytest.fixture
async def outbox(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Outbox]:
    async with open_outbox(database, clock, tmp_path / "gateway") as opened:
        yield opened
