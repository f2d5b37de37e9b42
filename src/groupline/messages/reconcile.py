"""Asking gateways about messages whose fate is not known. Nothing is ever sent again from here
without a definite no, and no transaction is open while a gateway is asked."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Database
from groupline.errors import GrouplineError
from groupline.gateways.outcomes import LookupAnswer, LookupUnknown, NotFound
from groupline.gateways.port import Capability, GatewayDriver
from groupline.gateways.service import Gateways
from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import (
    MESSAGES,
    MessageRow,
    Step,
    began,
    fetch,
    for_change,
    write,
)
from groupline.messages.repeated import kept_words
from groupline.messages.rules import Later, Policy
from groupline.messages.unclear import has_unclear_report
from groupline.models import Gateway, WhatsappGroup

logger = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
WAKES_ON: Final = frozenset({"messages"})
_BATCH: Final = 50
_RESERVED: Final = timedelta(seconds=30)
"""While one worker asks, the others leave the message alone."""


@dataclass(frozen=True, slots=True)
class Question:
    """A message to ask about. The start of its request tells this attempt from a later one."""

    id: UUID
    started_at: datetime | None
    client_ref: str
    carried_ref: bool | None
    gateway_id: UUID | None
    gateway_session_id: str | None
    group_jid: str


class Reconciler:
    def __init__(
        self,
        database: Database,
        gateways: Gateways,
        clock: Clock,
        *,
        policy: Policy | None = None,
    ) -> None:
        self._database = database
        self._gateways = gateways
        self._clock = clock
        self._policy = policy or Policy()
        self._next_at: float | None = None

    async def run_once(self) -> bool:
        """Asks about the messages whose time to be asked about has come."""
        if not await self._anything_due():
            return False
        async with self._database.writing() as session:
            questions = await reserve(session, now=self._clock.now())
            drivers = await self._drivers(session, questions)
        answers = await asyncio.gather(*(_ask(each, drivers) for each in questions))
        async with self._database.writing() as session:
            for question, answer in zip(questions, answers, strict=True):
                await apply_answer(
                    session, question, answer, now=self._clock.now(), policy=self._policy
                )
        return bool(questions)

    async def next_due(self) -> float | None:
        return self._next_at

    async def _anything_due(self) -> bool:
        now = self._clock.now()
        statement = (
            select(MESSAGES.c.next_check_at)
            .where(_UNSETTLED, MESSAGES.c.next_check_at.is_not(None))
            .order_by(MESSAGES.c.next_check_at)
            .limit(1)
        )
        async with self._database.reading() as session:
            first = await session.scalar(statement)
        self._next_at = None if first is None else max(0.0, (first - now).total_seconds())
        return first is not None and first <= now

    async def _drivers(
        self, session: AsyncSession, questions: Sequence[Question]
    ) -> dict[UUID, GatewayDriver]:
        ids = {each.gateway_id for each in questions if each.gateway_id is not None}
        rows = await session.scalars(
            select(Gateway).where(Gateway.id.in_(ids), Gateway.enabled.is_(True))
        )
        drivers = {}
        for row in rows:
            try:
                drivers[row.id] = self._gateways.driver(row)
            except GrouplineError:  # its messages are asked about later, and the others now
                logger.exception("gateway.unusable", gateway=str(row.id))
        return drivers


_UNSETTLED: Final = MESSAGES.c.status.in_(("accepted", "uncertain"))


async def reserve(session: AsyncSession, *, now: datetime) -> list[Question]:
    """The messages to ask about now; other workers leave them alone for a while."""
    statement = (
        select(
            MESSAGES.c.id,
            MESSAGES.c.request_started_at,
            MESSAGES.c.client_ref,
            MESSAGES.c.carried_ref,
            MESSAGES.c.gateway_id,
            MESSAGES.c.gateway_session_id,
            WhatsappGroup.group_jid,
        )
        .join(WhatsappGroup, WhatsappGroup.id == MESSAGES.c.group_id)
        .where(_UNSETTLED, MESSAGES.c.next_check_at <= now)
        .order_by(MESSAGES.c.next_check_at)
        .limit(_BATCH)
        .with_for_update(of=MESSAGES, skip_locked=True)
    )
    questions = [Question(*row) for row in await session.execute(statement)]
    await session.execute(
        update(MESSAGES)
        .where(MESSAGES.c.id.in_([each.id for each in questions]))
        .values(next_check_at=now + _RESERVED)
    )
    return questions


async def _ask(question: Question, drivers: dict[UUID, GatewayDriver]) -> LookupAnswer:
    """What the gateway of the attempt says. Only one that was told our reference can say no."""
    driver = drivers.get(question.gateway_id) if question.gateway_id is not None else None
    if driver is None or question.gateway_session_id is None:
        return LookupUnknown("Its gateway cannot be asked now.")
    exact = bool(question.carried_ref) and Capability.CLIENT_REF in driver.capabilities
    try:
        return await driver.message_status(
            question.gateway_session_id,
            client_ref=question.client_ref if exact else None,
            group_jid=question.group_jid,
        )
    except Exception as error:  # a defect of a driver proves nothing about the message
        logger.exception("message.look_failed", message_id=str(question.id))
        return LookupUnknown(type(error).__name__)


async def apply_answer(
    session: AsyncSession,
    question: Question,
    answer: LookupAnswer,
    *,
    now: datetime,
    policy: Policy,
) -> MessageRow | None:
    """Stores an answer, unless the message has moved on since the question."""
    rows = await fetch(session, for_change().where(MESSAGES.c.id == question.id, _UNSETTLED))
    if not rows or rows[0].started_at != question.started_at:
        return None
    row = rows[0]
    if isinstance(answer, NotFound):
        answer = replace(answer, detail=await kept_words(session, rows, answer.detail))
    found = rules.after_look(
        row.facts(),
        answer,
        now=now,
        roll=random.random(),  # noqa: S311 - spreads retries
        policy=policy,
    )
    if isinstance(found, Later):
        values: dict[str, Any] = {"next_check_at": found.at}
        await session.execute(update(MESSAGES).where(MESSAGES.c.id == row.id).values(**values))
        return row
    if rules.waited_in_vain(found) and await has_unclear_report(session, row):
        found = rules.unclearly_reported(found)
    await write(session, [Step(row, found, {"by": "look_up"} | began(row))], actor=SYSTEM, now=now)
    return row
