"""The parts a process runs on. Composition roots build one, everything else is handed it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from groupline.clock import Clock, SystemClock
from groupline.db import Announcements, Database, PostgresListener
from groupline.db.reach import Unusable, Waiting, nothing, reach
from groupline.gateways.drivers.base import HttpPool
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways
from groupline.messages.media import PUBLIC, PUBLIC_OR_PRIVATE, MediaPolicy
from groupline.net import Allows, is_public, is_public_or_private
from groupline.settings import PREFIX, Settings, SettingsError
from groupline.vault import Vault


@dataclass(frozen=True, slots=True)
class Runtime:
    settings: Settings
    clock: Clock
    database: Database
    announcements: Announcements
    vault: Vault
    gateways: Gateways
    started_at: datetime

    @property
    def media_policy(self) -> MediaPolicy:
        """Where the media of messages may lie: ``media.check(url, policy=…)``."""
        return PUBLIC_OR_PRIVATE if self.settings.media_allow_private else PUBLIC

    @property
    def outgoing_allows(self) -> Allows:
        """Where webhooks and alerts may go."""
        return is_public_or_private if self.settings.outgoing_allow_private else is_public


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    clock: Clock | None = None,
    *,
    wait_seconds: float = 0.0,
    waiting: Waiting = nothing,
) -> AsyncIterator[Runtime]:
    """Opens the database and the HTTP client, and closes them at the end.

    A database that is not there yet is waited for, so many seconds, and ``waiting`` called then.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        if settings.database_url is None:
            settings.prepare_data_dir()  # where the database is then
        announcements = Announcements()
        database = Database(settings.effective_database_url, announcements=announcements)
        stack.push_async_callback(database.dispose)
        await require_database(database, clock, wait_seconds=wait_seconds, waiting=waiting)
        if database.dialect == "postgresql":
            await stack.enter_async_context(_listening(database, clock))
        vault = Vault(settings.effective_secret_key)
        http = await stack.enter_async_context(HttpPool())
        yield Runtime(
            settings=settings,
            clock=clock,
            database=database,
            announcements=announcements,
            vault=vault,
            gateways=Gateways(DriverRegistry(http), vault),
            started_at=clock.now(),
        )


async def require_database(
    database: Database, clock: Clock, *, wait_seconds: float = 0.0, waiting: Waiting = nothing
) -> None:
    """A database that cannot be used stops the start, with the name of the setting."""
    try:
        await reach(database, clock, wait_seconds=wait_seconds, waiting=waiting)
    except Unusable as error:
        raise SettingsError(f"{PREFIX}DATABASE_URL: cannot be used: {error}") from error


@asynccontextmanager
async def _listening(database: Database, clock: Clock) -> AsyncIterator[None]:
    task = asyncio.create_task(PostgresListener(database, clock).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
