"""A task that is cancelled in the middle of a write leaves the database free for others."""

import asyncio
import random
import sqlite3

import pytest
from sqlalchemy import select, update
from tests.support.factories import make_organization

from groupline.db import Database
from groupline.models import Organization

_ROUNDS = 150


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
async def test_cancelled_writers_do_not_keep_the_file_locked(
    database: Database, database_url: str
) -> None:
    async with database.writing() as session:
        organization = await make_organization(session)

    async def write() -> None:
        async with database.writing() as session:
            await session.execute(
                update(Organization).where(Organization.id == organization.id).values(name="Other")
            )
            await session.execute(select(Organization))

    moments = random.Random(7)
    for _ in range(_ROUNDS):
        writers = [asyncio.create_task(write()) for _ in range(3)]
        await asyncio.sleep(moments.random() * 0.012)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await write()  # or it says after its 15 s that the database is locked
    other = sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=1)
    try:
        other.execute("BEGIN IMMEDIATE")
    finally:
        other.close()
