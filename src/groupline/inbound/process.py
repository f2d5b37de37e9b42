"""What an event means for what is stored. One transaction an event; it is applied once."""

from datetime import datetime
from uuid import UUID

import structlog

from groupline.clock import Clock
from groupline.db import Database
from groupline.db.failures import is_unreachable
from groupline.inbound import store
from groupline.inbound.apply import apply_event
from groupline.settings import DEFAULT_PACE_SECONDS

logger = structlog.get_logger()

_BATCH = 100


async def process_event(
    database: Database, event_id: UUID, now: datetime, *, pace_seconds: float
) -> None:
    """Applies one stored event. A failure is its own: it is logged and counted, and the event is
    tried again later, without holding up any other."""
    try:
        async with database.writing() as session:
            event = await store.load(session, event_id)
            if event is not None:
                outcome = await apply_event(session, event, now, pace_seconds=pace_seconds)
                await store.settle(session, event, outcome, now)
    except Exception as error:
        logger.exception(
            "inbound.failed",
            event_id=str(event_id),
            error=type(error).__name__,
            exc_info=not is_unreachable(error),  # where in our code says nothing then
        )
        async with database.writing() as session:
            await store.note_failure(session, event_id, error, now)


class Replay:
    """The loop that tries waiting events again: what they refer to may be known by now."""

    def __init__(
        self, database: Database, clock: Clock, *, pace_seconds: float = DEFAULT_PACE_SECONDS
    ) -> None:
        self._database = database
        self._clock = clock
        self._pace_seconds = pace_seconds

    async def run_once(self) -> bool:
        now = self._clock.now()
        async with self._database.reading() as session:
            event_ids = await store.due(session, now, _BATCH)
        for event_id in event_ids:
            await process_event(self._database, event_id, now, pace_seconds=self._pace_seconds)
        return len(event_ids) == _BATCH

    async def next_due(self) -> float | None:
        """Seconds until the next event is tried again."""
        async with self._database.reading() as session:
            at = await store.next_due(session)
        return None if at is None else max(0.0, (at - self._clock.now()).total_seconds())
