"""The loop that tells channels: claim, send in a thread, record; no transaction is open meanwhile.

A channel is told at least once. It is told twice only if this process ends between the moment the
service took the alert and the record of it: chat services know no id by which they could tell.
"""

import random
from collections.abc import Coroutine
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.alerts import channels, queries
from groupline.alerts.apart import run_apart
from groupline.alerts.channels import NotDeliverable
from groupline.alerts.queries import Job
from groupline.alerts.rules import LEASE, next_attempt
from groupline.alerts.service import get_channel
from groupline.clock import Clock
from groupline.db import Database, announce
from groupline.errors import GrouplineError
from groupline.flights import Departures, Flights
from groupline.journal import SYSTEM
from groupline.net import Allows
from groupline.orgs.rules import Principal
from groupline.vault import Vault

logger = structlog.get_logger()

WAKES_ON: Final = frozenset(("alerts",))
SECONDS: Final = 30.0
_AT_ONCE: Final = 8


class AlertSender(Departures[UUID]):
    def __init__(
        self,
        database: Database,
        vault: Vault,
        clock: Clock,
        *,
        allows: Allows,
        base_url: str,
        seconds: float = SECONDS,
        randomness: random.Random | None = None,
    ) -> None:
        super().__init__(clock, Flights(most=_AT_ONCE, most_each=1))
        self._database = database
        self._vault = vault
        self._allows = allows
        self._base_url = base_url
        self._seconds = seconds
        self._random = randomness or random.Random()  # noqa: S311 - jitter, not a secret

    async def _due(self) -> datetime | None:
        async with self._database.reading() as session:
            return await queries.next_due_delivery(session, but=self._flights.full)

    async def _claim(self, now: datetime) -> list[tuple[UUID, Coroutine[Any, Any, None]]]:
        async with self._database.writing() as session:
            jobs = await queries.claim(session, self._flights, now=now, until=now + LEASE)
        return [(job.channel_id, self._attempt(job)) for job in jobs]

    async def _attempt(self, job: Job) -> None:
        text = job.text if job.link is None else f"{job.text}\n{self._base_url}{job.link}"
        error = await deliver(
            self._vault, job.url, job.title, text, allows=self._allows, seconds=self._seconds
        )
        try:
            async with self._database.writing() as session:
                await self._record(session, job, error, self._clock.now())
        except (SQLAlchemyError, OSError):
            # It stays leased, and is attempted again when the lease ends.
            logger.exception("alert.not_recorded", delivery=str(job.id))

    async def _record(
        self, session: AsyncSession, job: Job, error: str | None, now: datetime
    ) -> None:
        if await queries.store(session, job, self._values(job, error, now)):
            await note(session, job.organization_id, job.channel_id, error, now)

    def _values(self, job: Job, error: str | None, now: datetime) -> dict[str, Any]:
        attempts = job.attempts + 1
        if error is None:
            done = {"status": "delivered", "delivered_at": now, "last_error": None}
            return done | {"attempts": attempts, "next_attempt_at": None}
        again = next_attempt(attempts, now, self._random.random())
        status = "failed" if again is None else "pending"
        return {
            "status": status,
            "attempts": attempts,
            "last_error": error,
            "next_attempt_at": again,
        }


async def deliver(
    vault: Vault, url: str, title: str, text: str, *, allows: Allows, seconds: float
) -> str | None:
    """Tells one channel, now. Answers why it could not be told, or nothing."""
    try:
        send = partial(channels.send, vault.decrypt(url), title, text, allows)
        await run_apart(send, seconds=seconds)
    except NotDeliverable as error:
        return str(error)
    except TimeoutError:
        return f"The service did not answer within {seconds:g} s."
    except GrouplineError as error:
        return error.detail
    return None


async def try_channel(
    database: Database,
    vault: Vault,
    principal: Principal,
    channel_id: UUID,
    *,
    allows: Allows,
    clock: Clock,
) -> str | None:
    """Sends a test, now, and keeps on the channel's row how that went."""
    async with database.reading() as session:
        channel = await get_channel(session, principal, channel_id)
    error = await deliver(
        vault,
        channel.url,
        "A test of Groupline",
        f"Alerts on the channel “{channel.name}” arrive here.",
        allows=allows,
        seconds=SECONDS,
    )
    async with database.writing() as session:
        await note(session, channel.organization_id, channel.id, error, clock.now())
    return error


async def note(
    session: AsyncSession, organization_id: UUID, channel_id: UUID, error: str | None, now: datetime
) -> None:
    """On the channel's row; in the journal when it begins to fail, and when it works again."""
    if await queries.note_on_channel(session, organization_id, channel_id, error, now):
        await journal.record(
            session,
            action="alert_channel.recovered" if error is None else "alert_channel.failing",
            actor=SYSTEM,
            organization_id=organization_id,
            subject="alert_channel",
            subject_id=channel_id,
            data={} if error is None else {"sentence": error},
            at=now,
        )
    await announce(session, "alerts", organization_id=organization_id, subject_id=channel_id)
