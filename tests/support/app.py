"""The application on a test's database, and clients for the people of the cast."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from tests.support.cast import Person
from tests.support.keys import SECRET_KEY

from groupline.app import create_app
from groupline.clock import Clock
from groupline.db import Database
from groupline.gateways.drivers.base import HttpPool
from groupline.gateways.registry import DriverRegistry
from groupline.gateways.service import Gateways
from groupline.journal import Actor
from groupline.orgs.api_keys import create_api_key
from groupline.orgs.rules import Principal, Role, Scope
from groupline.runtime import Runtime
from groupline.settings import Settings
from groupline.vault import Vault

BASE_URL = "http://127.0.0.1:8420"


@asynccontextmanager
async def open_test_runtime(
    database: Database, clock: Clock, **settings: Any
) -> AsyncIterator[Runtime]:
    """What ``open_runtime`` opens, on the test's database and with its clock."""
    values = {"secret_key": SECRET_KEY, "base_url": BASE_URL, "_env_file": None} | settings
    vault = Vault(SECRET_KEY)
    async with HttpPool() as pool:
        yield Runtime(
            settings=Settings(**values),
            clock=clock,
            database=database,
            announcements=database.announcements,
            vault=vault,
            gateways=Gateways(DriverRegistry(pool), vault),
            started_at=clock.now(),
        )


def principal_of(person: Person) -> Principal:
    """As their login would make it."""
    return Principal(
        organization_id=person.organization_id,
        actor=Actor("user", person.email, person.user_id),
        role=Role(person.role),
        scopes=None,
        user_id=person.user_id,
        api_key_id=None,
        is_instance_admin=False,
        timezone="Asia/Kolkata",
    )


@dataclass(frozen=True, slots=True)
class RunningApp:
    """The application, and the parts that it runs on."""

    app: FastAPI
    runtime: Runtime

    def client(self, **options: Any) -> httpx.AsyncClient:
        """Nobody in particular."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=BASE_URL, **options)

    async def client_of(self, person: Person, *scopes: Scope) -> httpx.AsyncClient:
        """With an API key of the person's organization; all scopes unless some are given."""
        runtime = self.runtime
        async with runtime.database.writing() as session:
            made = await create_api_key(
                session,
                principal_of(person),
                name=f"of the {person.role}",
                scopes=scopes or tuple(Scope),
                now=runtime.clock.now(),
            )
        return self.client(headers={"Authorization": f"Bearer {made.secret}"})


class _Opened:
    """Hands an application the runtime of whoever uses it at the moment."""

    def __init__(self) -> None:
        self.app = create_app(self._open)
        self.runtime: Runtime | None = None

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Runtime]:
        assert self.runtime is not None
        yield self.runtime


_idle: list[_Opened] = []


@asynccontextmanager
async def running_app(runtime: Runtime) -> AsyncIterator[RunningApp]:
    """An application that nobody else uses meanwhile.

    It keeps nothing but its runtime, and building its routes takes longer than most tests: so one
    that is not used any more serves again, with another runtime.
    """
    opened = _idle.pop() if _idle else _Opened()
    opened.runtime = runtime
    async with opened.app.router.lifespan_context(opened.app):
        yield RunningApp(opened.app, runtime)
    opened.runtime = None
    del opened.app.state.runtime
    _idle.append(opened)
