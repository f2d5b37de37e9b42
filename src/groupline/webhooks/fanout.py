"""The loop that turns entries of the journal into deliveries, one per endpoint that wants them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.clock import Clock
from groupline.db import Database, announce
from groupline.models import JournalEntry, WebhookEndpoint
from groupline.webhooks import queries
from groupline.webhooks.payloads import payload_of
from groupline.webhooks.queries import NewDelivery, Subjects
from groupline.webhooks.rules import actions_for, event_type_of

READER: Final = "webhooks"
WAKES_ON: Final = frozenset(("journal",))
_BATCH: Final = 200
IDLE_SECONDS: Final = 60.0
REST_SECONDS: Final = 0.25
"""While thousands of messages leave, entries are looked for so often and not at each commit."""


class Fanout:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._is_waiting = False

    async def run_once(self) -> bool:
        """Writes the deliveries of the next entries, in the transaction that moves the cursor."""
        async with self._database.reading() as session:
            endpoints = await queries.listening(session)
            actions = actions_for(name for each in endpoints for name in each.event_types)
            news = await journal.news(session, READER, actions)
        self._is_waiting = news is journal.News.LATER
        if news is not journal.News.NOW:
            return False
        async with self._database.writing() as session:
            return await self._read_on(session, self._clock.now())

    async def next_due(self) -> float | None:
        """Nobody tells when the transaction ends that an entry waits for."""
        return REST_SECONDS if self._is_waiting else None

    async def _read_on(self, session: AsyncSession, now: datetime) -> bool:
        # Read again: an endpoint that was added meanwhile must not miss what is read now.
        endpoints = await queries.listening(session)
        actions = actions_for(name for each in endpoints for name in each.event_types)
        reading = await journal.read_on(session, READER, actions, _BATCH)
        if reading.entries:
            subjects = await queries.subjects_of(session, reading.entries)
            wanted = list(_deliveries(reading.entries, endpoints, subjects))
            await queries.add_deliveries(session, wanted, now)
            for organization_id in {each.organization_id for each in wanted}:
                await announce(
                    session, "webhooks", organization_id=organization_id, subject_id=None
                )
        return reading.goes_on


def _deliveries(
    entries: Sequence[JournalEntry], endpoints: Sequence[WebhookEndpoint], subjects: Subjects
) -> Iterator[NewDelivery]:
    for entry in entries:
        event_type = event_type_of(entry.action, entry.data)
        if event_type is None:
            continue
        for each in endpoints:
            since = each.enabled_at or each.created_at
            if each.organization_id != entry.organization_id or entry.at < since:
                continue
            if event_type in each.event_types:
                yield NewDelivery(
                    organization_id=each.organization_id,
                    endpoint_id=each.id,
                    journal_id=entry.id,
                    event_type=event_type,
                    payload=payload_of(entry, event_type, subjects),
                )
