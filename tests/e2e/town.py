"""Real processes, and a gateway that is not the project's own: scripted, on a thread of the test.

On PostgreSQL two web processes and a worker; on SQLite the one process of ``groupline up``.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.api import DEADLINE, Api, until
from tests.support.databases import Postgres, in_database
from tests.support.ports import free_port
from tests.support.processes import Installation, installation
from tests.support.scripted_gateway import KEY, ContractGateway, threaded_gateway

from groupline.db import announce
from groupline.models import JournalEntry, Organization, WhatsappSession

SECRET = "the webhook secret of the scripted gateway"
PERIOD = 2
"""Seconds between two looks of the verifier."""
_T = TypeVar("_T")
_phones = itertools.count(9_198_765_43_210)


def new_phone() -> str:
    return str(next(_phones))


@dataclass
class Town:
    url: str
    """Of the database."""
    gateway: ContractGateway
    gateway_id: str
    apis: list[Api]
    """One for each web process."""
    hooks: list[httpx.Client] = field(default_factory=list)

    @property
    def api(self) -> Api:
        return self.apis[0]

    # --- the steps of a person

    def connect(self, **wish: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.api.post(
            "/sessions", {"gatewayId": self.gateway_id, **wish}, expect=201
        )
        return made

    def paired(self, phone: str) -> dict[str, Any]:
        """A new session that this phone has scanned, once a page would show it as connected."""
        row = self.connect()
        self.gateway.connects(f"wa_{row['id']}", phone)
        return self.until_status(row["id"], "connected")

    def session(self, session_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.api.get(f"/sessions/{session_id}")
        return shown

    def number(self, number_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.api.get(f"/numbers/{number_id}")
        return shown

    def until_status(self, session_id: str, status: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            shown = self.session(session_id)
            return shown if shown["status"] == status else None

        return until(f"the session is {status}", reached)

    def until_code(self, session_id: str) -> None:
        until("its code is shown", lambda: self.session(session_id)["qr"])

    def until_state(self, number_id: str, state: str) -> dict[str, Any]:
        """Of a number as people see it. Looking at it asks no gateway."""

        def reached() -> dict[str, Any] | None:
            shown = self.number(number_id)
            return shown if shown["state"] == state else None

        return until(f"the number is {state}", reached)

    # --- the gateway's own reports

    def report(self, session_id: str, status: str, *, web: int = 0, **more: Any) -> None:
        body = {
            "sessionId": f"wa_{session_id}",
            "status": status,
            "timestamp": datetime.now(UTC).isoformat(),
        }
        client = self.hooks[web % len(self.hooks)]
        client.post("/whatsapp-status-webhook", json=body | more).raise_for_status()

    # --- what is stored

    def stored(self, work: Callable[[AsyncSession], Awaitable[_T]]) -> _T:
        """What this finds, or writes, in the database."""
        return in_database(self.url, work)

    def change(self, session_id: str, **values: Any) -> None:
        """For what takes longer than a test may: the past, and states between two answers."""

        async def write(session: AsyncSession) -> None:
            await session.execute(
                update(WhatsappSession)
                .where(WhatsappSession.id == UUID(session_id))
                .values(**values)
            )
            # Told as by every writer: a loop may have computed its next look from what was there.
            await announce(session, "sessions", organization_id=None, subject_id=UUID(session_id))

        self.stored(write)

    def journal(self, action: str, subject_id: str) -> list[dict[str, Any]]:
        async def read(session: AsyncSession) -> list[dict[str, Any]]:
            entries = await session.scalars(
                select(JournalEntry)
                .where(JournalEntry.action == action)
                .order_by(JournalEntry.position)
            )
            return [entry.data for entry in entries if str(entry.subject_id) == subject_id]

        return self.stored(read)

    def organization_id(self) -> Any:
        async def read(session: AsyncSession) -> Any:
            return await session.scalar(select(Organization.id))

        return self.stored(read)


@contextmanager
def open_town(home: Path, postgres: Postgres | None) -> Iterator[Town]:
    with ExitStack() as stack:
        place = stack.enter_context(installation(home, GROUPLINE_VERIFY_SECONDS=str(PERIOD)))
        if postgres is not None:
            place.settings["GROUPLINE_DATABASE_URL"] = stack.enter_context(postgres.empty())
        stack.callback(place.clear_away)  # before the database is dropped
        gateway = stack.enter_context(threaded_gateway())
        gateway.groups = [
            {"id": f"12036300000000000{n}@g.us", "name": f"Group {n}"} for n in (1, 2)
        ]
        ports = _several(place) if postgres is not None else _one(place)
        add = ("gateways", "add", "--name", "Scripted", "--url", gateway.url, "--key", KEY)
        added = place.run(*add, "--webhook-secret", SECRET, "--json").json
        api = place.new_organization()
        key = api.http.headers["Authorization"].removeprefix("Bearer ")
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        apis = [stack.enter_context(Api(each, key)) for each in urls]
        hooks = [
            stack.enter_context(
                httpx.Client(
                    base_url=f"{each}/hooks/{added['id']}",
                    headers={"X-API-Key": SECRET},
                    timeout=DEADLINE,
                )
            )
            for each in urls
        ]
        yield Town(place.database_url, gateway, added["id"], apis, hooks)


def _one(place: Installation) -> list[int]:
    place.up()
    return [place.port]


def _several(place: Installation) -> list[int]:
    assert place.run("db", "upgrade").code == 0
    ports = [place.port, free_port()]
    place.start("worker")
    for port in ports:
        process = place.start("web", GROUPLINE_PORT=str(port))
        place.port = port
        place.wait_until_served(process)
    place.port = ports[0]
    return ports
