"""Which loops a worker runs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from groupline.runtime import Runtime
from groupline.worker.loop import Loop


@asynccontextmanager
async def loops_of(runtime: Runtime) -> AsyncIterator[Sequence[Loop]]:
    """The loops on this runtime; leaving it lets them finish what they hold."""
    yield ()
