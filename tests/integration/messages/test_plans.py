"""The hot queries stay quick with a long history: every one goes by an index."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncSession
from tests.support.clock import NOW
from tests.support.factories import (
    make_gateway,
    make_group,
    make_number,
    make_organization,
    make_session,
)

from groupline.db import Answer, Database, Statement
from groupline.gateways.outcomes import Sent
from groupline.ids import new_id
from groupline.messages.changes import MESSAGES
from groupline.messages.claim import claim, claim_sql, claiming, values_of
from groupline.messages.expire import expire
from groupline.messages.outlook import outlook
from groupline.messages.queries import list_views
from groupline.messages.reconcile import reserve
from groupline.messages.recover import recover
from groupline.messages.results import Result
from groupline.messages.rules import Policy
from groupline.messages.schemas import After, Filter
from groupline.messages.sent import sent_ones

pytestmark = pytest.mark.untouched_database

NUMBERS, FINISHED_EACH, PENDING_EACH = 20, 500, 10


async def fill(
    session: AsyncSession, *, finished: int = FINISHED_EACH, pending: int = PENDING_EACH
) -> UUID:
    organization = await make_organization(session)
    gateway = await make_gateway(session)
    rows = []
    for _ in range(NUMBERS):
        number = await make_number(session, organization_id=organization.id)
        group = await make_group(session, organization_id=organization.id)
        await make_session(
            session,
            organization_id=organization.id,
            number_id=number.id,
            gateway_id=gateway.id,
        )
        for n in range(finished + pending):
            done = n < finished
            at = NOW - timedelta(minutes=n) if done else NOW - timedelta(seconds=1)
            rows.append(
                {
                    "id": new_id(),
                    "organization_id": organization.id,
                    "number_id": number.id,
                    "group_id": group.id,
                    "content": "Hello",
                    "scheduled_for": at,
                    "expires_at": NOW + timedelta(days=1),
                    "priority": n % 3,
                    "status": "sent" if done else "pending",
                    "sent_at": at if done else None,
                    "gateway_message_id": "3EB0" if done else None,
                    "client_ref": str(new_id()),
                    "created_at": NOW,
                    "updated_at": NOW,
                }
            )
    await session.execute(insert(MESSAGES), rows)
    return organization.id


@pytest.fixture
async def organization_id(database: Database) -> UUID:
    async with database.writing() as session:
        made = await fill(session)
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))
    return made


@dataclass(slots=True)
class Heard:
    """The statements that went to the database, as it got them."""

    statements: list[tuple[str, Any]] = field(default_factory=list)

    def note(self, _c: Any, _k: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.statements.append((statement, parameters))


Ask = Callable[[AsyncSession, UUID], Awaitable[object]]


async def plans(
    database: Database,
    ask: Callable[[AsyncSession], Awaitable[object]],
    *,
    about: str = "scheduled_whatsapp_messages",
) -> str:
    """How the database carries out what ``ask`` asks of a table. Nothing of it is kept."""
    heard = Heard()
    with suppress(_RolledBack):
        async with database.writing() as session:
            event.listen(Engine, "before_cursor_execute", heard.note)
            try:
                await ask(session)
            finally:
                event.remove(Engine, "before_cursor_execute", heard.note)
            raise _RolledBack
    statements = [each for each in heard.statements if about in each[0]]
    explained = await explain(database, statements)
    assert explained, f"nothing was asked of {about}"
    return explained


async def explain(database: Database, statements: Sequence[tuple[str, Any]]) -> str:
    kind = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    lines: list[str] = []
    with suppress(_RolledBack):
        async with database.writing() as session:
            connection = await session.connection()
            for statement, parameters in statements:
                first = parameters[0] if isinstance(parameters, list) else parameters
                rows = await connection.exec_driver_sql(f"{kind} {statement}", first)
                lines += [str(row[-1]).strip() for row in rows]
            raise _RolledBack
    return "\n".join(lines)


class _RolledBack(Exception):
    """Leaves the database as it was."""


def walked_through(plan: str) -> list[str]:
    """The parts of a plan that read the whole table of messages."""
    whole = re.compile(r"Seq Scan on scheduled_whatsapp_messages|SCAN (m|f|scheduled_\w+)$")
    return [line for line in plan.splitlines() if whole.search(line)]


async def page_of_states(session: AsyncSession, organization_id: UUID) -> object:
    wanted = Filter(states=frozenset(("failed", "uncertain", "sent")))
    after = After(NOW - timedelta(minutes=100), new_id())
    return await list_views(session, organization_id, wanted, after=after, limit=50, now=NOW)


async def page_of_waiting(session: AsyncSession, organization_id: UUID) -> object:
    wanted = Filter(states=frozenset(("waiting", "sending", "accepted")))
    after = After(NOW - timedelta(seconds=1), new_id())
    return await list_views(
        session, organization_id, wanted, after=after, limit=50, now=NOW, soonest_first=True
    )


HOT: dict[str, Ask] = {
    "outlook": lambda session, _: outlook(session, NOW),
    "recover": lambda session, _: recover(session, now=NOW, policy=Policy()),
    "expire": lambda session, _: expire(session, now=NOW),
    "reconcile": lambda session, _: reserve(session, now=NOW),
    "page": page_of_states,
    "waiting": page_of_waiting,
}


@pytest.mark.parametrize("name", HOT)
async def test_nothing_hot_walks_through_the_history(
    database: Database, organization_id: UUID, name: str
) -> None:
    plan = await plans(database, lambda session: HOT[name](session, organization_id))
    assert not walked_through(plan), plan


# --- what goes past SQLAlchemy


async def direct_plans(database: Database, statements: Sequence[Statement]) -> str:
    """How the database carries them out, asked for on the way that they go."""
    of = _plans_of_sqlite if database.dialect == "sqlite" else _plans_of_postgresql
    answers = await of(database, statements)
    return "\n".join(str(row[-1]).strip() for each in answers for row in each.rows)


async def _plans_of_sqlite(database: Database, statements: Sequence[Statement]) -> list[Answer]:
    return await database.carry_out(
        [Statement(f"EXPLAIN QUERY PLAN {each.sql}", each.values) for each in statements]
    )


async def _plans_of_postgresql(database: Database, statements: Sequence[Statement]) -> list[Answer]:
    """They are carried out, and what the connection has prepared by that is explained: the very
    text that was sent, with the plan that is kept for it, whatever its values are."""
    await database.carry_out(statements)
    [prepared] = await database.carry_out(
        [Statement("SELECT name, cardinality(parameter_types) FROM pg_prepared_statements", {})]
    )
    assert len(prepared.rows) >= len(statements)
    return await database.carry_out(
        [Statement(f"EXPLAIN EXECUTE {name}{_nothing(count)}", {}) for name, count in prepared.rows]
    )


def _nothing(count: int) -> str:
    return f" ({', '.join(['NULL'] * count)})" if count else ""


async def test_no_step_of_a_claim_walks_through_the_history(
    database: Database, organization_id: UUID
) -> None:
    steps = claiming(database.dialect, claim_values(new_id()))
    plan = await direct_plans(database, steps)
    assert not walked_through(plan), plan
    assert "ix_scheduled_whatsapp_messages_next" in plan, plan
    assert "uq_scheduled_whatsapp_messages_lane" in plan, plan


async def test_a_claim_goes_lane_by_lane_while_nothing_is_known_of_new_messages(
    database: Database,
) -> None:
    """A campaign that was just written is not in the statistics yet, for a minute."""
    async with database.writing() as session:
        await session.execute(text("ANALYZE"))
    async with database.writing() as session:
        await fill(session, finished=0, pending=200)
    step = Statement(claim_sql(database.dialect), claim_values(new_id()))
    plan = await direct_plans(database, [step])
    used = set(re.findall(r"\b(?:ix|uq)_scheduled_whatsapp_messages_\w+", plan))
    assert used == {
        "ix_scheduled_whatsapp_messages_next",
        "uq_scheduled_whatsapp_messages_lane",
    }, plan


def test_no_index_of_all_messages_can_stand_in_for_that_of_the_next_ones() -> None:
    """What a planner knows of a table grows old: while it believes that everything is pending, an
    index by number that holds the sent ones, too, looks as good, and is walked through."""
    by_number = {each.name for each in MESSAGES.indexes if each.columns[0].name == "number_id"}
    assert by_number == {
        "ix_scheduled_whatsapp_messages_next",
        "uq_scheduled_whatsapp_messages_lane",
    }


def claim_values(token: UUID) -> dict[str, Any]:
    return values_of(
        worker="w",
        now=NOW,
        lease=timedelta(minutes=1),
        limit=100,
        roll=0.5,
        token=token,
        policy=Policy(),
    )


async def test_storing_a_batch_does_not_walk_through_the_history(
    database: Database, organization_id: UUID
) -> None:
    claims = await claim(
        database, worker="w", now=NOW, lease=timedelta(minutes=1), limit=100, roll=0.5
    )
    assert len(claims) == NUMBERS
    results = [Result(each, Sent("3EB1"), roll=0.5) for each in claims]
    plan = await direct_plans(database, sent_ones(database.dialect, results, NOW).statements)
    assert "Update on scheduled_whatsapp_messages" in plan or database.dialect == "sqlite", plan
    assert not walked_through(plan), plan
