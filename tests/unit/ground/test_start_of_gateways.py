"""``groupline up`` lets the worker begin when the built-in gateways listen."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from groupline.cli.serve import unless
from groupline.cli.up import until_they_listen
from groupline.gateways.managed import ManagedGateway

LONG = 3600.0


@pytest.fixture
def places() -> Iterator[list[socket.socket]]:
    """Bound, so that nobody else gets them; whoever connects is refused."""
    bound = [socket.socket() for _ in range(2)]
    for each in bound:
        each.bind(("127.0.0.1", 0))
    yield bound
    for each in bound:
        each.close()


def gateways_at(places: list[socket.socket]) -> list[ManagedGateway]:
    urls = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in places]
    return [ManagedGateway("simulator", url, "a key", "a secret") for url in urls]


async def test_the_worker_waits_until_all_listen(places: list[socket.socket]) -> None:
    died = asyncio.Event()
    waiting = asyncio.create_task(until_they_listen(gateways_at(places), died, seconds=LONG))
    for each in places:
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        each.listen()
    async with asyncio.timeout(60):
        await waiting


async def test_a_gateway_that_has_died_is_not_waited_for(places: list[socket.socket]) -> None:
    died = asyncio.Event()
    waiting = asyncio.create_task(until_they_listen(gateways_at(places), died, seconds=LONG))
    await asyncio.sleep(0)
    died.set()
    async with asyncio.timeout(60):
        await waiting


async def test_nor_is_one_that_never_listens(places: list[socket.socket]) -> None:
    async with asyncio.timeout(60):
        await until_they_listen(gateways_at(places), asyncio.Event(), seconds=0.2)


async def test_a_stop_ends_the_wait() -> None:
    stopping, forever = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def wait() -> None:
        try:
            await forever.wait()
        finally:
            ended.append("waiting")

    waiting = asyncio.create_task(unless(stopping, wait()))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    stopping.set()
    async with asyncio.timeout(60):
        await waiting
    assert ended == ["waiting"]


async def test_what_goes_wrong_meanwhile_is_raised() -> None:
    async def wait() -> None:
        raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="it broke"):
        await unless(asyncio.Event(), wait())
