"""Hears on PostgreSQL what other processes (and this one) announced."""

import json
import math
import random
from collections.abc import Callable
from typing import Final
from uuid import UUID

import psycopg
import structlog
from psycopg import Notify, sql

from groupline.clock import Clock
from groupline.db.announce import RESYNC, Announcement, Announcements, known_topic
from groupline.db.engine import NOTIFY_CHANNEL, Database
from groupline.db.punctual import (
    PROBE_SECONDS,
    connection_options,
    open_punctual,
    patience,
)

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 15.0
_QUIET_SECONDS: Final = 30.0
"""So often it is asked whether the server is still there."""

log = structlog.get_logger(__name__)


class PostgresListener:
    """Feeds ``Announcements`` from ``LISTEN``; run it as a task and cancel it to stop.

    Every time it starts to listen it publishes ``RESYNC``: what was announced before is lost to it.
    """

    def __init__(
        self, database: Database, clock: Clock, *, quiet_seconds: float = _QUIET_SECONDS
    ) -> None:
        self._url = database.url.set(drivername="postgresql")
        self._announcements: Announcements = database.announcements
        self._clock = clock
        self._quiet_seconds = quiet_seconds

    async def run(self) -> None:
        pause = _FIRST_PAUSE

        def connected() -> None:
            nonlocal pause
            pause = _FIRST_PAUSE

        while True:
            try:
                await self._listen(connected)
            except psycopg.Error as error:
                log.warning("announcements.lost", error=str(error), retry_in=pause)
            await self._clock.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self, connected: Callable[[], None]) -> None:
        connection = await open_punctual(
            self._url.render_as_string(hide_password=False),
            autocommit=True,
            **connection_options(self._url, application_name="groupline-listen"),
        )
        async with connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(NOTIFY_CHANNEL)))
            connected()
            self._announcements.publish(RESYNC)
            while True:
                with patience(math.inf):  # nothing was asked: silence means nothing yet
                    async for notification in connection.notifies(timeout=self._quiet_seconds):
                        self._announcements.publish(_decode(notification))
                with patience(PROBE_SECONDS):
                    await connection.execute("SELECT 1")  # a dead peer shows when it is asked


def _decode(notification: Notify) -> Announcement:
    """A payload that this version cannot read may mean anything: fetch everything."""
    try:
        word, organization_id, subject_id = json.loads(notification.payload)
        topic = known_topic(word)
        if topic is None:
            return RESYNC
        return Announcement(
            topic,
            UUID(organization_id) if organization_id else None,
            UUID(subject_id) if subject_id else None,
        )
    except (ValueError, TypeError, AttributeError):
        log.warning("announcements.unreadable", size=len(notification.payload))
        return RESYNC
