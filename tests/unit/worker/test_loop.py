"""A loop turns while there is work, rests when there is none, and survives its own failures."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.clock import ManualClock

from groupline.clock import SystemClock
from groupline.db.punctual import current_patience
from groupline.worker.loop import MAX_BACKOFF_SECONDS, Loop, _backoff, keep_running


class RecordedSleep(SystemClock):
    """Real time, but it remembers the pauses that were asked for and takes none of them."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0)


def turns(*results: bool | Exception, stopping: asyncio.Event) -> Callable[[], Awaitable[bool]]:
    left = list(results)

    async def run_once() -> bool:
        result = left.pop(0)
        if not left:
            stopping.set()
        if isinstance(result, Exception):
            raise result
        return result

    return run_once


async def test_it_turns_at_once_while_there_is_work() -> None:
    stopping, clock = asyncio.Event(), RecordedSleep()
    loop = Loop("test", turns(True, True, False, stopping=stopping), idle_seconds=7)
    await keep_running(loop, clock, stopping)
    assert len(clock.asked) == 1
    assert 7 * 0.75 <= clock.asked[0] <= 7, "workers started together do not look together"


async def test_the_pause_is_cut_to_the_next_known_work() -> None:
    async def in_two_seconds() -> float:
        return 2.0

    stopping, clock = asyncio.Event(), RecordedSleep()
    run_once = turns(False, False, stopping=stopping)
    await keep_running(Loop("test", run_once, 60, next_due=in_two_seconds), clock, stopping)
    assert clock.asked == [2.0, 2.0]


async def test_a_turn_that_fails_is_tried_again_later_and_later() -> None:
    stopping, clock = asyncio.Event(), RecordedSleep()
    failures = [RuntimeError("no")] * 4
    loop = Loop("test", turns(*failures, False, stopping=stopping), idle_seconds=7)
    await keep_running(loop, clock, stopping)
    assert len(clock.asked) == 5
    assert clock.asked[3] > clock.asked[0]
    assert 7 * 0.75 <= clock.asked[-1] <= 7


async def test_a_failure_that_goes_on_is_logged_each_time_and_explained_once() -> None:
    stopping = asyncio.Event()
    failures: list[bool | Exception] = [
        RuntimeError("no"),
        RuntimeError("no"),
        ValueError("no"),
        True,
        ValueError("no"),
    ]
    loop = Loop("test", turns(*failures, stopping=stopping), idle_seconds=7)
    with capture_logs() as logs:
        await keep_running(loop, RecordedSleep(), stopping)
    assert [(each["error"], bool(each["exc_info"])) for each in logs] == [
        ("RuntimeError", True),
        ("RuntimeError", False),
        ("ValueError", True),
        ("ValueError", True),
    ]


async def test_a_turn_that_fails_and_is_woken_by_what_it_does_is_not_tried_at_once() -> None:
    stopping, clock, turned = asyncio.Event(), ManualClock(), asyncio.Queue[None]()

    async def run_once() -> bool:
        loop.wake.set()
        turned.put_nowait(None)
        raise RuntimeError("no")

    loop = Loop("test", run_once, idle_seconds=3600)
    task = asyncio.create_task(keep_running(loop, clock, stopping))
    await turned.get()
    await clock.sleepers()
    for _ in range(100):  # whatever would run now, runs
        loop.wake.set()
        await asyncio.sleep(0)
    assert turned.empty()
    clock.advance(MAX_BACKOFF_SECONDS)
    await asyncio.wait_for(turned.get(), 60)
    stopping.set()
    await asyncio.wait_for(task, 60)


@pytest.mark.parametrize("failures", [1, 5, 10_000])
def test_no_pause_after_a_failure_is_longer_than_the_limit(failures: int) -> None:
    assert 0 < _backoff(failures) <= MAX_BACKOFF_SECONDS


@asynccontextmanager
async def running(loop: Loop, stopping: asyncio.Event) -> Any:
    task = asyncio.create_task(keep_running(loop, SystemClock(), stopping))
    yield
    await asyncio.wait_for(task, 60)


async def test_a_wake_up_ends_the_pause() -> None:
    stopping = asyncio.Event()
    turned = asyncio.Queue[None]()

    async def run_once() -> bool:
        turned.put_nowait(None)
        return False

    loop = Loop("test", run_once, idle_seconds=3600)
    async with running(loop, stopping):
        await asyncio.wait_for(turned.get(), 60)
        loop.wake.set()
        await asyncio.wait_for(turned.get(), 60)
        stopping.set()


async def test_a_wake_up_during_a_turn_is_not_lost() -> None:
    stopping = asyncio.Event()
    count = 0

    async def run_once() -> bool:
        nonlocal count
        count += 1
        if count == 1:
            loop.wake.set()
        else:
            stopping.set()
        return False

    loop = Loop("test", run_once, idle_seconds=3600)
    async with running(loop, stopping):
        pass
    assert count == 2


async def test_however_often_it_is_woken_it_turns_no_more_often() -> None:
    stopping, clock, turned = asyncio.Event(), ManualClock(), asyncio.Queue[None]()

    async def run_once() -> bool:
        turned.put_nowait(None)
        return False

    loop = Loop("test", run_once, idle_seconds=3600, rest_seconds=1.0)
    task = asyncio.create_task(keep_running(loop, clock, stopping))
    await turned.get()
    for _ in range(10):
        await clock.sleepers()
        loop.wake.set()
        clock.advance(0.05)
    assert turned.empty()
    clock.advance(0.5)
    await asyncio.wait_for(turned.get(), 60)
    assert turned.empty(), "all that was announced meanwhile is one turn"
    stopping.set()
    await asyncio.wait_for(task, 60)


@pytest.mark.parametrize("failure", [None, RuntimeError("no")])
async def test_a_loop_that_stops_finishes_what_it_holds(failure: Exception | None) -> None:
    ended: list[str] = []

    async def finish() -> None:
        ended.append("finished")
        if failure is not None:
            raise failure

    stopping = asyncio.Event()
    loop = Loop("test", turns(True, stopping=stopping), idle_seconds=7, on_stop=finish)
    await keep_running(loop, RecordedSleep(), stopping)
    assert ended == ["finished"]


async def test_a_turn_and_the_look_after_it_wait_as_long_as_the_loop_says() -> None:
    stopping, waited = asyncio.Event(), []

    async def turn() -> bool:
        waited.append(current_patience())
        stopping.set()
        return False

    async def due() -> None:
        waited.append(current_patience())

    outside = current_patience()
    loop = Loop("test", turn, 0.01, next_due=due, patience_seconds=outside + 3)
    await keep_running(loop, SystemClock(), stopping)
    assert waited == [outside + 3] * 2
    assert current_patience() == outside
