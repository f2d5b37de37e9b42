"""Which loops a worker runs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from groupline.campaigns import loop as campaign_loop
from groupline.campaigns.loop import CampaignLoop
from groupline.db.punctual import LONG_SECONDS, PROMPT_SECONDS
from groupline.events.preflight_run import EVERY_SECONDS, Preflights
from groupline.gateways.watch import GatewayWatch
from groupline.groups.schedule import GroupSyncLoop
from groupline.groups.sync import GroupSync
from groupline.inbound.process import Replay
from groupline.messages import dispatch, reconcile, standby
from groupline.messages.dispatch import Dispatcher
from groupline.messages.expire import Expirer
from groupline.messages.reconcile import Reconciler
from groupline.messages.recover import Recoverer
from groupline.messages.standby import Standby
from groupline.numbers.context import Context
from groupline.numbers.sweep import Sweeper
from groupline.numbers.verify import Verifier
from groupline.runtime import Runtime
from groupline.worker.housekeeping import Housekeeping
from groupline.worker.loop import Loop
from groupline.worker.outgoing import outgoing_loops


@asynccontextmanager
async def _outbox(runtime: Runtime, watch: GatewayWatch) -> AsyncIterator[Sequence[Loop]]:
    """Sending, and what follows it. Requests that run when it ends are finished and stored."""
    lease = timedelta(seconds=runtime.settings.message_lease_seconds)
    database, gateways, clock = runtime.database, runtime.gateways, runtime.clock
    dispatcher = Dispatcher(database, gateways, clock, lease=lease, doubt=watch.doubt)
    reconciler = Reconciler(database, gateways, clock)
    recoverer, expirer = Recoverer(database, clock), Expirer(database, clock)
    try:
        yield (
            Loop(
                "dispatch",
                dispatcher.run_once,
                idle_seconds=5,
                next_due=dispatcher.next_due,
                wakes_on=dispatch.WAKES_ON,
                wake=dispatcher.wake,
                patience_seconds=PROMPT_SECONDS,  # all of the sending waits for it
                on_stop=dispatcher.drain,
            ),
            Loop(
                "reconcile",
                reconciler.run_once,
                idle_seconds=60,
                rest_seconds=1,
                next_due=reconciler.next_due,
                wakes_on=reconcile.WAKES_ON,
            ),
            Loop("recover", recoverer.run_once, idle_seconds=10),
            Loop("expire", expirer.run_once, idle_seconds=10),
            Loop(
                "standby",
                Standby(database, clock).run_once,
                idle_seconds=standby.EVERY_SECONDS,
                wakes_on=standby.WAKES_ON,
            ),
        )
    finally:
        await dispatcher.drain()  # again, in case the loops were ended by force


@asynccontextmanager
async def loops_of(runtime: Runtime) -> AsyncIterator[Sequence[Loop]]:
    """The loops on this runtime; leaving it lets them finish what they hold."""
    watch = GatewayWatch(runtime.database, runtime.gateways, runtime.clock)
    replay = Replay(runtime.database, runtime.clock, pace_seconds=runtime.settings.pace_seconds)
    housekeeping = Housekeeping(runtime.database, runtime.clock)
    preflights = Preflights(runtime.database, runtime.clock, runtime.media_policy)
    numbers = Context.of(runtime)
    verifier, sweeper = Verifier(numbers), Sweeper(numbers)
    sync = GroupSync(runtime.database, runtime.gateways, runtime.clock)
    campaigns = CampaignLoop(runtime.database, runtime.clock)
    groups = GroupSyncLoop(runtime.database, sync, runtime.clock)
    async with _outbox(runtime, watch) as outbox, outgoing_loops(runtime) as outgoing:
        yield (
            *outbox,
            *outgoing,
            Loop(
                "gateways",
                watch.run_once,
                idle_seconds=60,
                rest_seconds=1,
                next_due=watch.next_due,
                wakes_on=frozenset(("gateways",)),
                wake=watch.wake,
            ),
            Loop(
                "campaigns",
                campaigns.run_once,
                idle_seconds=campaign_loop.IDLE_SECONDS,
                next_due=campaigns.next_due,
                wakes_on=campaign_loop.WAKES_ON,
            ),
            Loop(
                "preflight",
                preflights.run_once,
                idle_seconds=EVERY_SECONDS,
                next_due=preflights.next_due,
                wakes_on=frozenset(("events",)),
            ),
            Loop(
                "housekeeping",
                housekeeping.run_once,
                idle_seconds=3600,
                patience_seconds=LONG_SECONDS,
            ),
            Loop(
                "inbound",
                replay.run_once,
                idle_seconds=60,
                next_due=replay.next_due,
                wakes_on=frozenset(("inbound",)),
            ),
            Loop(
                "verifier",
                verifier.run_once,
                idle_seconds=60,
                next_due=verifier.next_due,
                wakes_on=frozenset(("sessions", "proofs")),
                wake=verifier.wake,
                on_stop=verifier.drain,
            ),
            Loop(
                "sweeper",
                sweeper.run_once,
                idle_seconds=60,
                next_due=sweeper.next_due,
                wakes_on=frozenset(("sessions",)),
                wake=sweeper.wake,
                on_stop=sweeper.drain,
            ),
            Loop(
                "groups",
                groups.run_once,
                idle_seconds=60,
                next_due=groups.next_due,
                wakes_on=frozenset(("numbers", "sessions")),
                wake=groups.wake,
                on_stop=groups.drain,
            ),
        )
