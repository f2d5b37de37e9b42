"""A reconnect of a number with a lot of work against one of an empty number.

The work belongs to the number, so none of it is touched. What is measured is the whole
transaction that a report of a connection costs, with its counts and its journal.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.cast import make_cast
from tests.support.databases import in_own_loop, migrated, postgres_server
from tests.support.factories import make_gateway

from bench.figures import Figure
from groupline.db import Announcements, Database
from groupline.gateways.outcomes import SessionConnected
from groupline.ids import new_id
from groupline.models import (
    Event,
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)
from groupline.numbers.readings import Word, apply_reading, new_pairing_row

GROUPS: Final = 5_000
EVENTS: Final = 200
CAMPAIGNS: Final = 500
MESSAGES: Final = 100_000
RUNS: Final = 40
LIMIT: Final = 1.5

_AT: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_BUSY: Final = "919876543210"
_EMPTY: Final = "14155550136"


async def run() -> list[Figure]:
    return await asyncio.to_thread(_measure)


def _measure() -> list[Figure]:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres_server())
        file = f"sqlite:///{home / 'bench.db'}"
        in_own_loop(migrated(file))
        return [
            in_own_loop(_figure("SQLite", file)),
            in_own_loop(_figure("PostgreSQL", stack.enter_context(server.migrated()))),
        ]


async def _figure(kind: str, url: str) -> Figure:
    async with _opened(url) as place:
        busy, empty = [], []
        for turn in range(RUNS):
            busy.append(await place.reconnect(_BUSY, turn))
            empty.append(await place.reconnect(_EMPTY, turn))
    return Figure(
        f"reconnect of a number with {MESSAGES:,} pending messages, {GROUPS:,} groups, "
        f"{EVENTS} events and {CAMPAIGNS} campaigns, {kind}",
        statistics.median(busy) * 1000,
        statistics.median(empty) * 1000,
        "ms",
        "of an empty number",
        limit=LIMIT,
    )


@dataclass(frozen=True, slots=True)
class _Place:
    database: Database
    organization_id: UUID
    gateway_id: UUID

    async def reconnect(self, phone: str, turn: int) -> float:
        """Seconds from the report to its commit. The session that reports is new."""
        now = _AT + timedelta(seconds=turn + 1)
        row = self._new_session(now)
        async with self.database.writing() as session:
            session.add(row)
        started = time.perf_counter()
        async with self.database.writing() as session:
            word = Word(SessionConnected(phone), now, now)
            applied = await apply_reading(session, self.organization_id, row.id, word)
        seconds = time.perf_counter() - started
        assert applied.session.migration is not None
        assert applied.session.migration["messages"] == (MESSAGES if phone == _BUSY else 0)
        return seconds

    def _new_session(self, now: datetime) -> WhatsappSession:
        return new_pairing_row(
            organization_id=self.organization_id,
            gateway_id=self.gateway_id,
            expected_number_id=None,
            label=None,
            proxy=None,
            created_by=None,
            now=now,
        )


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[_Place]:
    database = Database(url, announcements=Announcements())
    try:
        async with database.writing() as session:
            cast = await make_cast(session)
            gateway = await make_gateway(session)
        place = _Place(database, cast.organization_id, gateway.id)
        for phone in (_BUSY, _EMPTY):
            await _first_session(place, phone)
        async with database.writing() as session:
            await _give_work(session, place.organization_id)
        await _analyze(database)
        yield place
    finally:
        await database.dispose()


async def _first_session(place: _Place, phone: str) -> None:
    row = place._new_session(_AT)
    async with place.database.writing() as session:
        session.add(row)
        await session.flush()
        word = Word(SessionConnected(phone), _AT, _AT)
        await apply_reading(session, place.organization_id, row.id, word)


async def _give_work(session: AsyncSession, organization_id: UUID) -> None:
    number_id = await session.scalar(
        text("SELECT id FROM whatsapp_numbers WHERE phone_number = :phone").columns(
            WhatsappNumber.id
        ),
        {"phone": _BUSY},
    )
    common = {"organization_id": organization_id, "created_at": _AT}
    mine = common | {"number_id": number_id}
    groups = [new_id() for _ in range(GROUPS)]
    await _insert(
        session,
        WhatsappGroup,
        [
            common
            | {
                "id": group_id,
                "group_jid": f"{120363000000000000 + index}@g.us",
                "group_name": f"Group {index}",
                "search_name": f"group {index}",
                "is_community": False,
                "is_community_announce": False,
                "announce_only": False,
            }
            for index, group_id in enumerate(groups)
        ],
    )
    await _insert(
        session,
        WhatsappMembership,
        [
            mine | {"id": new_id(), "group_id": group_id, "is_admin": False, "is_active": True}
            for group_id in groups
        ],
    )
    await _insert(session, Event, [_event(mine, index) for index in range(EVENTS)])
    await _insert(
        session, NotificationCampaign, [_campaign(mine, index) for index in range(CAMPAIGNS)]
    )
    await _insert(
        session,
        ScheduledWhatsappMessage,
        [_message(mine, groups[index % GROUPS], index) for index in range(MESSAGES)],
    )


def _event(mine: dict[str, Any], index: int) -> dict[str, Any]:
    return mine | {
        "id": new_id(),
        "kind": "workshop",
        "title": f"Workshop {index}",
        "starts_at": _AT + timedelta(days=index),
        "timezone": "Asia/Kolkata",
        "status": "planned",
        "updated_at": _AT,
    }


def _campaign(mine: dict[str, Any], index: int) -> dict[str, Any]:
    return mine | {
        "id": new_id(),
        "name": f"Campaign {index}",
        "content": "Hello",
        "delay_seconds": 1.0,
        "late_minutes": 60,
        "status": "paused",
        "updated_at": _AT,
    }


def _message(mine: dict[str, Any], group_id: UUID, index: int) -> dict[str, Any]:
    message_id = new_id()
    return mine | {
        "id": message_id,
        "group_id": group_id,
        "content": "Hello",
        "scheduled_for": _AT + timedelta(minutes=index),
        "priority": 10,
        "status": "pending",
        "attempts": 0,
        "client_ref": str(message_id),
        "delivered_count": 0,
        "read_count": 0,
        "anonymous_delivered_count": 0,
        "anonymous_read_count": 0,
        "updated_at": _AT,
    }


async def _insert(session: AsyncSession, model: Any, rows: Sequence[dict[str, Any]]) -> None:
    await session.execute(insert(model.__table__), list(rows))


async def _analyze(database: Database) -> None:
    """As the databases do by themselves in time."""
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))
