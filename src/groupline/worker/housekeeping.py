"""Forgets what nobody needs any more: ended logins, old attempts, old webhooks."""

from groupline.clock import Clock
from groupline.db import Database
from groupline.inbound import store
from groupline.orgs.access import forget_outdated


class Housekeeping:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_once(self) -> bool:
        async with self._database.writing() as session:
            await forget_outdated(session, now=self._clock.now())
            await store.forget_old(session, self._clock.now())
        return False
