"""Events on their way to Groupline: kept on disk until they have been taken.

Events of one lane (the status of one session) go out one after the other, all others as they
come. An event that is refused is tried again with growing pauses for a day; while the
receiver cannot be reached at all, the whole queue pauses instead.
"""

import asyncio
import contextlib
import json
import random
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import aiohttp
import structlog
from standardwebhooks.webhooks import Webhook

from groupline_gateway.clock import Clock, from_epoch, iso
from groupline_gateway.contract import API_KEY_HEADER, WEBHOOK_PATHS, WebhookType
from groupline_gateway.store import Store

log = structlog.get_logger()

TRIED_FOR = timedelta(days=1)
KEPT_AFTER_GIVING_UP = timedelta(days=7)
_BATCH = 32
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)
_FIRST_RETRY = 2.0
_LONGEST_RETRY = 3600.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_AWAY = frozenset({502, 503, 504})
"""Answers of a proxy whose server is down: the receiver is away, the event is not at fault."""


class WireStyle(Enum):
    ENVELOPE = "envelope"
    """One address, one envelope, the Standard Webhooks signature."""
    PATHS = "paths"
    """One address per kind of event, the secret as ``X-API-Key``: older gateways."""


class _Outcome(Enum):
    TAKEN = "taken"
    REFUSED = "refused"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Event:
    seq: int
    event_id: str
    type: WebhookType
    at: datetime
    data: str
    attempts: int


