"""Asking until it is so, within a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tests.support.gateway import GatewayClient

ALIVE_STATES = frozenset("RSDI")
DEADLINE = 60.0
"""For whatever has to happen; generous, because the machine may be slow and shared."""


async def until(holds: Callable[[], object], seconds: float = DEADLINE) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - nobody tells when a process is gone
            await asyncio.sleep(0.01)


async def until_status(
    gateway: GatewayClient, status: str, session_id: str = "wa_1", **facts: str
) -> Any:
    """The session once it is so."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = await gateway.get(f"/status/{session_id}")
            if {**found, **facts, "status": status} == found:
                return found
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state in ALIVE_STATES
    return False


@contextlib.asynccontextmanager
async def no_survivors(pids: Callable[[], set[int]]) -> AsyncIterator[None]:
    """After the block none of the processes that it had is left."""
    yield
    await until(lambda: not any(map(is_alive, pids())))
