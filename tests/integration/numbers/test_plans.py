"""What loops ask every second reads an index, also when the history is long."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, text
from tests.integration.numbers.conftest import Desk
from tests.support.clock import NOW

from groupline.ids import new_id
from groupline.models import WhatsappSession

pytestmark = pytest.mark.untouched_database

HISTORY = 20_000


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

    explain = "EXPLAIN QUERY PLAN " if desk.database.dialect == "sqlite" else "EXPLAIN "
    plans = []
    async with desk.database.reading() as session:
        connection = await session.connection()
        for statement, parameters in heard.statements:
            if "FROM whatsapp_sessions" in statement:
                rows = await connection.exec_driver_sql(explain + statement, parameters)
                plans.append("\n".join(str(line[-1]) for line in rows))
    assert len(plans) == 4
    indexes = ("verify", "pairing", "pairing", "logout")
    for plan, index in zip(plans, indexes, strict=True):
        assert f"ix_whatsapp_sessions_{index}" in plan, plan


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
