"""The loop that looks at every gateway: is it there, does it take our key, what can it do?"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from groupline.clock import Clock
from groupline.db import Database
from groupline.gateways.port import Probe
from groupline.gateways.service import Gateways, error_of, note_probe
from groupline.models import Gateway

HEALTHY_EVERY = timedelta(seconds=60)
FAILING_EVERY = timedelta(seconds=2)


class GatewayWatch:
    """Probes healthy gateways once a minute, and failing ones often: recovery should show soon."""

    def __init__(self, database: Database, gateways: Gateways, clock: Clock) -> None:
        self._database = database
        self._gateways = gateways
        self._clock = clock
        self._next: dict[UUID, datetime] = {}
        self._doubted: set[UUID] = set()
        self.wake = asyncio.Event()

    def doubt(self, gateway_id: UUID) -> None:
        """A request failed as it would if the gateway did: it is looked at now, before anybody
        calls it away because of one session."""
        self._doubted.add(gateway_id)
        self.wake.set()

    async def run_once(self) -> bool:
        """Probes the gateways that are due, all at once, and stores what was found."""
        due = await self._due()
        probes = await asyncio.gather(*map(self._gateways.probe, due))
        for gateway, probe in zip(due, probes, strict=True):
            await self._store(gateway, probe)
        return False

    async def next_due(self) -> float | None:
        """Seconds until the next gateway has to be looked at."""
        if not self._next:
            return None
        return max(0.0, (min(self._next.values()) - self._clock.now()).total_seconds())

    async def _due(self) -> Sequence[Gateway]:
        now = self._clock.now()
        async with self._database.reading() as session:
            rows = (await session.scalars(select(Gateway).where(Gateway.enabled.is_(True)))).all()
        self._next = {row.id: self._next_of(row, now) for row in rows}
        self._doubted.clear()
        return [row for row in rows if self._next[row.id] <= now]

    def _next_of(self, gateway: Gateway, now: datetime) -> datetime:
        """One that failed somebody since it was last looked at is looked at now: so failed, once,
        in one call for one session, it is not taken for away until its next minute is over."""
        if gateway.id in self._doubted:
            return now
        planned = self._next.get(gateway.id, now)
        failed_since = gateway.unreachable_since is not None and planned > now + FAILING_EVERY
        return now if failed_since else planned

    async def _store(self, gateway: Gateway, probe: Probe) -> None:
        now, gateway_id = self._clock.now(), gateway.id
        self._next[gateway_id] = now + (HEALTHY_EVERY if probe.failure is None else FAILING_EVERY)
        if _is_known(gateway, probe):
            return
        async with self._database.writing() as session:
            if await session.get(Gateway, gateway_id) is not None:
                await note_probe(session, gateway_id, probe, now)


def _is_known(gateway: Gateway, probe: Probe) -> bool:
    """One that stays away is asked often, and written about once."""
    return (
        probe.failure is not None
        and gateway.unreachable_since is not None
        and (gateway.last_error_code, gateway.last_error) == (probe.failure, error_of(probe))
    )
