"""The parts a process runs on. Composition roots build one, everything else is handed it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from groupline.clock import Clock, SystemClock
from groupline.db import Announcements, Database, PostgresListener
from groupline.gateways.drivers.base import HttpClient
from groupline.gateways.registry import DriverRegistry
from groupline.settings import Settings
from groupline.vault import Vault


@dataclass(frozen=True, slots=True)
class Runtime:
    settings: Settings
    clock: Clock
    database: Database
    announcements: Announcements
    vault: Vault
    drivers: DriverRegistry
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
            await stack.enter_async_context(PostgresListener(database.url, announcements))
        http = await stack.enter_async_context(HttpClient())
        yield Runtime(
            settings=settings,
            clock=clock,
            database=database,
            announcements=announcements,
            vault=Vault(settings.effective_secret_key),
            drivers=DriverRegistry(http),
            started_at=clock.now(),
        )
