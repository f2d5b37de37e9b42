"""The dispatcher: claims due messages, sends them concurrently, stores what became of them.

Its turns are short. A turn stores the results that have come in and claims what the lanes are
free for, in one transaction; then the requests start, and no transaction is open while they run.
While one half of them is stored, the other half runs. A slow gateway holds up its own lanes and
nobody else.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import select

from groupline.clock import Clock
from groupline.db import Database
from groupline.errors import GrouplineError
from groupline.gateways.outcomes import (
    NotSent,
    NotSentReason,
    SendOutcome,
    Sent,
    Uncertain,
    UncertainReason,
    not_sent,
)
from groupline.gateways.port import Capability, GatewayDriver
from groupline.gateways.service import Gateways
from groupline.ids import new_id
from groupline.messages.backlog import Backlog, lies_in_results
from groupline.messages.claim import Claim, claim, claimed
from groupline.messages.lasting import Lasting
from groupline.messages.outlook import outlook
from groupline.messages.refusals import Refusal
from groupline.messages.results import Result, Withheld
from groupline.messages.rules import Policy
from groupline.messages.sent import sent_ones, store_sent
from groupline.models import Gateway

logger = structlog.get_logger(__name__)

BATCH: Final = 100
CAPACITY: Final = 200
WAKES_ON: Final = frozenset({"messages", "numbers", "sessions", "campaigns", "gateways"})
LONGEST_REQUEST: Final = timedelta(seconds=35)
START_WITHIN: Final = timedelta(seconds=10)
"""A request is written so soon after its claim or not at all: its answer comes within the lease,
and ``Policy.unsent_after`` its claim it is certain that it was carried out or never will be."""
STORE_WITHIN: Final = timedelta(seconds=20)
TOLD_AFTER: Final = timedelta(seconds=1)
"""A request that runs for so long is announced: pages show it, and no way to cancel it."""
_DOUBTFUL: Final[frozenset[NotSentReason | UncertainReason]] = frozenset(
    {
        NotSentReason.UNREACHABLE,
        NotSentReason.TIMEOUT_BEFORE_WRITE,
        NotSentReason.UNAUTHORIZED,
        NotSentReason.ROUTE_MISSING,
        UncertainReason.NO_ANSWER,
        UncertainReason.CONNECTION_LOST,
    }
)
"""So fails a gateway that is away, refuses us or is another one; or one request among many."""
_DRIVERS_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.01
_GATHER_SECONDS: Final = 0.01
"""So long a result may wait for others, so that many share a transaction."""


class _TooLate(Exception):
    """Raised before anything of a request was written."""


class Dispatcher:
    """One per worker process. ``wake`` is set when a result waits to be stored. ``doubt`` is told
    of each gateway that failed a request: whether it fails itself is for others to find out."""

    def __init__(
        self,
        database: Database,
        gateways: Gateways,
        clock: Clock,
        *,
        lease: timedelta = timedelta(seconds=60),
        policy: Policy | None = None,
        batch: int = BATCH,
        capacity: int = CAPACITY,
        longest_request: timedelta = LONGEST_REQUEST,
        start_within: timedelta = START_WITHIN,
        store_within: timedelta = STORE_WITHIN,
        told_after: timedelta = TOLD_AFTER,
        doubt: Callable[[UUID], None] = lambda _: None,
    ) -> None:
        if lease < longest_request + start_within:
            raise ValueError("A request could outlive a lease this short.")
        self.wake = asyncio.Event()
        self._database = database
        self._gateways = gateways
        self._clock = clock
        self._lease = lease
        self._policy = policy or Policy()
        self._batch = batch
        self._capacity = capacity
        self._start_within = start_within
        self._store_within = store_within
        self._doubt = doubt
        self._worker = str(new_id())
        self._backlog = Backlog(database, clock, self._policy)
        self._requests: dict[asyncio.Task[None], Claim] = {}
        self._lasting = Lasting(database, self._requests.values, after=told_after.total_seconds())
        self._next_at: float | None = None
        self._drivers: Mapping[UUID, GatewayDriver | NotSent] = {}
        self._drivers_until = 0.0
        self._looked_at = float("-inf")
        self._expects_more = False
        self._lanes = float("inf")
        self._unanswered: tuple[UUID, datetime] | None = None
        """The token and the time of a claim of which it is not known whether it was committed."""
        self._is_ripe = False
        self._ripening: asyncio.TimerHandle | None = None
        self._random = random.Random()  # noqa: S311 - spreads retries, guards nothing

    @property
    def in_flight(self) -> int:
        return len(self._requests)

    async def answers(self) -> None:
        """Waits until every request that runs now has ended; nothing is stored by that."""
        if self._requests:
            await asyncio.wait(self._requests)

    async def run_once(self) -> bool:
        """One turn. False: nothing to store yet, and nothing that can be sent now."""
        room = min(self._batch, self._capacity - len(self._requests))
        if self._backlog and not self._is_ripe:
            self._next_at = _GATHER_SECONDS
            return False
        if not self._backlog and not await self._may_find_more(room):
            return False
        return await self._turn(room)

    async def next_due(self) -> float | None:
        """Seconds until something becomes due, or a lane free, as far as that is known."""
        return self._next_at

    async def drain(self) -> None:
        """Lets the requests that run end, and stores every result. Nothing new is claimed."""
        while self._requests:
            await asyncio.wait(self._requests, return_when=asyncio.FIRST_COMPLETED)
            await self._backlog.store_what_can_be()
        await self._lasting.end()
        await self._backlog.drain(self._store_within)

    def _has_just_looked(self) -> bool:
        """A claim left room a moment ago, and requests are under way: their end wakes the loop."""
        wait = self._looked_at + _LOOK_SECONDS - self._clock.monotonic()
        if wait <= 0 or not self._requests:
            return False
        self._next_at = wait
        return True

    async def _may_find_more(self, room: int) -> bool:
        if self._unanswered is not None:
            return True
        if room <= 0 or self._has_just_looked():
            return False
        return self._expects_more or await self._anything_due()

    async def _anything_due(self) -> bool:
        now = self._clock.now()
        async with self._database.reading() as session:
            seen = await outlook(session, now)
        self._next_at = (
            None if seen.next_at is None else max(0.0, (seen.next_at - now).total_seconds())
        )
        return seen.is_due

    async def _turn(self, room: int) -> bool:
        found = bool(self._backlog)
        claims = await self._claimed_without_an_answer() or await self._store_and_claim(room)
        self._note_claim(len(claims), room)
        drivers = await self._drivers_for({each.gateway_id for each in claims})
        for each in claims:
            if each.refusal is None:
                self._start(each, drivers[each.gateway_id])
            else:
                self._finish(each, each.refusal)
        if claims:
            self._lasting.watch(claims[0].token)
        return found or bool(claims)

    def _note_claim(self, claimed: int, room: int) -> None:
        """A claim that left room shows how many lanes there are. Once all of these are busy again,
        nothing more is expected; one lane more, and the number is not known any longer."""
        busy = len(self._requests) + len(self._backlog) + claimed
        if claimed < room:
            self._lanes = busy
        elif busy > self._lanes:
            self._lanes = float("inf")
        self._expects_more = claimed == room > 0 and busy < self._lanes
        if claimed < room or busy == self._lanes:
            self._looked_at = self._clock.monotonic()

    def _take(self) -> list[Result]:
        taken = self._backlog.take(self._batch * 2)
        self._is_ripe = bool(self._backlog)
        return taken

    async def _store_and_claim(self, room: int) -> list[Claim]:
        """What cannot be stored now waits for the next turn. A claim that fails keeps no result."""
        waiting = self._take()
        try:
            if room > 0 and all(isinstance(each.outcome, Sent) for each in waiting):
                try:
                    return await self._claim(room, waiting)
                except Exception as error:  # noqa: BLE001 - what is wrong comes up again below
                    # As a rule two claims met at a number, which is no trouble.
                    logger.info("message.turn_split", error=type(error).__name__)
            sent = [each for each in waiting if isinstance(each.outcome, Sent)]
            if sent and await store_sent(self._database, sent, self._clock.now()):
                waiting = [each for each in waiting if not isinstance(each.outcome, Sent)]
            if waiting:
                await self._backlog.store(waiting)
        except BaseException as error:
            self._is_ripe = True
            if not lies_in_results(error):
                self._backlog.put_back(waiting)
                raise
            await self._backlog.store_each(waiting)
        if room <= 0:
            return []
        return await self._claimed_without_an_answer() or await self._claim(room)

    async def _claim(self, room: int, sent: Sequence[Result] = ()) -> list[Claim]:
        """In the same transaction it is stored first that messages were ``sent``: their lanes are
        free by that."""
        now = self._clock.now()
        ones = sent_ones(self._database.dialect, sent, now)
        self._unanswered = (new_id(), now)
        claims = await claim(
            self._database,
            worker=self._worker,
            now=now,
            lease=self._lease,
            limit=room,
            roll=self._random.random(),
            token=self._unanswered[0],
            policy=self._policy,
            first=ones.statements,
            announcements=ones.announcements,
        )
        self._unanswered = None
        ones.log()
        return claims

    async def _claimed_without_an_answer(self) -> list[Claim]:
        """The connection may break when the database has committed and not said so: nothing of
        what it took has been written to a gateway yet, and nobody else may do it."""
        if self._unanswered is None:
            return []
        token, at = self._unanswered
        claims = await claimed(self._database, token, at=at, lease=self._lease)
        self._unanswered = None
        return claims

    async def _drivers_for(self, used: set[UUID]) -> Mapping[UUID, GatewayDriver | NotSent]:
        """Read anew every second: a busy turn need not ask for what hardly ever changes."""
        now = self._clock.monotonic()
        if now >= self._drivers_until or not used <= self._drivers.keys():
            async with self._database.reading() as session:
                rows = (await session.scalars(select(Gateway))).all()
            self._drivers = {row.id: self._driver(row) for row in rows}
            self._drivers_until = now + _DRIVERS_SECONDS
        return self._drivers

    def _driver(self, gateway: Gateway) -> GatewayDriver | NotSent:
        try:
            return self._gateways.driver(gateway)
        except GrouplineError as error:
            logger.exception("gateway.unusable", gateway=str(gateway.id))
            return not_sent(NotSentReason.UNAUTHORIZED, error.detail)

    # --- one request

    def _start(self, each: Claim, driver: GatewayDriver | NotSent) -> None:
        if isinstance(driver, NotSent):
            self._finish(each, driver)
            return
        task = asyncio.create_task(self._request(each, driver))
        self._requests[task] = each

    async def _request(self, each: Claim, driver: GatewayDriver) -> None:
        try:
            self._finish(each, await self._outcome(each, driver))
        finally:
            task = asyncio.current_task()
            assert task is not None
            del self._requests[task]

    async def _outcome(self, each: Claim, driver: GatewayDriver) -> SendOutcome | Withheld:
        if each.carries_ref and Capability.CLIENT_REF not in driver.capabilities:
            return Withheld("the gateway has just changed")
        if each.too_soon:
            return Withheld("its number has just sent another one")
        try:
            return await driver.send(
                each.gateway_session_id,
                each.group_jid,
                each.content,
                media_url=each.media_url,
                media_type=each.media_type,
                client_ref=each.client_ref,
                before_write=partial(self._check_time, each),
            )
        except _TooLate as late:
            return Withheld(str(late))
        except Exception as error:  # a defect of a driver: nothing is known about the message
            logger.exception("message.driver_failed", message_id=str(each.id))
            detail = type(error).__name__
            return Uncertain(UncertainReason.UNEXPECTED, http_status=None, detail=detail)

    def _check_time(self, each: Claim) -> None:
        """After all that may take long: this process may have stood still since the claim, or
        waited for a connection."""
        now = self._clock.now()
        if now > each.started_at + self._start_within:
            raise _TooLate("the claim is too old")
        if each.expires_at is not None and now >= each.expires_at:
            raise _TooLate("its time was over")

    def _finish(self, each: Claim, outcome: SendOutcome | Withheld | Refusal) -> None:
        self._backlog.add(Result(each, outcome, self._random.random()))
        if isinstance(outcome, NotSent | Uncertain) and outcome.reason in _DOUBTFUL:
            self._doubt(each.gateway_id)
        if len(self._backlog) >= len(self._requests):
            self._ripen()
        elif self._ripening is None:
            self._ripening = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._ripen)

    def _ripen(self) -> None:
        """Results are stored when as many wait as requests run, or a moment after the first."""
        if self._ripening is not None:
            self._ripening.cancel()
            self._ripening = None
        self._is_ripe = True
        self.wake.set()
