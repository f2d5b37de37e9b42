"""What a loop is, and how one is kept running."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from groupline.clock import Clock
from groupline.db.punctual import ANSWER_SECONDS, patience

logger = structlog.get_logger()

MAX_BACKOFF_SECONDS = 10.0
"""No longer than a reminder may be late once the database, say, is there again."""


@dataclass(slots=True)
class Loop:
    """``run_once`` does one turn and says whether it found work: then it turns again at once."""

    name: str
    run_once: Callable[[], Awaitable[bool]]
    idle_seconds: float
    """The longest pause between two turns that find nothing: a look in case a word was lost."""
    next_due: Callable[[], Awaitable[float | None]] | None = None
    """Seconds until the next known work, where the loop can tell: the pause is cut to it."""
    wakes_on: frozenset[str] = frozenset()
    """Topics of announcements that wake it."""
    rest_seconds: float = 0.0
    """However often it is woken, an idle loop turns no more often: thousands of rows, few turns."""
    patience_seconds: float = ANSWER_SECONDS
    """How long a turn waits for a database that says nothing."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it, and an idle loop turns at once."""
    on_stop: Callable[[], Awaitable[None]] | None = None
    """What it has to finish when it stops. It does not wait for the other loops."""


async def keep_running(loop: Loop, clock: Clock, stopping: asyncio.Event) -> None:
    """Turns the loop until ``stopping``. A turn that fails is logged and tried again later."""
    failures = 0
    failed_by: type[Exception] | None = None
    while not stopping.is_set():
        loop.wake.clear()
        began = clock.monotonic()
        try:
            with patience(loop.patience_seconds):
                found_work = await loop.run_once()
                pause = 0.0 if found_work else await _idle_pause(loop)
            failures, failed_by = 0, None
        except Exception as error:  # one loop's failure must not end the worker
            failures += 1
            pause = _backoff(failures)
            is_new = type(error) is not failed_by  # of what goes on and on one traceback is enough
            failed_by = type(error)
            logger.exception(
                "loop.failed",
                loop=loop.name,
                error=failed_by.__name__,
                again_in=round(pause, 1),
                exc_info=is_new,
            )
        if failures > 0:  # whatever wakes the loop, it would only fail again
            await _pause(clock, pause, stopping)
        elif pause > 0:
            await _pause(clock, pause, loop.wake, stopping)
            rest = began + loop.rest_seconds - clock.monotonic()
            if rest > 0 and loop.wake.is_set():
                await _pause(clock, rest, stopping)
    if loop.on_stop is not None:
        try:
            await loop.on_stop()
        except Exception:  # nor must it keep the others from ending in order
            logger.exception("loop.failed_to_stop", loop=loop.name)


async def _idle_pause(loop: Loop) -> float:
    due = await loop.next_due() if loop.next_due else None
    # Workers that were started together do not look together for ever.
    longest = loop.idle_seconds * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, not a secret
    return longest if due is None else min(longest, max(due, 0.001))


def _backoff(failures: int) -> float:
    ceiling = min(MAX_BACKOFF_SECONDS, 0.5 * 2.0 ** min(failures, 8))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


async def _pause(clock: Clock, seconds: float, *events: asyncio.Event) -> None:
    """Until the time is over or one of the events is set."""
    waiters: list[asyncio.Task[object]] = [asyncio.create_task(event.wait()) for event in events]
    waiters.append(asyncio.create_task(clock.sleep(seconds)))
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
        await asyncio.gather(*waiters, return_exceptions=True)