class Webhooks:
    """The queue and the loop that empties it."""

    def __init__(self, store: Store, clock: Clock, *, url: str | None, secret: str | None) -> None:
        self._store = store
        self._clock = clock
        self._url = url
        self._secret = secret
        self._jitter = random.Random()  # noqa: S311 - dice
        self._wake = asyncio.Event()
        self._failures = 0
        self._paused_until: datetime | None = None
        self._client: aiohttp.ClientSession | None = None
        self._loop: asyncio.Task[None] | None = None
        self.style = WireStyle.ENVELOPE

    @property
    def enabled(self) -> bool:
        return self._url is not None

    def start(self) -> None:
        if self.enabled:
            self._loop = asyncio.create_task(self._run(), name="webhooks")

    async def stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
        if self._client is not None:
            await self._client.close()

    async def emit(
        self,
        kind: WebhookType,
        data: dict[str, Any],
        *,
        lane: str | None = None,
        delays: Iterable[float] = (0.0,),
    ) -> None:
        """Store an event to be delivered; once per delay, all under the same event id."""
        due = [self._clock.now() + timedelta(seconds=delay) for delay in delays]
        if not self.enabled or not due:
            return
        event_id = "evt_" + secrets.token_hex(12)
        at = self._clock.now().timestamp()
        body = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        rows = [(event_id, kind.value, lane, at, body, moment.timestamp()) for moment in due]
        await self._store.write(
            lambda connection: (
                connection.executemany(
                    "INSERT INTO webhook_events (event_id, type, lane, at, data, due_at)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    rows,
                ).rowcount
            )
        )
        self._wake.set()

    async def pending(self) -> int:
        """How many events wait for their delivery."""
        return await self._store.read(
            lambda connection: int(
                connection.execute(
                    "SELECT count(*) FROM webhook_events WHERE given_up_at IS NULL"
                ).fetchone()[0]
            )
        )

    async def run_once(self) -> bool:
        """Deliver what is due; whether there was anything to do."""
        now = self._clock.now()
        if self._paused_until is not None and now < self._paused_until:
            return False
        events = await self._store.read(lambda connection: _due(connection, now.timestamp()))
        if not events:
            return False
        outcomes = await self._deliver_all(events)
        await self._store.write(lambda connection: self._record(connection, outcomes))
        self._note_reachability(list(outcomes.values()))
        return True

    async def forget_old(self) -> None:
        before = (self._clock.now() - KEPT_AFTER_GIVING_UP).timestamp()
        await self._store.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM webhook_events WHERE given_up_at < ?", (before,)
                ).rowcount
            )
        )

    async def _run(self) -> None:
        while True:
            try:
                found = await self.run_once()
            except sqlite3.Error:
                log.exception("webhook.store_failed")
                await self._clock.sleep(1.0)
                continue
            if not found:
                await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        # Cleared before looking: what is stored while we look sets it again.
        self._wake.clear()
        due_at = await self._store.read(_next_due)
        if due_at is None:
            await self._wake.wait()
            return
        moment = max(from_epoch(due_at), self._paused_until or from_epoch(0))
        seconds = (moment - self._clock.now()).total_seconds()
        if seconds > 0:
            await self._sleep_or_wake(seconds)

    async def _sleep_or_wake(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        waking = asyncio.ensure_future(self._wake.wait())
        # While the receiver is away there is nothing that new work could change.
        paused = self._paused_until is not None
        try:
            await asyncio.wait(
                {sleeping} if paused else {sleeping, waking}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            sleeping.cancel()
            waking.cancel()

    async def _deliver_all(self, events: list[Event]) -> dict[Event, _Outcome]:
        """One event first if the receiver was away, so that a queue does not hammer it."""
        if self._failures:
            events = events[:1]
        outcomes = await asyncio.gather(*(self._deliver(event) for event in events))
        return dict(zip(events, outcomes, strict=True))

    async def _deliver(self, event: Event) -> _Outcome:
        url, headers, body = self._on_the_wire(event)
        try:
            async with self._http().post(url, data=body, headers=headers) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("webhook.receiver_away", type=event.type, reason=type(error).__name__)
            return _Outcome.AWAY
        if 200 <= status < 300:
            return _Outcome.TAKEN
        log.warning("webhook.refused", event_id=event.event_id, type=event.type, http_status=status)
        return _Outcome.AWAY if status in _AWAY else _Outcome.REFUSED

    def _on_the_wire(self, event: Event) -> tuple[str, dict[str, str], bytes]:
        secret = self._secret or ""
        headers = {"content-type": "application/json"}
        if self.style is WireStyle.PATHS:
            headers[API_KEY_HEADER] = secret
            return f"{self._url}/{WEBHOOK_PATHS[event.type]}", headers, event.data.encode()
        body = (
            f'{{"id":{json.dumps(event.event_id)},"type":{json.dumps(event.type.value)},'
            f'"at":{json.dumps(iso(event.at))},"data":{event.data}}}'
        )
        signed_at = self._clock.now()
        headers["webhook-id"] = event.event_id
        headers["webhook-timestamp"] = str(int(signed_at.timestamp()))
        headers["webhook-signature"] = Webhook(secret).sign(event.event_id, signed_at, body)
        return str(self._url), headers, body.encode()

    def _http(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self._client

    def _record(self, connection: sqlite3.Connection, outcomes: dict[Event, _Outcome]) -> None:
        now = self._clock.now()
        for event, outcome in outcomes.items():
            if outcome is _Outcome.TAKEN:
                connection.execute("DELETE FROM webhook_events WHERE seq = ?", (event.seq,))
            elif now - event.at > TRIED_FOR:
                log.error("webhook.given_up", event_id=event.event_id, type=event.type)
                connection.execute(
                    "UPDATE webhook_events SET given_up_at = ? WHERE seq = ?",
                    (now.timestamp(), event.seq),
                )
            elif outcome is _Outcome.REFUSED:
                pause = retry_pause(event.attempts, self._jitter.random())
                connection.execute(
                    "UPDATE webhook_events SET attempts = attempts + 1, due_at = ? WHERE seq = ?",
                    (now.timestamp() + pause, event.seq),
                )

    def _note_reachability(self, outcomes: list[_Outcome]) -> None:
        if _Outcome.AWAY not in outcomes:
            self._failures, self._paused_until = 0, None
            return
        pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        pause *= 0.5 + self._jitter.random() / 2
        self._paused_until = self._clock.now() + timedelta(seconds=pause)


def retry_pause(attempts: int, roll: float) -> float:
    """Seconds until an event that was refused ``attempts`` times before is tried again."""
    longest = min(_FIRST_RETRY * 2.0 ** min(attempts, 20), _LONGEST_RETRY)
    return longest * (0.5 + roll / 2)


def _due(connection: sqlite3.Connection, now: float) -> list[Event]:
    rows = connection.execute(
        """
        SELECT seq, event_id, type, at, data, attempts FROM webhook_events AS event
        WHERE given_up_at IS NULL AND due_at <= ?
          AND (lane IS NULL OR NOT EXISTS (
                SELECT 1 FROM webhook_events AS earlier
                WHERE earlier.lane = event.lane AND earlier.seq < event.seq
                  AND earlier.given_up_at IS NULL))
        ORDER BY due_at, seq LIMIT ?
        """,
        (now, _BATCH),
    )
    return [
        Event(
            seq=row["seq"],
            event_id=row["event_id"],
            type=WebhookType(row["type"]),
            at=from_epoch(row["at"]),
            data=row["data"],
            attempts=row["attempts"],
        )
        for row in rows
    ]


def _next_due(connection: sqlite3.Connection) -> float | None:
    """When the queue has to be looked at again; blocked lanes wait for their first event."""
    row = connection.execute(
        """
        SELECT min(due_at) AS due_at FROM webhook_events AS event
        WHERE given_up_at IS NULL
          AND (lane IS NULL OR NOT EXISTS (
                SELECT 1 FROM webhook_events AS earlier
                WHERE earlier.lane = event.lane AND earlier.seq < event.seq
                  AND earlier.given_up_at IS NULL))
        """
    ).fetchone()
    return None if row["due_at"] is None else float(row["due_at"])
