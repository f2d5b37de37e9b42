"""Attempts under way: at most so many at once, and at most so many to one destination."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Coroutine, Hashable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from groupline.clock import Clock

K = TypeVar("K", bound=Hashable)


class Flights(Generic[K]):
    """Whoever is slow to answer holds up itself, and nobody else."""

    def __init__(self, *, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._under_way: dict[asyncio.Task[None], K] = {}
        self.wake = asyncio.Event()
        """Set when an attempt has ended: there is room again."""

    @property
    def room(self) -> int:
        return self._most - len(self._under_way)

    def room_for(self, destination: K) -> int:
        return min(self.room, self._most_each - Counter(self._under_way.values())[destination])

    @property
    def full(self) -> set[K]:
        """Destinations that take no further attempt now."""
        counts = Counter(self._under_way.values())
        return {each for each, count in counts.items() if count >= self._most_each}

    def launch(self, destination: K, attempt: Coroutine[Any, Any, None]) -> None:
        """Begins the attempt. It handles its own failures."""
        task = asyncio.create_task(attempt)
        self._under_way[task] = destination
        task.add_done_callback(self._landed)

    async def drain(self) -> None:
        """Waits for what is under way; each attempt has a limit of its own."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _landed(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self.wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": "an attempt failed unhandled", "exception": error, "task": task}
            )


class Departures(ABC, Generic[K]):
    """A loop that begins attempts of what is due, as far as there is room. They end by themselves.

    Whoever inherits says what is due next, and claims it.
    """

    def __init__(self, clock: Clock, flights: Flights[K]) -> None:
        self._clock = clock
        self._flights = flights

    @property
    def wake(self) -> asyncio.Event:
        return self._flights.wake

    async def run_once(self) -> bool:
        if self._flights.room <= 0 or await self._seconds_until_due() != 0:
            return False
        claimed = await self._claim(self._clock.now())
        for destination, attempt in claimed:
            self._flights.launch(destination, attempt)
        return bool(claimed)

    async def next_due(self) -> float | None:
        if self._flights.room <= 0:
            return None  # an attempt that ends wakes the loop
        return await self._seconds_until_due()

    async def drain(self) -> None:
        """Waits for the attempts under way; each has its limit of time."""
        await self._flights.drain()

    @abstractmethod
    async def _due(self) -> datetime | None:
        """When the first is due that has room."""

    @abstractmethod
    async def _claim(self, now: datetime) -> Sequence[tuple[K, Coroutine[Any, Any, None]]]:
        """Attempts of what is due, leased to us, with where each goes."""

    async def _seconds_until_due(self) -> float | None:
        due = await self._due()
        return None if due is None else max(0.0, (due - self._clock.now()).total_seconds())
