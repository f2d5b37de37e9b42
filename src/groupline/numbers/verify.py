"""The loop that asks about every session that is due, whether or not anybody looks at a page.

Each gateway has a lane of its own: one that is slow, or away, delays nobody else's sessions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, select

from groupline.errors import GrouplineError, NotFound
from groupline.gateways.outcomes import FailureKind, ReadingFailed
from groupline.models import WhatsappSession
from groupline.numbers import queries
from groupline.numbers.ask import (
    apply_and_schedule,
    ask,
    fails_itself,
    note_failed_session,
    note_failed_turn,
)
from groupline.numbers.context import Context
from groupline.numbers.lanes import Lanes
from groupline.numbers.readings import Word
from groupline.numbers.start import Target, start_pairing

log = structlog.get_logger(__name__)

BATCH: Final = 20
ASKED_AT_ONCE: Final = 10
LEASE: Final = timedelta(seconds=60)
"""Longer than all calls of a batch may take, so that nobody else asks meanwhile (a test holds it).
A worker that dies is made up for as soon."""
_WRITTEN_AT_ONCE: Final = 4
"""Of all gateways together: the other loops need connections to the database too."""


class Verifier:
    """Asks about every session that is due. Several may run, in several processes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lanes = Lanes("verifier")
        self._writes = asyncio.Semaphore(_WRITTEN_AT_ONCE)

    @property
    def wake(self) -> asyncio.Event:
        """Set when a lane has ended: its gateway may be asked again."""
        return self._lanes.wake

    async def run_once(self) -> bool:
        """Starts a lane for every gateway with sessions that are due; waits for none of them."""
        now = self._context.clock.now()
        due = (
            select(WhatsappSession.gateway_id)
            .where(*_to_verify(self._lanes.busy), WhatsappSession.next_verify_at <= now)
            .distinct()
        )
        async with self._context.database.reading() as session:
            gateway_ids = (await session.scalars(due)).all()
        for gateway_id in gateway_ids:
            self._lanes.start(gateway_id, self._turn)
        return False

    async def drain(self) -> None:
        """Lets what was begun end."""
        await self._lanes.drain()

    async def next_due(self) -> float | None:
        """Seconds until the next session is due, of those whose gateway is not busy."""
        async with self._context.database.reading() as session:
            due = await session.scalar(
                select(WhatsappSession.next_verify_at)
                .where(*_to_verify(self._lanes.busy))
                .order_by(WhatsappSession.next_verify_at)
                .limit(1)
            )
        return None if due is None else (due - self._context.clock.now()).total_seconds()

    async def _turn(self, gateway_id: UUID) -> bool:
        """One batch of the gateway's sessions; True if there may be more."""
        targets = await self._claim(gateway_id)
        if targets:
            await self._ask_gateway(targets)
        return len(targets) == BATCH

    async def _claim(self, gateway_id: UUID) -> list[Target]:
        """Takes what is due and puts it off by a lease, so that nobody else asks meanwhile."""
        now = self._context.clock.now()
        async with self._context.database.writing() as session:
            rows = (
                await session.scalars(
                    select(WhatsappSession)
                    .where(
                        WhatsappSession.gateway_id == gateway_id,
                        *_to_verify(),
                        WhatsappSession.next_verify_at <= now,
                    )
                    .order_by(WhatsappSession.next_verify_at)
                    .limit(BATCH)
                    .with_for_update(skip_locked=True)
                )
            ).all()
            for row in rows:
                row.next_verify_at = now + LEASE
            gateways = await queries.gateways_by_id(session, [row.gateway_id for row in rows])
        return [Target(row, gateways[row.gateway_id]) for row in rows]

    async def _ask_gateway(self, targets: Sequence[Target]) -> None:
        """One session first: a gateway that is down is asked once a turn, not once a session."""
        first, *others = targets
        failed = await self._verify(first)
        if failed is not None:
            if await fails_itself(self._context, first.gateway):
                ids = [target.session.id for target in targets]
                await note_failed_turn(self._context, first.gateway, failed, ids)
                return
            await note_failed_session(self._context, first, failed)
        silent = [pair for pair in await self._ask_others(others) if _is_silence(pair[1])]
        if silent:
            await self._note_silence(silent, is_proven=failed is not None)

    async def _ask_others(
        self, targets: Sequence[Target]
    ) -> Sequence[tuple[Target, ReadingFailed]]:
        """What failed. The gateway has answered in this turn: what it says and cannot be used is
        about the session, and noted there. Of silence that is still to be found out."""
        turns = asyncio.Semaphore(ASKED_AT_ONCE)

        async def in_turn(target: Target) -> tuple[Target, ReadingFailed] | None:
            async with turns:
                failure = await self._verify(target)
            if failure is None:
                return None
            if not _is_silence(failure):
                await note_failed_session(self._context, target, failure)
            return target, failure

        return [pair for pair in await asyncio.gather(*map(in_turn, targets)) if pair is not None]

    async def _note_silence(
        self, silent: Sequence[tuple[Target, ReadingFailed]], *, is_proven: bool
    ) -> None:
        """``is_proven``: the gateway itself was looked at in this turn already, and answered."""
        target, failed = silent[0]
        if not is_proven and await fails_itself(self._context, target.gateway):
            ids = [target.session.id for target, _ in silent]
            await note_failed_turn(self._context, target.gateway, failed, ids)
            return
        for target, failed in silent:
            await note_failed_session(self._context, target, failed)

    async def _verify(self, target: Target) -> ReadingFailed | None:
        """A defect that one session brings to light holds up no other: its lease will end."""
        try:
            return await self._ask(target)
        except NotFound:
            return None  # it was deleted from the history meanwhile
        except Exception:
            log.exception("session.not_verified", session_id=str(target.session.id))
            return None

    async def _ask(self, target: Target) -> ReadingFailed | None:
        at = self._context.clock.now()
        reading = await ask(self._context, target)
        if isinstance(reading, ReadingFailed):
            return reading
        now, pace = self._context.clock.now(), self._context.pace_seconds
        word = Word(reading, at, now, pace_seconds=pace)
        async with self._writes:
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


def _is_silence(failed: ReadingFailed) -> bool:
    return failed.kind is FailureKind.UNREACHABLE


def _to_verify(except_at: Collection[UUID] = ()) -> tuple[ColumnElement[bool], ...]:
    """What is scheduled and not waiting for its logout."""
    wanted = (
        WhatsappSession.next_verify_at.is_not(None),
        WhatsappSession.logout_requested_at.is_(None)
        | WhatsappSession.logout_confirmed_at.is_not(None),
    )
    return (*wanted, WhatsappSession.gateway_id.not_in(except_at)) if except_at else wanted
