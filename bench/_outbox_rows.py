"""Fills a database with an outbox: numbers that are connected, and messages that are due."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text

from groupline.db import Database, announce
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.ids import new_id
from groupline.messages.changes import MESSAGES
from groupline.models import (
    Gateway,
    Organization,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)
from groupline.vault import Vault

SECRET_KEY = "a secret key that is only used by benches"


async def fill(
    database: Database,
    gateway_url: str,
    *,
    numbers: int,
    messages: int,
    max_in_flight: int,
    due_in: timedelta = timedelta(seconds=-1),
    pace: float = 0.0,
) -> None:
    now = datetime.now(UTC)
    organization_id, gateway_id = new_id(), new_id()
    number_ids = [new_id() for _ in range(numbers)]
    group_ids = [new_id() for _ in range(numbers)]

    async with database.writing() as session:
        await session.execute(
            insert(Organization),
            {
                "id": organization_id,
                "name": "Bench",
                "slug": "bench",
                "timezone": "UTC",
                "created_at": now,
            },
        )
        await session.execute(
            insert(Gateway),
            {
                "id": gateway_id,
                "name": "Instant",
                "kind": "groupline",
                "base_url": gateway_url,
                "credentials": write_credentials(Vault(SECRET_KEY), "key", AuthScheme.API_KEY),
                "capabilities": ["client_ref"],
                "max_in_flight": max_in_flight,
                "created_at": now,
            },
        )
        await session.execute(
            insert(WhatsappNumber),
            [
                {
                    "id": each,
                    "organization_id": organization_id,
                    "phone_number": f"91987{n:07d}",
                    "pace_seconds": pace,
                    "created_at": now,
                }
                for n, each in enumerate(number_ids)
            ],
        )
        await session.execute(
            insert(WhatsappSession),
            [
                {
                    "organization_id": organization_id,
                    "number_id": each,
                    "gateway_id": gateway_id,
                    "gateway_session_id": f"wa_{each}",
                    "status": "connected",
                    "status_source": "gateway",
                    "status_at": now,
                    "pairing_started_at": now,
                    "connected_at": now,
                    "verified_at": now,
                    "created_at": now,
                }
                for each in number_ids
            ],
        )
        await session.execute(
            insert(WhatsappGroup),
            [
                {
                    "id": each,
                    "organization_id": organization_id,
                    "group_jid": f"1203630{n:08d}@g.us",
                    "group_name": f"Group {n}",
                    "created_at": now,
                }
                for n, each in enumerate(group_ids)
            ],
        )
        await session.execute(
            insert(WhatsappMembership),
            [
                {
                    "organization_id": organization_id,
                    "number_id": number_id,
                    "group_id": group_id,
                    "created_at": now,
                }
                for number_id, group_id in zip(number_ids, group_ids, strict=True)
            ],
        )
    if messages:
        await add_messages(database, messages, at=now + due_in, priority=1)
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))


async def add_messages(
    database: Database, count: int, *, at: datetime, priority: int, telling: bool = False
) -> list[str]:
    """Messages for the numbers in turn; returns their ids, which are their references too."""
    async with database.writing() as session:
        members = (await session.execute(_MEMBERS)).all()
        rows = [_message(*members[n % len(members)], at, priority) for n in range(count)]
        await session.execute(insert(MESSAGES), rows)
        if telling:
            await announce(
                session, "messages", organization_id=members[0][0], subject_id=rows[0]["id"]
            )
    return [str(row["id"]) for row in rows]


_MEMBERS = select(
    WhatsappMembership.organization_id,
    WhatsappMembership.number_id,
    WhatsappMembership.group_id,
).order_by(WhatsappMembership.number_id)


def _message(
    organization_id: UUID, number_id: UUID, group_id: UUID, at: datetime, priority: int
) -> dict[str, Any]:
    message_id, now = new_id(), datetime.now(UTC)
    return {
        "id": message_id,
        "organization_id": organization_id,
        "number_id": number_id,
        "group_id": group_id,
        "content": "We start in ten minutes.",
        "scheduled_for": at,
        "expires_at": at + timedelta(days=1),
        "priority": priority,
        "client_ref": str(message_id),
        "created_at": now,
        "updated_at": now,
    }


_RANDOM_IDS = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "gen_random_uuid()",
}
_HISTORY = """
    INSERT INTO scheduled_whatsapp_messages
        (id, organization_id, number_id, group_id, content, scheduled_for, expires_at, priority,
         status, attempts, client_ref, gateway_message_id, sent_at, delivered_count, read_count,
         anonymous_delivered_count, anonymous_read_count, created_at, updated_at)
    SELECT {new_id}, organization_id, number_id, group_id, content, scheduled_for, expires_at,
           priority, 'sent', 0, CAST({new_id} AS text), '3EB0', scheduled_for, 0, 0, 0, 0,
           scheduled_for, scheduled_for
    FROM scheduled_whatsapp_messages LIMIT {count}
"""


async def add_history(database: Database, finished: int) -> None:
    """So many messages that are sent; each step doubles what is there."""
    async with database.writing() as session:
        members = (await session.execute(_MEMBERS)).all()
        at = datetime.now(UTC) - timedelta(days=30)
        done = {"status": "sent", "sent_at": at, "gateway_message_id": "3EB0"}
        rows = [_message(*members[n % len(members)], at, 1) | done for n in range(1000)]
        await session.execute(insert(MESSAGES), rows)
    have = len(rows)
    while have < finished:
        count = min(have, finished - have)
        source = _HISTORY.format(new_id=_RANDOM_IDS[database.dialect], count=count)
        async with database.writing() as session:
            await session.execute(text(source))
        have += count
