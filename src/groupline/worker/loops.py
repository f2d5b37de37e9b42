"""Which loops a worker runs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from groupline.gateways.watch import GatewayWatch
from groupline.inbound.process import Replay
from groupline.numbers.context import Context
from groupline.numbers.sweep import Sweeper
from groupline.numbers.verify import Verifier
from groupline.runtime import Runtime
from groupline.worker.loop import Loop


@asynccontextmanager
async def loops_of(runtime: Runtime) -> AsyncIterator[Sequence[Loop]]:
    """The loops on this runtime; leaving it lets them finish what they hold."""
    watch = GatewayWatch(runtime.database, runtime.gateways, runtime.clock)
    replay = Replay(runtime.database, runtime.clock)
    numbers = Context.of(runtime)
    verifier, sweeper = Verifier(numbers), Sweeper(numbers)
    yield (
        Loop(
            "gateways",
            watch.run_once,
            idle_seconds=30,
            next_due=watch.next_due,
            wakes_on=frozenset(("gateways",)),
        ),
        Loop("inbound", replay.run_once, idle_seconds=5),
        Loop("verifier", verifier.run_once, idle_seconds=1, next_due=verifier.next_due),
        Loop("sweeper", sweeper.run_once, idle_seconds=2, wakes_on=frozenset(("sessions",))),
    )
