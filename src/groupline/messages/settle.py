"""Storing what became of requests: many results in one transaction, each under its claim."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import CursorResult, bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import UtcDateTime
from groupline.gateways.outcomes import NotSent, NotSentReason, SendOutcome, Sent
from groupline.gateways.service import note_failure
from groupline.journal import SYSTEM
from groupline.messages import rules
from groupline.messages.changes import MESSAGES, MessageRow, Step, fetch, for_change, tell, write
from groupline.messages.claim import Claim
from groupline.messages.evidence import store_evidence
from groupline.messages.holds import NUMBERS, hold_lanes
from groupline.messages.refusals import Refusal
from groupline.messages.rules import Change, Policy

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Withheld:
    """The request was never started: it was too late for it, or the gateway has just changed."""

    why: str


@dataclass(frozen=True, slots=True)
class Result:
    claim: Claim
    outcome: SendOutcome | Withheld | Refusal
    roll: float


async def settle(
    session: AsyncSession, results: Sequence[Result], *, now: datetime, policy: Policy
) -> None:
    """Stores results, by id and claim token. A result whose claim is no longer its own changes
    nothing, except that evidence of a sent message is never lost."""
    sent = [result for result in results if isinstance(result.outcome, Sent)]
    others = [result for result in results if not isinstance(result.outcome, Sent)]
    if sent:
        await _settle_sent(session, sent, now)
    if others:
        await _settle_others(session, others, now, policy)


# --- the common case: sent ------------------------------------------------------------------

# All results are one parameter: what binding hundreds of rows costs is more than what storing them
# does. They are found by id and token; a test on the status would make large batches slow.
_RESULTS: Final = {
    "sqlite": """
        SELECT json_extract(value, '$[0]') AS message, json_extract(value, '$[1]') AS token,
               json_extract(value, '$[2]') AS evidence
        FROM json_each(:results)""",
    "postgresql": """
        SELECT CAST(result ->> 0 AS uuid) AS message, CAST(result ->> 1 AS uuid) AS token,
               result ->> 2 AS evidence
        FROM jsonb_array_elements(CAST(:results AS jsonb)) AS listed (result)""",
}
_SET_SENT: Final = """
    UPDATE scheduled_whatsapp_messages
    SET status = 'sent', gateway_message_id = told.evidence,
        accepted_at = COALESCE(accepted_at, :at), sent_at = :at, updated_at = :at,
        error_code = NULL, error_message = NULL, vps_error = NULL,
        next_attempt_at = NULL, next_check_at = NULL, claim_token = NULL
    FROM ({results}) AS told
    WHERE scheduled_whatsapp_messages.id = told.message AND claim_token = told.token
"""
_SENT: Final = {
    dialect: text(_SET_SENT.format(results=results)).bindparams(bindparam("at", type_=UtcDateTime))
    for dialect, results in _RESULTS.items()
}


async def _settle_sent(session: AsyncSession, results: Sequence[Result], now: datetime) -> None:
    told = [[each.claim.id.hex, each.claim.token.hex, _message_id(each)] for each in results]
    answered: CursorResult[Any] = await session.execute(  # type: ignore[assignment]
        _SENT[session.get_bind().dialect.name], {"results": json.dumps(told), "at": now}
    )
    settled = list(results)
    if answered.rowcount != len(results):
        settled, fenced = await _sort_out(session, results, now)
        await _keep_evidence(session, fenced, now)
    await journal.record_all(session, [_sent_entry(result, now) for result in settled])
    await tell(session, ((each.claim.organization_id, each.claim.id) for each in settled))
    await session.execute(
        update(NUMBERS)
        .where(NUMBERS.c.id.in_([result.claim.number_id for result in settled]))
        .values(last_send_at=now, unacknowledged=NUMBERS.c.unacknowledged + 1)
    )


def _message_id(result: Result) -> str:
    assert isinstance(result.outcome, Sent)
    return result.outcome.message_id


def _sent_entry(result: Result, now: datetime) -> journal.Entry:
    data: dict[str, Any] = {"status": "sent", "gatewayMessageId": _message_id(result)}
    if result.claim.attempts:
        data["attempts"] = result.claim.attempts
    return journal.Entry(
        action="message.sent",
        actor=SYSTEM,
        organization_id=result.claim.organization_id,
        subject="message",
        subject_id=result.claim.id,
        at=now,
        data=data,
    )


async def _sort_out(
    session: AsyncSession, results: Sequence[Result], now: datetime
) -> tuple[list[Result], list[Result]]:
    """Which results this transaction has just stored, and which were fenced off."""
    statement = select(MESSAGES.c.id).where(
        MESSAGES.c.id.in_([result.claim.id for result in results]),
        MESSAGES.c.status == "sent",
        MESSAGES.c.updated_at == now,
    )
    stored = set(await session.scalars(statement))
    return (
        [result for result in results if result.claim.id in stored],
        [result for result in results if result.claim.id not in stored],
    )


async def _keep_evidence(session: AsyncSession, fenced: Sequence[Result], now: datetime) -> None:
    """Its claim was given to somebody else, and yet this request sent the message."""
    by_id = {result.claim.id: result for result in fenced}
    rows = await fetch(session, for_change().where(MESSAGES.c.id.in_(by_id)))
    for row in rows:
        evidence = _message_id(by_id[row.id])
        logger.warning("message.late_answer", message=str(row.id), status=row.status)
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
            logger.warning("message.late_answer", message=str(row.id), status=row.status)
            continue
        steps.append(Step(row, _change(row, result, now, policy)))
    await write(session, steps, actor=SYSTEM, now=now)
    await hold_lanes(session, steps, now)
    await _note_gateways(session, results, now)


def _change(row: MessageRow, result: Result, now: datetime, policy: Policy) -> Change:
    facts = row.facts()
    match result.outcome:
        case Withheld():
            return rules.withheld(facts, now=now, policy=policy)
        case Refusal():
            return rules.refused(facts, result.outcome)
        case _:
            return rules.after_send(facts, result.outcome, now=now, roll=result.roll, policy=policy)


_GATEWAY_FAILED: Final[Mapping[NotSentReason, str]] = {
    NotSentReason.UNREACHABLE: "unreachable",
    NotSentReason.TIMEOUT_BEFORE_WRITE: "unreachable",
    NotSentReason.UNAUTHORIZED: "auth",
    NotSentReason.ROUTE_MISSING: "route_missing",
}


async def _note_gateways(session: AsyncSession, results: Sequence[Result], now: datetime) -> None:
    failures: dict[UUID, NotSent] = {}
    for result in results:
        outcome = result.outcome
        if isinstance(outcome, NotSent) and outcome.reason in _GATEWAY_FAILED:
            failures[result.claim.gateway_id] = outcome
    for gateway_id, outcome in sorted(failures.items()):
        code = _GATEWAY_FAILED[outcome.reason]
        await note_failure(session, gateway_id, code=code, detail=outcome.detail, now=now)
