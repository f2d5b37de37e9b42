from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.integration.messages.desk import Desk, make_desk
from tests.integration.messages.outbox import Outbox, open_outbox
from tests.support.app import BASE_URL, RunningApp
from tests.support.cast import PASSWORD, Cast
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


@pytest.fixture
async def browser(running: RunningApp, cast: Cast) -> AsyncIterator[httpx.AsyncClient]:
    """Of an operator."""
    headers = {"Accept": "text/html", "Origin": BASE_URL}
    async with running.client(headers=headers, follow_redirects=True) as browser:
        await browser.post("/login", data={"email": cast.operator.email, "password": PASSWORD})
        yield browser
