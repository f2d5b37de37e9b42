"""The loop that delivers: claim, call, record; no transaction is open during a call.

A delivery is made at least once. Its id is the same in every attempt, so that a receiver can drop
the second one: there is one when this process ends between the answer and the record of it.
"""

import random
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.clock import Clock
from groupline.db import Database, announce
from groupline.flights import Departures, Flights
from groupline.journal import SYSTEM
from groupline.vault import Vault, VaultKeyMismatch
from groupline.webhooks import queries
from groupline.webhooks.call import Caller, encode, signed_headers
from groupline.webhooks.queries import Job
from groupline.webhooks.rules import (
    LEASE,
    ROTATION,
    Delivered,
    NotDelivered,
    Outcome,
    next_attempt,
)

logger = structlog.get_logger()

WAKES_ON: Final = frozenset(("webhooks",))
_AT_ONCE: Final = 32
_AT_ONCE_EACH: Final = 4


class Sender(Departures[UUID]):
    def __init__(
        self,
        database: Database,
        vault: Vault,
        caller: Caller,
        clock: Clock,
        *,
        randomness: random.Random | None = None,
    ) -> None:
        super().__init__(clock, Flights(most=_AT_ONCE, most_each=_AT_ONCE_EACH))
        self._database = database
        self._vault = vault
        self._caller = caller
        self._random = randomness or random.Random()  # noqa: S311 - jitter, not a secret

    async def _due(self) -> datetime | None:
        async with self._database.reading() as session:
            return await queries.next_due(session, but=self._flights.full)

    async def _claim(self, now: datetime) -> list[tuple[UUID, Coroutine[Any, Any, None]]]:
        async with self._database.writing() as session:
            jobs = await queries.claim(session, self._flights, now=now, until=now + LEASE)
        return [(job.endpoint_id, self._attempt(job)) for job in jobs]

    async def _attempt(self, job: Job) -> None:
        body = encode(job.payload)
        now = self._clock.now()
        try:
            secrets = self._secrets(job, now)
            outcome = await self._caller.call(
                job.url, body, signed_headers(job.id, body, secrets, now)
            )
        except VaultKeyMismatch as error:
            outcome = NotDelivered(error.detail)
        try:
            async with self._database.writing() as session:
                await self._record(session, job, outcome, self._clock.now())
        except (SQLAlchemyError, OSError):
            # It stays leased, and is attempted again when the lease ends.
            logger.exception("webhook.not_recorded", delivery=str(job.id))

    def _secrets(self, job: Job, now: datetime) -> list[str]:
        """The present one, and for a day the one before it."""
        secrets = [self._vault.decrypt(job.secret)]
        if job.previous_secret and job.rotated_at and now < job.rotated_at + ROTATION:
            secrets.append(self._vault.decrypt(job.previous_secret))
        return secrets

    async def _record(
        self, session: AsyncSession, job: Job, outcome: Outcome, now: datetime
    ) -> None:
        if not await queries.store(session, job, self._values(job, outcome, now)):
            return  # another attempt is under way by now: its result counts
        error = outcome.why if isinstance(outcome, NotDelivered) else None
        if await queries.note_on_endpoint(session, job, error, now):
            action = "webhook_endpoint.recovered" if error is None else "webhook_endpoint.failing"
            await _tell(session, job, action, error, now)
        if (
            isinstance(outcome, NotDelivered)
            and outcome.gone
            and await queries.disable(session, job)
        ):
            await _tell(session, job, "webhook_endpoint.disabled", error, now)
        await announce(
            session, "webhooks", organization_id=job.organization_id, subject_id=job.endpoint_id
        )

    def _values(self, job: Job, outcome: Outcome, now: datetime) -> dict[str, Any]:
        attempts = job.attempts + 1
        facts = {"attempts": attempts, "response_status": outcome.status}
        if isinstance(outcome, Delivered):
            done = {"status": "delivered", "delivered_at": now}
            return facts | done | {"last_error": None, "next_attempt_at": None}
        again = None if outcome.gone else next_attempt(attempts, now, self._random.random())
        status = "failed" if again is None else "pending"
        return facts | {"status": status, "last_error": outcome.why, "next_attempt_at": again}


async def _tell(
    session: AsyncSession, job: Job, action: str, error: str | None, now: datetime
) -> None:
    await journal.record(
        session,
        action=action,
        actor=SYSTEM,
        organization_id=job.organization_id,
        subject="webhook_endpoint",
        subject_id=job.endpoint_id,
        data={} if error is None else {"sentence": error},
        at=now,
    )
