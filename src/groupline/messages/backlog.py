"""Results that wait to be stored. The database may be away, or refuse one of them: no other is
held up by that, and no evidence is given up as long as it may still be stored."""

import asyncio
import sqlite3
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

import psycopg
import sqlalchemy.exc
import structlog

from groupline.clock import Clock
from groupline.db import Database
from groupline.messages.results import Result
from groupline.messages.rules import Policy
from groupline.messages.settle import settle

logger = structlog.get_logger(__name__)

_TRY_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.5
_REFUSALS: Final = 3
"""What the database has refused so often is left to the lease of its message: when that has ended,
the gateway is asked what became of it."""
_IN_WHAT_IS_STORED: Final = (
    TypeError,
    ValueError,
    *(each.DataError for each in (sqlite3, psycopg, sqlalchemy.exc)),
    *(each.IntegrityError for each in (sqlite3, psycopg, sqlalchemy.exc)),
)
"""Where errors may lie. With any other it is the database that has to be waited for."""


class Backlog:
    def __init__(self, database: Database, clock: Clock, policy: Policy) -> None:
        self._database = database
        self._clock = clock
        self._policy = policy
        self._results: deque[Result] = deque()
        self._refusals: Counter[UUID] = Counter()

    def __len__(self) -> int:
        return len(self._results)

    def add(self, result: Result) -> None:
        self._results.append(result)

    def take(self, most: int) -> list[Result]:
        return [self._results.popleft() for _ in range(min(len(self._results), most))]

    def put_back(self, results: Sequence[Result]) -> None:
        self._results.extendleft(reversed(results))

    async def store(self, results: Sequence[Result]) -> None:
        async with self._database.writing() as session:
            await settle(session, results, now=self._clock.now(), policy=self._policy)

    async def store_each(self, results: Sequence[Result]) -> None:
        """Those that could not be stored together. What is refused waits behind all others."""
        left = deque(results)
        try:
            while left:
                await self._store_or_put_aside(left[0])
                left.popleft()
        finally:
            self.put_back(left)

    async def store_what_can_be(self) -> None:
        """Without waiting for a database that is away."""
        await self._is_stored(list(self._results))

    async def drain(self, within: timedelta) -> None:
        """Stores everything. What cannot be stored in time is left to its lease."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await self._store_stubbornly()
        for each in self.take(len(self)):
            _tell_lost(each)

    async def _store_or_put_aside(self, result: Result) -> None:
        try:
            await self.store([result])
        except _IN_WHAT_IS_STORED as error:
            _tell_failed(error, 1)
            self._refusals[result.claim.id] += 1
            if self._refusals[result.claim.id] < _REFUSALS:
                self._results.append(result)
                return
            _tell_lost(result)
        del self._refusals[result.claim.id]

    async def _store_stubbornly(self) -> None:
        """A database that is away is waited for. What it refuses takes nothing else with it."""
        while self._results:
            if await self._is_stored(list(self._results)):
                continue
            for each in list(self._results):
                await self._is_stored([each])
            if self._results:
                await self._clock.sleep(_RETRY_SECONDS)

    async def _is_stored(self, results: Sequence[Result]) -> bool:
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                await self.store(results)
        except Exception as error:  # noqa: BLE001 - it holds up no other; what stays is logged
            _tell_failed(error, len(results))
            return False
        for each in results:
            self._results.remove(each)
        return True


def lies_in_results(error: BaseException) -> bool:
    return isinstance(error, _IN_WHAT_IS_STORED)


def _tell_failed(error: Exception, results: int) -> None:
    logger.warning("message.store_failed", error=type(error).__name__, results=results)


def _tell_lost(result: Result) -> None:
    outcome = type(result.outcome).__name__
    logger.error("message.result_lost", message_id=str(result.claim.id), outcome=outcome)
