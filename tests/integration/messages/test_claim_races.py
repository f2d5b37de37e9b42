"""A message that changes between the moment it is seen and the moment it is locked."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from tests.integration.messages.outbox import Outbox, Sender

from groupline.messages import claim as claiming
from groupline.models import ScheduledWhatsappMessage

SEEN_AND_NOT_LOCKED = "FROM head\n    JOIN"


@pytest.fixture
def hesitant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same statement, with a pause where its snapshot is taken and no row is locked yet."""
    known = claiming.STATEMENTS["postgresql"]
    assert any(SEEN_AND_NOT_LOCKED in each for each in known)
    paused = "FROM (SELECT head.*, pg_sleep(0.8) FROM head) head\n    JOIN"
    statements = tuple(each.replace(SEEN_AND_NOT_LOCKED, paused) for each in known)
    monkeypatch.setitem(claiming.STATEMENTS, "postgresql", statements)


async def claim(outbox: Outbox, now: datetime) -> list[claiming.Claim]:
    return await claiming.claim(
        outbox.database, worker="w", now=now, lease=timedelta(seconds=60), limit=10, roll=0.0
    )


def changes(now: datetime, other: Sender) -> dict[str, dict[str, Any]]:
    return {
        "handed over": {"number_id": other.number_id},
        "put off": {
            "scheduled_for": now + timedelta(days=1),
            "expires_at": now + timedelta(days=2),
        },
        "to be retried later": {"next_attempt_at": now + timedelta(minutes=1)},
        "too late": {"expires_at": now},
        "cancelled": {"status": "cancelled"},
    }


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "what", ["handed over", "put off", "to be retried later", "too late", "cancelled"]
)
@pytest.mark.usefixtures("hesitant")
async def test_what_has_changed_meanwhile_is_not_claimed(outbox: Outbox, what: str) -> None:
    sender, other = await outbox.add_sender(), await outbox.add_sender()
    message_id = await outbox.write(sender)
    now = outbox.clock.now()
    claimed = asyncio.create_task(claim(outbox, now))
    await asyncio.sleep(0.4)
    async with outbox.database.writing() as session:
        await session.execute(
            update(ScheduledWhatsappMessage)
            .where(ScheduledWhatsappMessage.id == message_id)
            .values(**changes(now, other)[what])
        )

    assert await claimed == []
    assert (await outbox.message(message_id)).status in ("pending", "cancelled")
