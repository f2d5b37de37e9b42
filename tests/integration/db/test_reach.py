"""The first contact with a database that is not there yet, or never will be."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg.pq import Ping
from sqlalchemy import make_url
from tests.support.clock import ManualClock
from tests.support.databases import Postgres
from tests.support.proxy import proxy_to

from groupline.db import Announcements, Database, reach
from groupline.errors import DatabaseUnreachable
from groupline.runtime import require_database
from groupline.settings import SettingsError


@asynccontextmanager
async def database_at(url: str) -> AsyncIterator[Database]:
    database = Database(url, announcements=Announcements())
    yield database
    await database.dispose()


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.server_url


async def test_a_server_that_comes_up_is_waited_for(url: str, clock: ManualClock) -> None:
    async with proxy_to(url) as proxy, database_at(proxy.url) as database:
        await proxy.close()
        reaching = asyncio.create_task(require_database(database, clock, wait_seconds=60))
        for _ in range(3):
            await clock.sleepers()
            assert not reaching.done()
            clock.advance(5)
        await clock.sleepers()
        await proxy.open()
        clock.advance(5)
        await reaching


async def test_one_that_does_not_come_is_not_waited_for_for_ever(
    url: str, clock: ManualClock
) -> None:
    async with proxy_to(url) as proxy, database_at(proxy.url) as database:
        await proxy.close()
        reaching = asyncio.create_task(require_database(database, clock, wait_seconds=9))
        for _ in range(2):
            await clock.sleepers()
            clock.advance(5)
        with pytest.raises(DatabaseUnreachable, match=r"did not answer within 10 s: .*refused"):
            await reaching
        await proxy.open()


async def test_a_command_does_not_wait(clock: ManualClock) -> None:
    async with database_at("postgresql://postgres@127.0.0.1:1/x") as database:
        with pytest.raises(DatabaseUnreachable, match=r"cannot be reached: .*refused"):
            await require_database(database, clock)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
        ({"username": "stranger"}, 'role "stranger" does not exist'),
        ({"query": {"nonsense": "1"}}, "nonsense"),
    ],
)
async def test_what_will_never_do_ends_the_start_at_once(
    url: str, clock: ManualClock, change: dict[str, Any], why: str
) -> None:
    wrong = make_url(url).set(**change).render_as_string(hide_password=False)
    async with database_at(wrong) as database:
        with pytest.raises(SettingsError, match=why) as refused:
            await require_database(database, clock, wait_seconds=60)
    assert str(refused.value).startswith("GROUPLINE_DATABASE_URL: cannot be used: ")


STARTING_UP = r"""
import socket
refusal = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        client, _ = server.accept()
        with client:
            client.recv(1000)
            client.sendall(b"E" + (len(refusal) + 4).to_bytes(4, "big") + refusal)
"""


async def test_a_server_that_is_starting_up_is_no_wrong_setting(clock: ManualClock) -> None:
    """It answers, and refuses; that does not last."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTING_UP, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    place = f"127.0.0.1:{int(await server.stdout.readline())}"
    plainly = "sslmode=disable&gssencmode=disable"
    try:
        async with database_at(f"postgresql://me@{place}/x?{plainly}") as database:
            with pytest.raises(DatabaseUnreachable, match="starting up"):
                await require_database(database, clock)
    finally:
        server.kill()
        await server.wait()


async def test_one_refusal_is_no_proof(
    url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody answers at first; asked why, the server is there."""
    there = SimpleNamespace(ping=lambda _: Ping.OK)  # the real one would hold up the proxy
    monkeypatch.setattr(reach, "PGconn", there)
    async with proxy_to(url) as proxy, database_at(proxy.url) as database:
        proxy.lose_the_answer_to(b"user\0", on_the_way=True)
        await require_database(database, clock)
        assert proxy.lost == 1
