"""A worker as a process of its own, in a hurry: what the fault campaign kills and starts again.

It is made of the loops of the product; only its times are short.
"""

import asyncio
import signal
import sys
from datetime import timedelta

from tests.support.keys import SECRET_KEY

from groupline.clock import SystemClock
from groupline.db import Announcements, Database
from groupline.gateways.drivers.base import HttpPool, Limit, Limits
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways
from groupline.inbound.process import Replay
from groupline.logs import configure_logging
from groupline.messages.dispatch import Dispatcher
from groupline.messages.expire import Expirer
from groupline.messages.reconcile import Reconciler
from groupline.messages.recover import Recoverer
from groupline.messages.rules import Policy
from groupline.vault import Vault
from groupline.worker.loop import Loop, keep_running

LEASE = timedelta(seconds=3)
REQUEST = 1.0
POLICY = Policy(
    rejections=1_000,  # a campaign of faults must not end in "rejected three times"
    retry_after=timedelta(seconds=0.001),
    resend_after=timedelta(seconds=0.2),
    callback_within=timedelta(seconds=2),
    first_look=timedelta(seconds=0.3),
    unsent_after=timedelta(seconds=4),
    rarest_look=timedelta(seconds=1),
    wait_not_connected=timedelta(seconds=0.3),
    wait_unreachable=timedelta(seconds=0.3),
    wait_no_connection_free=timedelta(seconds=0.1),
    wait_rate_limited=timedelta(seconds=0.2),
    wait_restricted=timedelta(seconds=0.3),
)
LIMITS = Limits(connect_seconds=0.8, send=Limit(REQUEST), lookup=Limit(REQUEST))


async def work(url: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    database, clock = Database(url, announcements=Announcements()), SystemClock()
    async with HttpPool() as pool:
        gateways = Gateways(DriverRegistry(pool, LIMITS), Vault(SECRET_KEY))
        dispatcher = Dispatcher(
            database,
            gateways,
            clock,
            lease=LEASE,
            policy=POLICY,
            longest_request=timedelta(seconds=REQUEST + 0.8),
            start_within=timedelta(seconds=1),
        )
        reconciler = Reconciler(database, gateways, clock, policy=POLICY)
        recoverer, expirer = Recoverer(database, clock, POLICY), Expirer(database, clock)
        replay = Replay(database, clock)
        loops = (
            Loop(
                "dispatch",
                dispatcher.run_once,
                idle_seconds=0.2,
                next_due=dispatcher.next_due,
                wake=dispatcher.wake,
            ),
            Loop("reconcile", reconciler.run_once, idle_seconds=0.3, next_due=reconciler.next_due),
            Loop("recover", recoverer.run_once, idle_seconds=0.5),
            Loop("expire", expirer.run_once, idle_seconds=1),
            Loop("inbound", replay.run_once, idle_seconds=1, next_due=replay.next_due),
        )
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(keep_running(loop, clock, stopping))
        await dispatcher.drain()
    await database.dispose()


if __name__ == "__main__":
    configure_logging("json", build="campaign", level="WARNING")
    asyncio.run(work(sys.argv[1]))
