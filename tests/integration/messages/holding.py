"""What waits until a test lets it go, instead of for a time that a slow machine outruns."""

import asyncio
from typing import Final

from groupline_gateway.clock import SystemClock

HELD: Final = 3599.0
"""As the ``seconds`` of a fault: until ``HoldingClock.let_go``. The gateway itself never waits for
so long."""


class HoldingClock(SystemClock):
    """A gateway's clock: the machine's, except for what is to take ``HELD`` seconds."""

    def __init__(self) -> None:
        self._held: list[asyncio.Event] = []
        self._changed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds != HELD:
            await super().sleep(seconds)
            return
        released = asyncio.Event()
        self._held.append(released)
        self._changed.set()
        await released.wait()

    async def holds(self, count: int = 1) -> None:
        """Waits until the gateway holds so many requests."""
        async with asyncio.timeout(60):
            while len(self._held) < count:
                self._changed.clear()
                await self._changed.wait()

    def let_go(self) -> None:
        """Of everything that is held now."""
        while self._held:
            self._held.pop().set()
