"""Storing what became of requests: many results in one transaction, each under its claim."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.gateways.outcomes import Sent
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
from groupline.messages.evidence import store_evidence
from groupline.messages.holds import hold_lanes
from groupline.messages.refusals import Refusal
from groupline.messages.results import Result, Withheld
from groupline.messages.rules import Change, Policy
from groupline.messages.sent import evidence_of, write_sent

logger = structlog.get_logger(__name__)


async def settle(
    session: AsyncSession, results: Sequence[Result], *, now: datetime, policy: Policy
) -> None:
    """Stores results, by id and claim token. A result whose claim is no longer its own changes
    nothing, except that evidence of a sent message is never lost."""
    sent = [result for result in results if isinstance(result.outcome, Sent)]
    others = [result for result in results if not isinstance(result.outcome, Sent)]
    if sent and others:
        await _hold_all(session, results)
    if sent:
        await _settle_sent(session, sent, now)
    if others:
        await _settle_others(session, others, now, policy)


async def _hold_all(session: AsyncSession, results: Sequence[Result]) -> None:
    """In the order in which everybody locks messages; one kind after the other would break it."""
    ids = [result.claim.id for result in results]
    await fetch(session, for_change().where(MESSAGES.c.id.in_(ids)))


# --- sent -----------------------------------------------------------------------------------


async def _settle_sent(session: AsyncSession, results: Sequence[Result], now: datetime) -> None:
    own, fenced = await _sort_out(session, results)
    if own:
        await write_sent(session, own, now)
    await _keep_evidence(session, fenced, now)


async def _sort_out(
    session: AsyncSession, results: Sequence[Result]
) -> tuple[list[Result], list[Result]]:
    """Which results still are their worker's own, and which were fenced off."""
    ids = [result.claim.id for result in results]
    rows = await fetch(session, for_change().where(MESSAGES.c.id.in_(ids)))
    tokens = {row.id: row.token for row in rows}
    own: list[Result] = []
    fenced: list[Result] = []
    for each in results:
        is_own = tokens.get(each.claim.id) == each.claim.token
        (own if is_own else fenced).append(each)
    return own, fenced


async def _keep_evidence(session: AsyncSession, fenced: Sequence[Result], now: datetime) -> None:
    """Its claim was given to somebody else, and yet this request sent the message."""
    by_id = {result.claim.id: result for result in fenced}
    rows = await fetch(session, for_change().where(MESSAGES.c.id.in_(by_id)))
    for row in rows:
        evidence = evidence_of(by_id[row.id])
        logger.warning("message.late_answer", message_id=str(row.id), status=row.status)
        if row.status == "sending":
            await overtake(session, row, evidence)
        else:
            await store_evidence(session, row, evidence, by="late_answer", now=now)


async def overtake(session: AsyncSession, row: MessageRow, message_id: str) -> None:
    """Evidence while a request is under way: kept on the row, for when that request ends.

    The lane stays taken until then: one request of a number at a time.
    """
    await session.execute(
        update(MESSAGES).where(MESSAGES.c.id == row.id).values(gateway_message_id=message_id)
    )


# --- everything else ------------------------------------------------------------------------


async def _settle_others(
    session: AsyncSession, results: Sequence[Result], now: datetime, policy: Policy
) -> None:
    by_id = {result.claim.id: result for result in results}
    rows = await fetch(session, for_change().where(MESSAGES.c.id.in_(by_id)))
    steps = []
    for row in rows:
        result = by_id[row.id]
        if row.token != result.claim.token:
            logger.warning("message.late_answer", message_id=str(row.id), status=row.status)
            continue
        steps.append(_step(row, result, now, policy))
    await write(session, steps, actor=SYSTEM, now=now)
    await hold_lanes(session, steps, now)


def _step(row: MessageRow, result: Result, now: datetime, policy: Policy) -> Step:
    if isinstance(result.outcome, Withheld | Refusal):  # no request was made
        return Step(row, _change(row, result, now, policy))
    return concluded(row, _change(row, result, now, policy))


def concluded(row: MessageRow, change: Change) -> Step:
    """The end of a request without evidence in its own answer: if it was sent all the same, a
    report had said so meanwhile."""
    how = {"by": "overtaken"} if change.status == "sent" else {}
    return Step(row, change, how | began(row))


def _change(row: MessageRow, result: Result, now: datetime, policy: Policy) -> Change:
    facts = row.facts()
    match result.outcome:
        case Withheld():
            return rules.withheld(facts, now=now, policy=policy)
        case Refusal():
            return rules.refused(facts, result.outcome)
        case _:
            return rules.after_send(facts, result.outcome, now=now, roll=result.roll, policy=policy)
