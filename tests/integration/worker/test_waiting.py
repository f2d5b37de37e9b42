"""A process whose database is not there yet: what its port answers meanwhile."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.databases import Postgres
from tests.support.proxy import proxy_to

from groupline.cli.meanwhile import Meanwhile
from groupline.cli.serve import waited_for
from groupline.settings import Settings


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield listener


def client_of(listener: socket.socket) -> httpx.AsyncClient:
    host, port = listener.getsockname()
    return httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=60)


async def test_while_it_waits_it_is_alive_and_cannot_help(
    listener: socket.socket, postgres: Postgres, tmp_path: Path
) -> None:
    async with proxy_to(postgres.server_url) as proxy, client_of(listener) as client:
        await proxy.close()
        settings = Settings(data_dir=tmp_path, database_url=proxy.url, _env_file=None)

        async def start() -> str:
            async with waited_for(settings, listener) as runtime:
                return runtime.database.dialect

        starting = asyncio.create_task(start())
        alive = await client.get("/healthz")
        ready = await client.get("/readyz")
        hook = await client.post("/hooks/x", json={"text": "x" * 100_000})
        await proxy.open()
        assert await starting == "postgresql"

    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    for answer in (ready, hook):
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "db_unreachable"
        assert int(answer.headers["retry-after"]) > 0


async def test_who_comes_after_it_is_answered_by_the_web_server(listener: socket.socket) -> None:
    async def web(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with client_of(listener) as client:
        with Meanwhile(listener) as meanwhile:
            await meanwhile.begin()
            await meanwhile.begin()
            assert (await client.head("/")).status_code == 503
        early = asyncio.create_task(client.get("/healthz"))
        async with await asyncio.start_server(web, sock=listener.dup()):
            assert (await early).status_code == 204


async def test_a_start_that_waits_for_nothing_answers_nobody(listener: socket.socket) -> None:
    with Meanwhile(listener):
        async with client_of(listener) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get("/healthz", timeout=httpx.Timeout(60, read=0.2))


@pytest.mark.parametrize("said", [b"\r\n\r\n", b"GET /", b"\x16\x03\x01" * 40_000])
async def test_what_is_no_request_harms_nothing(listener: socket.socket, said: bytes) -> None:
    with Meanwhile(listener) as meanwhile:
        await meanwhile.begin()
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(said)
        writer.close()
        async with client_of(listener) as client:
            assert (await client.get("/healthz?x")).status_code == 200
