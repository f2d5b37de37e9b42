"""Storing that messages were sent: what happens to almost all of them, many at a time."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import Announcement, Database, Statement, Unexpected, condensed, sqlite_values
from groupline.gateways.outcomes import Sent
from groupline.journal import SYSTEM
from groupline.messages.changes import tell, told_of
from groupline.messages.results import Result

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
        accepted_at = COALESCE(accepted_at, :now), sent_at = :now, updated_at = :now,
        error_code = NULL, error_message = NULL, vps_error = NULL,
        next_attempt_at = NULL, next_check_at = NULL, claim_token = NULL
    FROM ({results}) AS told
    WHERE scheduled_whatsapp_messages.id = told.message AND claim_token = told.token
"""
_NUMBERS: Final = {
    "sqlite": "SELECT value FROM json_each(:numbers)",
    "postgresql": "SELECT CAST(value AS uuid)"
    " FROM jsonb_array_elements_text(CAST(:numbers AS jsonb)) AS listed (value)",
}
_COUNT_SENT: Final = """
    UPDATE whatsapp_numbers SET last_send_at = :now, unacknowledged = unacknowledged + 1
    WHERE id IN ({numbers})
"""


@dataclass(frozen=True, slots=True)
class SentOnes:
    """What a transaction has to do, and to tell, so that results of sent messages are stored.

    A claim that is no longer its worker's own makes it fail with ``Unexpected``.
    """

    statements: Sequence[Statement]
    announcements: Sequence[Announcement]
    entries: Sequence[journal.Entry]

    def log(self) -> None:
        """Once it is committed."""
        journal.log(self.entries)


def sent_ones(dialect: str, results: Sequence[Result], now: datetime) -> SentOnes:
    if not results:
        return SentOnes((), (), ())
    entries = [_entry(each, now) for each in results]
    statements = [*storing(dialect, results, now), journal.insertion(dialect, entries)]
    return SentOnes(statements, _announcements(results), entries)


async def store_sent(database: Database, results: Sequence[Result], now: datetime) -> bool:
    """In one trip, if every claim is still its worker's own: it almost always is.

    False: one of them is not, and nothing was stored.
    """
    ones = sent_ones(database.dialect, results, now)
    try:
        await database.carry_out(ones.statements, ones.announcements)
    except Unexpected:
        return False
    ones.log()
    return True


async def write_sent(session: AsyncSession, results: Sequence[Result], now: datetime) -> None:
    """The same in the caller's transaction, for claims that are known to be their worker's own."""
    dialect = session.get_bind().dialect.name
    for each in storing(dialect, results, now):
        values = sqlite_values(each) if dialect == "sqlite" else each.values
        await session.execute(text(each.sql), values)
    await journal.record_all(session, [_entry(each, now) for each in results])
    await tell(session, ((each.claim.organization_id, each.claim.id) for each in results))


def evidence_of(result: Result) -> str:
    assert isinstance(result.outcome, Sent)
    return result.outcome.message_id


def storing(dialect: str, results: Sequence[Result], now: datetime) -> list[Statement]:
    """The statements themselves: their plans are tested on both databases.

    In the order of ids, in which everybody locks messages. A plan that looks each of them up keeps
    it, as it does for large tables; what another plan gets in the way of is done once more.
    """
    in_order = sorted(results, key=lambda each: each.claim.id)
    told = [[each.claim.id.hex, each.claim.token.hex, evidence_of(each)] for each in in_order]
    numbers = [each.claim.number_id.hex for each in results]
    return [
        Statement(
            _SET_SENT.format(results=_RESULTS[dialect]),
            {"results": json.dumps(told), "now": now},
            affects=len(results),
        ),
        Statement(
            _COUNT_SENT.format(numbers=_NUMBERS[dialect]),
            {"numbers": json.dumps(numbers), "now": now},
        ),
    ]


def _entry(result: Result, now: datetime) -> journal.Entry:
    assert isinstance(result.outcome, Sent)
    data: dict[str, Any] = {
        "status": "sent",
        "gatewayMessageId": result.outcome.message_id,
        "startedAt": result.claim.started_at.isoformat(),
    }
    if result.outcome.existing:
        data["existing"] = True
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


def _announcements(results: Sequence[Result]) -> list[Announcement]:
    messages = told_of((each.claim.organization_id, each.claim.id) for each in results)
    organizations = dict.fromkeys(each.claim.organization_id for each in results)
    return condensed([*messages, *(Announcement("journal", each, None) for each in organizations)])
