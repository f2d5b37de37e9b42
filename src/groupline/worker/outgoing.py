"""The loops for what leaves by itself: alerts and webhooks, and forgetting what was delivered."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from groupline.alerts import queries as alerts
from groupline.alerts import send as alert_send
from groupline.alerts import watch
from groupline.alerts.send import AlertSender
from groupline.alerts.watch import Watch
from groupline.clock import Clock
from groupline.db import Database
from groupline.runtime import Runtime
from groupline.webhooks import fanout, send
from groupline.webhooks import queries as webhooks
from groupline.webhooks.call import Caller
from groupline.webhooks.fanout import Fanout
from groupline.webhooks.send import Sender
from groupline.worker.loop import Loop


class Retention:
    """Forgets alerts and deliveries that are older than anybody asks about."""

    def __init__(self, database: Database, clock: Clock, *, days: int) -> None:
        self._database = database
        self._clock = clock
        self._kept = timedelta(days=days)

    async def run_once(self) -> bool:
        before = self._clock.now() - self._kept
        async with self._database.writing() as session:
            await webhooks.forget_old(session, before)
            await alerts.forget_old(session, before)
        return False


@asynccontextmanager
async def outgoing_loops(runtime: Runtime) -> AsyncIterator[Sequence[Loop]]:
    """Leaving it lets the attempts under way end; each has its limit of time."""
    database, clock, settings = runtime.database, runtime.clock, runtime.settings
    grace = timedelta(seconds=settings.alert_grace_seconds)
    watching = Watch(database, clock, grace=grace)
    reading = Fanout(database, clock)
    retention = Retention(database, clock, days=settings.outgoing_days)
    telling = AlertSender(
        database,
        runtime.vault,
        clock,
        allows=runtime.outgoing_allows,
        base_url=settings.effective_base_url,
    )
    async with Caller(runtime.outgoing_allows) as caller:
        sending = Sender(database, runtime.vault, caller, clock)
        try:
            yield (
                Loop(
                    "alerts",
                    watching.run_once,
                    idle_seconds=watch.IDLE_SECONDS,
                    rest_seconds=watch.REST_SECONDS,
                    next_due=watching.next_due,
                    wakes_on=watch.WAKES_ON,
                ),
                Loop(
                    "alert channels",
                    telling.run_once,
                    idle_seconds=60,
                    next_due=telling.next_due,
                    wakes_on=alert_send.WAKES_ON,
                    wake=telling.wake,
                    on_stop=telling.drain,
                ),
                Loop(
                    "webhooks",
                    reading.run_once,
                    idle_seconds=fanout.IDLE_SECONDS,
                    rest_seconds=fanout.REST_SECONDS,
                    next_due=reading.next_due,
                    wakes_on=fanout.WAKES_ON,
                ),
                Loop(
                    "webhook deliveries",
                    sending.run_once,
                    idle_seconds=60,
                    next_due=sending.next_due,
                    wakes_on=send.WAKES_ON,
                    wake=sending.wake,
                    on_stop=sending.drain,
                ),
                Loop("outgoing retention", retention.run_once, idle_seconds=3600),
            )
        finally:
            await sending.drain()  # again, in case the loops were ended by force
            await telling.drain()
