"""Runs the worker's loops until told to stop, and says that it is alive."""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from groupline.db import RESYNC, Announcement
from groupline.db.punctual import PROMPT_SECONDS
from groupline.heartbeat import Heartbeat, process_name
from groupline.runtime import Runtime
from groupline.worker.elsewhere import EVERY_SECONDS, Elsewhere
from groupline.worker.loop import Loop, keep_running

logger = structlog.get_logger()

HEARTBEAT_SECONDS = 10.0


class Supervisor:
    """Owns the loops of one worker process: their start, their wake-ups, their end."""

    def __init__(self, runtime: Runtime, loops: Sequence[Loop]) -> None:
        self._runtime = runtime
        self._heartbeat = Heartbeat(process_name())
        heartbeat = Loop(
            "heartbeat",
            self._beat,
            idle_seconds=HEARTBEAT_SECONDS,
            patience_seconds=PROMPT_SECONDS,  # others believe it for half a minute
        )
        self.loops = (*loops, heartbeat)
        self._elsewhere: Elsewhere | None = None
        if runtime.database.dialect == "sqlite":
            self._elsewhere = elsewhere = Elsewhere(runtime.database)
            hear = partial(self._hear_others, elsewhere)
            watch = Loop("elsewhere", hear, idle_seconds=EVERY_SECONDS)
            self.loops = (*self.loops, watch)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until ``stopping`` is set and every loop has finished the turn it was in."""
        if self._elsewhere is not None:  # what is written from now on is news
            await self._elsewhere.has_written()
        listener = asyncio.create_task(self._wake_on_changes())
        try:
            async with asyncio.TaskGroup() as group:
                for loop in self.loops:
                    group.create_task(
                        keep_running(loop, self._runtime.clock, stopping), name=loop.name
                    )
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
        await self._end_heartbeat()
        logger.info("worker.stopped")

    async def _wake_on_changes(self) -> None:
        async with self._runtime.announcements.subscribe() as heard:
            async for announcement in heard:
                self._wake(announcement)

    async def _hear_others(self, elsewhere: Elsewhere) -> bool:
        """Says nothing to open pages: theirs is the process that serves them."""
        if await elsewhere.has_written():
            self._wake(RESYNC)
        return False

    def _wake(self, announcement: Announcement) -> None:
        for loop in self.loops:
            if _concerns(announcement, loop):
                loop.wake.set()

    async def _beat(self) -> bool:
        async with self._runtime.database.writing() as session:
            await self._heartbeat.beat(session, self._runtime.clock.now())
        return False

    async def _end_heartbeat(self) -> None:
        """Without a database nobody can be told: that it is gone is seen when its lease ends."""
        try:
            async with self._runtime.database.writing() as session:
                await self._heartbeat.end(session, self._runtime.clock.now())
        except Exception as error:  # noqa: BLE001 - it ends all the same, and in order
            logger.warning("worker.end_not_told", error=type(error).__name__)


def _concerns(announcement: Announcement, loop: Loop) -> bool:
    if announcement == RESYNC:
        return bool(loop.wakes_on)
    return announcement.topic in loop.wakes_on
