"""The parts a process runs on. Composition roots build one, everything else is handed it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from groupline.clock import Clock, SystemClock
from groupline.db import Announcements, Database, PostgresListener
from groupline.gateways.drivers.base import HttpPool
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways
from groupline.settings import Settings
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


@asynccontextmanager
async def open_runtime(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Runtime]:
    """Opens the database and the HTTP client, and closes them at the end."""
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        announcements = Announcements()
        database = Database(settings.effective_database_url, announcements=announcements)
        stack.push_async_callback(database.dispose)
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


@asynccontextmanager
async def _listening(database: Database, clock: Clock) -> AsyncIterator[None]:
    task = asyncio.create_task(PostgresListener(database, clock).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
