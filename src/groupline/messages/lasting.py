"""Telling of requests that take long, so that open pages show that a message is being sent.

A claim is not announced: most requests end at once, and their results are. What lasts is told of
once, by one timer for each turn.
"""

import asyncio
from collections.abc import Callable, Iterable
from uuid import UUID

import structlog

from groupline.db import Database
from groupline.messages.changes import told_of
from groupline.messages.claim import Claim

logger = structlog.get_logger(__name__)


class Lasting:
    """``in_flight`` names the claims whose requests run now."""

    def __init__(
        self, database: Database, in_flight: Callable[[], Iterable[Claim]], *, after: float
    ) -> None:
        self._database = database
        self._in_flight = in_flight
        self._after = after
        self._timers: dict[UUID, asyncio.TimerHandle] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def watch(self, token: UUID) -> None:
        """What was claimed under this token, and still runs after a while, is told of."""
        loop = asyncio.get_running_loop()
        self._timers[token] = loop.call_later(self._after, self._look, token)

    async def tell(self, token: UUID) -> None:
        running = (each for each in self._in_flight() if each.token == token)
        told = told_of((each.organization_id, each.id) for each in running)
        if not told:
            return
        try:
            await self._database.carry_out((), told)
        except Exception as error:  # noqa: BLE001 - the result will be told of all the same
            logger.warning("message.lasting_untold", error=type(error).__name__)

    async def end(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def _look(self, token: UUID) -> None:
        del self._timers[token]
        if all(each.token != token for each in self._in_flight()):
            return
        task = asyncio.create_task(self.tell(token))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
