"""A start that nobody waits for any more leaves nothing behind."""

import asyncio
import contextlib
import gc
import os
from pathlib import Path

from tests.gateway.whatsmeow.waiting import until
from tests.support.fake_whatsapp import CLIENT

from groupline_gateway.engines.whatsmeow.process import WorkerProcess


def _children() -> set[str]:
    own = os.getpid()
    return set(Path(f"/proc/{own}/task/{own}/children").read_text().split())


async def test_a_worker_whose_start_is_given_up_is_gone() -> None:
    """In whatever moment: none of them leaves a process, a socket or a pipe."""
    before = _children()
    for turns in range(12):
        starting = asyncio.create_task(WorkerProcess.spawn(CLIENT, lambda _: None))
        for _ in range(turns):
            await asyncio.sleep(0.001)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await starting).kill()
        gc.collect()  # what was left open warns here, and a warning is a failure
    await until(lambda: _children() <= before)
