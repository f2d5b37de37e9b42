"""The loop that asks about every session that is due, whether or not anybody looks at a page."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, select

from groupline.errors import GrouplineError
from groupline.gateways.outcomes import ReadingFailed
from groupline.models import WhatsappSession
from groupline.numbers import queries
from groupline.numbers.ask import apply_and_schedule, ask, note_failed_turn
from groupline.numbers.context import Context
from groupline.numbers.readings import Word
from groupline.numbers.start import Target, start_pairing

log = structlog.get_logger(__name__)

_BATCH: Final = 50
_LEASE: Final = timedelta(seconds=30)
"""Longer than a status call may take: no other worker asks meanwhile."""
_ASKED_AT_ONCE: Final = 10


class Verifier:
    """Asks about every session that is due. Several may run, in several processes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turns = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def run_once(self) -> bool:
        """Asks about what is due now; True if there may be more."""
        targets = await self._claim()
        by_gateway: dict[UUID, list[Target]] = defaultdict(list)
        for target in targets:
            by_gateway[target.gateway.id].append(target)
        await asyncio.gather(*map(self._ask_gateway, by_gateway.values()))
        return len(targets) == _BATCH

    async def next_due(self) -> float | None:
        """Seconds until the next session is due."""
        async with self._context.database.reading() as session:
            due = await session.scalar(
                select(WhatsappSession.next_verify_at)
                .where(*_to_verify())
                .order_by(WhatsappSession.next_verify_at)
                .limit(1)
            )
        return None if due is None else (due - self._context.clock.now()).total_seconds()

    async def _claim(self) -> list[Target]:
        """Takes what is due and puts it off by a lease, so that nobody else asks meanwhile."""
        now = self._context.clock.now()
        async with self._context.database.reading() as session:
            due = select(WhatsappSession.id).where(
                *_to_verify(), WhatsappSession.next_verify_at <= now
            )
            if await session.scalar(due.limit(1)) is None:
                return []  # the usual case costs no write transaction
        async with self._context.database.writing() as session:
            rows = (
                await session.scalars(
                    select(WhatsappSession)
                    .where(*_to_verify(), WhatsappSession.next_verify_at <= now)
                    .order_by(WhatsappSession.next_verify_at)
                    .limit(_BATCH)
                    .with_for_update(skip_locked=True)
                )
            ).all()
            for row in rows:
                row.next_verify_at = now + _LEASE
            gateways = await queries.gateways_by_id(session, [row.gateway_id for row in rows])
        return [Target(row, gateways[row.gateway_id]) for row in rows]

    async def _ask_gateway(self, targets: Sequence[Target]) -> None:
        """One session first: a gateway that is down is asked once a turn, not once a session."""
        first, *others = targets
        failed = await self._verify(first)
        if failed is not None:
            ids = [target.session.id for target in targets]
            await note_failed_turn(self._context, first.gateway, failed, ids)
            return
        failures = await asyncio.gather(*map(self._verify, others))
        for target, failure in zip(others, failures, strict=True):
            if failure is not None:
                await note_failed_turn(self._context, target.gateway, failure, [target.session.id])

    async def _verify(self, target: Target) -> ReadingFailed | None:
        async with self._turns:
            at = self._context.clock.now()
            reading = await ask(self._context, target)
            if isinstance(reading, ReadingFailed):
                return reading
            word = Word(reading, at, self._context.clock.now())
            applied = await apply_and_schedule(self._context, target, word)
        if applied.fresh_pairing is not None:
            await self._begin(Target(applied.fresh_pairing, target.gateway))
        return None

    async def _begin(self, fresh: Target) -> None:
        """Nobody waits for this answer: a refusal is in the journal and on the number's card."""
        try:
            await start_pairing(self._context, fresh)
        except GrouplineError as error:
            log.info("session.refused", session_id=str(fresh.session.id), code=error.code)


def _to_verify() -> tuple[ColumnElement[bool], ...]:
    """What is scheduled and not waiting for its logout."""
    return (
        WhatsappSession.next_verify_at.is_not(None),
        WhatsappSession.logout_requested_at.is_(None)
        | WhatsappSession.logout_confirmed_at.is_not(None),
    )
