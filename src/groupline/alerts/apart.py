"""Blocking calls, apart from everything else and with a limit of time."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


async def run_apart(call: Callable[[], None], *, seconds: float) -> None:
    """Runs it in a daemon thread of its own. ``TimeoutError`` when it takes longer.

    A thread cannot be ended. One that hangs is left behind: it holds up no other call, as it would
    in a pool, and not the end of the process either.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return  # nobody waits any more
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        failure: BaseException | None = None
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=work, name="apart", daemon=True).start()
    async with asyncio.timeout(seconds):
        await done
