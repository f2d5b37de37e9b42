"""Fills a database with an outbox: numbers that are connected, and messages that are due."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text

from groupline.db import Database
from groupline.gateways.drivers.base import AuthScheme
from groupline.gateways.service import write_credentials
from groupline.ids import new_id
from groupline.models import (
    Gateway,
    Organization,
    ScheduledWhatsappMessage,
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
    finished: int = 0,
    due_in: timedelta = timedelta(seconds=-1),
    pace: float = 0.0,
) -> None:
    now = datetime.now(UTC)
    organization_id, gateway_id = new_id(), new_id()
    number_ids = [new_id() for _ in range(numbers)]
    group_ids = [new_id() for _ in range(numbers)]

    def message(n: int, **facts: Any) -> dict[str, Any]:
        message_id = new_id()
        return {
            "id": message_id,
            "organization_id": organization_id,
            "number_id": number_ids[n % numbers],
            "group_id": group_ids[n % numbers],
            "content": "We start in ten minutes.",
            "scheduled_for": now + due_in,
            "expires_at": now + timedelta(days=1),
            "priority": 1,
            "client_ref": str(message_id),
            "created_at": now,
            "updated_at": now,
        } | facts

    done = {
        "status": "sent",
        "gateway_message_id": "3EB0",
        "sent_at": now,
        "scheduled_for": now - timedelta(days=30),
        "expires_at": now - timedelta(days=29),
    }
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
    for start in range(0, finished, 10_000):
        rows = [message(n, **done) for n in range(start, min(start + 10_000, finished))]
        async with database.writing() as session:
            await session.execute(insert(ScheduledWhatsappMessage.__table__), rows)  # type: ignore[arg-type]
    async with database.writing() as session:
        await session.execute(
            insert(ScheduledWhatsappMessage.__table__),  # type: ignore[arg-type]
            [message(n) for n in range(messages)],
        )
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))
