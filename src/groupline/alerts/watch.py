"""The loop that makes alerts: it reads the journal, looks at the gateways, and raises what is due.

Raising writes the text and one delivery per channel, in one transaction: an alert reaches a
channel's queue exactly once, whatever crashes.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.alerts import gateways, queries
from groupline.alerts.compose import said_by
from groupline.alerts.intake import take_in
from groupline.alerts.rules import ACTIONS, wants
from groupline.clock import Clock
from groupline.db import Database, announce
from groupline.ids import new_id
from groupline.journal.follow import lock_reader
from groupline.models import Alert, AlertDelivery

READER: Final = "alerts"
WAKES_ON: Final = frozenset(("journal", "gateways"))
IDLE_SECONDS: Final = 60.0
REST_SECONDS: Final = 0.5
"""While thousands of messages leave, entries are looked for so often and not at each commit."""
_WHILE_FAILING_SECONDS: Final = 5.0
_BATCH: Final = 200
_AT_ONCE: Final = 50


class Watch:
    def __init__(self, database: Database, clock: Clock, *, grace: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._grace = grace
        self._look_in: float | None = None
        self._due: datetime | None = None

    async def run_once(self) -> bool:
        now = self._clock.now()
        async with self._database.reading() as session:
            news = await journal.news(session, READER, ACTIONS)
            standing = await gateways.standing(session, now)
        self._look_in = _look_in(news, standing)
        goes_on = False
        if news is journal.News.NOW or standing is gateways.Standing.CHANGED:
            goes_on = await self._take_in(now)
        return await self._raise_due(now) or goes_on

    async def next_due(self) -> float | None:
        moments = [] if self._look_in is None else [self._look_in]
        if self._due is not None:
            moments.append(max(0.0, (self._due - self._clock.now()).total_seconds()))
        return min(moments, default=None)

    async def _take_in(self, now: datetime) -> bool:
        async with self._database.writing() as session:
            reading = await journal.read_on(session, READER, ACTIONS, _BATCH)
            await take_in(session, reading.entries, grace=self._grace, now=now)
        async with self._database.writing() as session:
            # Under a lock of its own: two processes would each see that nothing was told yet.
            if await lock_reader(session, READER):
                await gateways.look(session, now)
        return reading.goes_on

    async def _raise_due(self, now: datetime) -> bool:
        async with self._database.reading() as session:
            self._due = await queries.next_due_alert(session)
        if self._due is None or self._due > now:
            return False
        async with self._database.writing() as session:
            due = await queries.due_alerts(session, now, _AT_ONCE)
            for alert in due:
                await _raise(session, alert, now)
        return len(due) == _AT_ONCE


def _look_in(news: journal.News, standing: gateways.Standing) -> float | None:
    """What nobody announces: that an entry can be read by now, or a gateway is away for long."""
    if news is journal.News.LATER:
        return REST_SECONDS
    return None if standing is gateways.Standing.QUIET else _WHILE_FAILING_SECONDS


async def _raise(session: AsyncSession, alert: Alert, now: datetime) -> None:
    said = await said_by(session, alert, now)
    if said is None:
        await session.delete(alert)
        await session.flush()
        return
    alert.raised_at = now
    alert.title, alert.text, alert.link = said.title, said.text, said.link
    channels = await queries.channels_of(session, alert.organization_id)
    rows = [
        {
            "id": new_id(),
            "organization_id": alert.organization_id,
            "alert_id": alert.id,
            "channel_id": each.id,
            "status": "pending",
            "attempts": 0,
            "next_attempt_at": now,
            "created_at": now,
        }
        for each in channels
        if each.enabled and wants(each.kinds, alert.kind)
    ]
    await session.flush()
    if rows:
        await session.execute(insert(AlertDelivery), rows)
    await announce(session, "alerts", organization_id=alert.organization_id, subject_id=alert.id)
