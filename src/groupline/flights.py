"""Attempts under way: at most so many at once, and at most so many to one destination."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Hashable
from typing import Any, Generic, TypeVar

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
