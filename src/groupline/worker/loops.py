"""Which loops a worker runs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from groupline.gateways.watch import GatewayWatch
from groupline.inbound.process import Replay
from groupline.runtime import Runtime
from groupline.worker.loop import Loop


@asynccontextmanager
async def loops_of(runtime: Runtime) -> AsyncIterator[Sequence[Loop]]:
    """The loops on this runtime; leaving it lets them finish what they hold."""
    watch = GatewayWatch(runtime.database, runtime.gateways, runtime.clock)
    replay = Replay(runtime.database, runtime.clock)
    yield (
        Loop(
            "gateways",
            watch.run_once,
            idle_seconds=30,
            next_due=watch.next_due,
            wakes_on=frozenset(("gateways",)),
        ),
        Loop("inbound", replay.run_once, idle_seconds=5),
    )
