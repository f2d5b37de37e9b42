"""Time that stands still until a test moves it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

NOW: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""The moment at which tests begin, and the default of every factory."""


class ManualClock:
    """A ``Clock``: sleepers wake when ``advance`` reaches their time, in that order."""

    def __init__(self, start: datetime = NOW) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = (self._elapsed + seconds, woken)
        self._sleepers.append(sleeper)
        self._changed.set()
        try:
            await woken
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def advance(self, seconds: float) -> None:
        self._elapsed += seconds
        due = sorted((s for s in self._sleepers if s[0] <= self._elapsed), key=lambda s: s[0])
        for sleeper in due:
            self._sleepers.remove(sleeper)
            if not sleeper[1].done():
                sleeper[1].set_result(None)

    async def sleepers(self, count: int = 1) -> None:
        """Wait until this many tasks sleep: only then does advancing reach them."""
        while len(self._sleepers) < count:
            self._changed.clear()
            await self._changed.wait()
