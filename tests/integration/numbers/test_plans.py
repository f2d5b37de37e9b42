"""What loops ask every second reads an index, also when the history is long."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, insert, text
from tests.integration.numbers.conftest import Desk
from tests.support.clock import NOW
from tests.support.factories import make_group, make_message, make_number

from groupline.ids import new_id
from groupline.models import ScheduledWhatsappMessage, WhatsappSession
from groupline.numbers.pause import pauses

pytestmark = pytest.mark.untouched_database

HISTORY = 20_000
SENT = 3_000


@dataclass(slots=True)
class Heard:
    """The statements that went to the database, as it got them."""

    statements: list[tuple[str, Any]] = field(default_factory=list)

    def note(self, _c: Any, _k: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.statements.append((statement, parameters))


@contextmanager
def hearing() -> Iterator[Heard]:
    heard = Heard()
    event.listen(Engine, "before_cursor_execute", heard.note)
    try:
        yield heard
    finally:
        event.remove(Engine, "before_cursor_execute", heard.note)


async def plans_of(desk: Desk, heard: Heard, about: str) -> list[str]:
    explain = "EXPLAIN QUERY PLAN " if desk.database.dialect == "sqlite" else "EXPLAIN "
    plans = []
    async with desk.database.reading() as session:
        connection = await session.connection()
        for statement, parameters in heard.statements:
            if about in statement:
                rows = await connection.exec_driver_sql(explain + statement, parameters)
                plans.append("\n".join(str(line[-1]) for line in rows))
    return plans


async def test_an_idle_turn_of_verifier_and_sweeper_reads_no_history(desk: Desk) -> None:
    row = await desk.paired()
    number = await desk.number()
    async with desk.database.writing() as session:
        await session.execute(
            insert(WhatsappSession), [_ended(desk, number.id, each) for each in range(HISTORY)]
        )
    async with desk.database.writing() as session:
        await session.execute(text("ANALYZE"))
    with hearing() as heard:
        await desk.verify()
        await desk.sweep()
    assert (await desk.session(row.id)).status == "connected"

    plans = await plans_of(desk, heard, "FROM whatsapp_sessions")
    assert len(plans) == 4
    indexes = ("verify", "pairing", "pairing", "logout")
    for plan, index in zip(plans, indexes, strict=True):
        assert f"ix_whatsapp_sessions_{index}" in plan, plan


async def test_what_a_paused_number_holds_back_is_counted_without_what_it_ever_sent(
    desk: Desk,
) -> None:
    await desk.paired()
    number, now = await desk.number(), desk.clock.now()
    number.paused_at = now - timedelta(hours=1)
    own: dict[str, Any] = {"organization_id": desk.organization_id}
    async with desk.database.writing() as session:
        others = [(await make_number(session, **own)).id for _ in range(10)]
        own["group_id"] = (await make_group(session, **own)).id
        numbers = [number.id] * SENT + others * 10
        await session.execute(
            insert(ScheduledWhatsappMessage), [_sent(own, *each) for each in enumerate(numbers)]
        )
        due: dict[str, Any] = {"number_id": number.id, "scheduled_for": now - timedelta(minutes=1)}
        await make_message(session, **own, **due)
        late: dict[str, Any] = {"status": "expired", "error_code": "expired", "expires_at": now}
        await make_message(session, **own, **due, **late)
    async with desk.database.writing() as session:
        await session.execute(text("ANALYZE"))
    with hearing() as heard:
        async with desk.database.reading() as session:
            paused = await pauses(session, desk.organization_id, [number], now)

    assert (paused[number.id].waiting, paused[number.id].late) == (1, 1)
    plans = await plans_of(desk, heard, "FROM scheduled_whatsapp_messages")
    assert len(plans) == 2
    for plan in plans:
        assert re.search(r"ix_scheduled_whatsapp_messages_(status|due|expiry|next)", plan), plan


def _sent(own: dict[str, Any], each: int, number_id: UUID) -> dict[str, Any]:
    at = NOW - timedelta(minutes=each)
    return own | {
        "id": new_id(),
        "number_id": number_id,
        "content": "Hello",
        "scheduled_for": at,
        "expires_at": at + timedelta(hours=1),
        "priority": 1,
        "status": "sent",
        "sent_at": at,
        "gateway_message_id": "3EB0",
        "client_ref": str(new_id()),
        "created_at": at,
        "updated_at": at,
    }


def _ended(desk: Desk, number_id: Any, each: int) -> dict[str, Any]:
    session_id = new_id()
    at = NOW - timedelta(minutes=each)
    return {
        "id": session_id,
        "organization_id": desk.organization_id,
        "gateway_id": desk.gateway_id,
        "gateway_session_id": f"wa_{session_id}",
        "number_id": number_id,
        "status": "disconnected",
        "status_source": "gateway",
        "status_at": at,
        "pairing_started_at": at,
        "disconnected_at": at,
        "ended_reason": "logged_out",
        "created_at": at,
    }
