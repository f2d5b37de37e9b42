"""Numbers and sessions that contradict themselves, the clock, or what their gateway says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import Topic, announce
from groupline.doctor.findings import Finding
from groupline.doctor.paused import find_paused
from groupline.errors import GrouplineError, InvalidInput
from groupline.gateways.outcomes import ReadingFailed
from groupline.gateways.phone import display_phone, normalise_phone
from groupline.journal import Actor
from groupline.models import WhatsappNumber, WhatsappSession
from groupline.numbers import queries, rules
from groupline.numbers.account import record_end
from groupline.numbers.ask import ask, verify_session
from groupline.numbers.context import Context
from groupline.numbers.rules import Confirm, Connect, LogOutAgain, Note
from groupline.numbers.start import Target
from groupline.numbers.transitions import end_session, request_logout

_SWEEPER_MAY_TAKE: Final = timedelta(minutes=5)
_VERIFIER_MAY_TAKE: Final = timedelta(minutes=15)
_LOGOUT_MAY_TAKE: Final = timedelta(days=1)
_LOGOUTS_OF: Final = timedelta(days=7)
_CLOCKS_MAY_DIFFER: Final = timedelta(minutes=1)
_MAY_COME_BACK: Final = ("disconnected", "logged_out", "unknown_to_gateway")

_Session = WhatsappSession
_Number = WhatsappNumber


@dataclass(frozen=True, slots=True)
class _SessionCheck:
    name: str
    where: Callable[[datetime], tuple[ColumnElement[bool], ...]]
    problem: str
    remedy: str | None
    fix: Callable[[WhatsappSession, datetime], None] | None


def _expire(row: WhatsappSession, now: datetime) -> None:
    end_session(row, "expired", source="sweeper", at=now, now=now)
    request_logout(row, now)


def _ask_now(row: WhatsappSession, now: datetime) -> None:
    row.next_verify_at = now


def _set_back(row: WhatsappSession, now: datetime) -> None:
    row.status_at = now
    row.next_verify_at = now


_SESSION_CHECKS: Final = (
    _SessionCheck(
        "session.stuck",
        lambda now: (
            queries.IS_BEING_PAIRED,
            _Session.pairing_started_at <= now - rules.PAIRING_LASTS - _SWEEPER_MAY_TAKE,
        ),
        "It has been waiting for a scan for longer than a pairing lasts.",
        "It is ended, and the gateway is told.",
        _expire,
    ),
    _SessionCheck(
        "session.unscheduled",
        lambda _now: (_Session.status != "disconnected", _Session.next_verify_at.is_(None)),
        "Nobody asks the gateway whether it is still so.",
        "The gateway is asked now, and from then on as usual.",
        _ask_now,
    ),
    _SessionCheck(
        "session.overdue",
        lambda now: (
            _Session.status != "disconnected",
            _Session.next_verify_at <= now - _VERIFIER_MAY_TAKE,
        ),
        "The gateway should have been asked long ago. No worker seems to run.",
        None,
        None,
    ),
    _SessionCheck(
        "session.ahead",
        lambda now: (_Session.status_at > now + _CLOCKS_MAY_DIFFER,),
        "Its last report is in the future, so that every new one counts as outdated.",
        "The report is dated to now, and the gateway is asked.",
        _set_back,
    ),
    _SessionCheck(
        "session.logout_unconfirmed",
        lambda now: (
            _Session.logout_requested_at <= now - _LOGOUT_MAY_TAKE,
            _Session.logout_confirmed_at.is_(None),
        ),
        "It has ended, and its gateway has not confirmed the logout for a day: the phone may "
        "still show it as a linked device.",
        "The gateway is told again now.",
        _ask_now,
    ),
)


async def find_in_database(session: AsyncSession, now: datetime) -> list[Finding]:
    """Contradictions that the database shows by itself. Changes nothing."""
    findings = []
    for check in _SESSION_CHECKS:
        wrong = select(_Session).where(*check.where(now)).order_by(_Session.id)
        findings += [
            Finding(check.name, row.organization_id, "session", row.id, check.problem, check.remedy)
            for row in await session.scalars(wrong)
        ]
    findings += await _misspelt(session)
    findings += await _never_synced(session)
    findings += await _misremembered(session)
    findings += await find_paused(session, now)
    return findings


async def _misspelt(session: AsyncSession) -> list[Finding]:
    """Numbers that a report of the same phone would not find."""
    findings = []
    for row in await session.scalars(select(_Number).order_by(_Number.id)):
        right = _right_spelling(row.phone_number)
        if right == row.phone_number:
            continue
        if right is None:
            problem, remedy = "This is not a valid phone number.", None
        else:
            taken = await queries.find_number(session, row.organization_id, right)
            problem = f"The same phone is spelt {display_phone(right)} by its gateway."
            remedy = "The spelling is corrected."
            if taken is not None:
                problem += " Both spellings are numbers here: hand the work over to the right one."
                remedy = None
        findings.append(
            Finding("number.misspelt", row.organization_id, "number", row.id, problem, remedy)
        )
    return findings


def _right_spelling(phone: str) -> str | None:
    try:
        return normalise_phone(phone)
    except InvalidInput:
        return None


async def _never_synced(session: AsyncSession) -> list[Finding]:
    connected = exists().where(
        _Session.organization_id == _Number.organization_id,
        _Session.number_id == _Number.id,
        _Session.status == "connected",
    )
    rows = await session.scalars(
        select(_Number)
        .where(connected, _Number.synced_at.is_(None), _Number.groups_sync_due_at.is_(None))
        .order_by(_Number.id)
    )
    problem = "It is connected, and its groups have never been synced."
    return [
        Finding(
            "number.never_synced",
            row.organization_id,
            "number",
            row.id,
            problem,
            "A sync of its groups is asked for.",
        )
        for row in rows
    ]


async def _misremembered(session: AsyncSession) -> list[Finding]:
    """Numbers that are connected, and of which their own row tells something else."""
    serving = (
        (_Session.organization_id == _Number.organization_id)
        & (_Session.number_id == _Number.id)
        & (_Session.status == "connected")
    )
    wrong = _Number.last_connected_at.is_(None) | _Number.last_disconnected_at.is_not(None)
    rows = await session.scalars(
        select(_Number).join(_Session, serving).where(wrong).order_by(_Number.id)
    )
    return [
        Finding(
            "number.misremembered",
            row.organization_id,
            "number",
            row.id,
            "A session of it is connected, and the number remembers that it is not.",
            "It remembers the connection of that session.",
        )
        for row in rows
    ]


# --- what the gateways say ------------------------------------------------------------------


async def find_at_gateways(context: Context) -> list[Finding]:
    """Sessions of which a gateway says something else than we do. Changes nothing.

    A gateway that gives no answer contradicts nothing.
    """
    lately = context.clock.now() - _LOGOUTS_OF
    async with context.database.reading() as session:
        rows = (
            await session.execute(
                select(_Session, _Number.phone_number)
                .outerjoin(
                    _Number,
                    (_Number.organization_id == _Session.organization_id)
                    & (_Number.id == _Session.number_id),
                )
                .where(
                    (_Session.status != "disconnected")
                    | (_Session.logout_confirmed_at > lately)
                    | (
                        _Session.ended_reason.in_(_MAY_COME_BACK)
                        & (_Session.disconnected_at > lately)
                    )
                )
                .order_by(_Session.id)
            )
        ).all()
        gateways = await queries.gateways_by_id(session, [row[0].gateway_id for row in rows])
    turns = asyncio.Semaphore(10)

    async def compare(row: WhatsappSession, phone: str | None) -> Finding | None:
        async with turns:
            return await _compare(context, Target(row, gateways[row.gateway_id]), phone)

    found = await asyncio.gather(*(compare(row[0], row[1]) for row in rows))
    return [finding for finding in found if finding is not None]


async def _compare(context: Context, target: Target, phone: str | None) -> Finding | None:
    row, at = target.session, context.clock.now()
    reading = await ask(context, target)
    if isinstance(reading, ReadingFailed):
        return None
    decision = rules.decide(queries.facts_of(row), reading, at, context.clock.now())
    remedy = "The gateway's word is applied, as the verifier would."
    match decision:
        case Confirm() | Note():
            return None
        case Connect() if row.status != "connected":
            here = "has ended" if row.status == "disconnected" else "is still being paired"
            problem = f"Its gateway says that it is connected. Here it {here}."
        case Connect():
            if decision.phone in (None, phone):
                return None
            problem = "Its gateway says that another phone is linked."
        case LogOutAgain():
            problem = "It was logged out, and its gateway says that it is connected."
            remedy = "The gateway is told to log it out again."
        case _ if row.status != "connected":
            return None
        case _:
            problem = f"It is connected here. {getattr(decision, 'detail', '')}".rstrip()
    return Finding(
        "session.contradicts_gateway", row.organization_id, "session", row.id, problem, remedy
    )


# --- repairing ------------------------------------------------------------------------------


async def repair(context: Context, findings: Sequence[Finding], *, actor: Actor) -> list[Finding]:
    """Does what the remedies say, each in its own transaction, journaled. Answers what was done."""
    return [
        finding
        for finding in findings
        if finding.remedy is not None and await _REPAIRS[finding.check](context, finding, actor)
    ]


async def _repair_session(context: Context, finding: Finding, actor: Actor) -> bool:
    """Only what is still wrong is changed."""
    check = next(check for check in _SESSION_CHECKS if check.name == finding.check)
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await session.scalar(
            select(_Session)
            .where(
                _Session.organization_id == finding.organization_id,
                _Session.id == finding.subject_id,
                *check.where(now),
            )
            .with_for_update()
        )
        if row is None or check.fix is None:
            return False
        was_live = row.status != "disconnected"
        check.fix(row, now)
        await session.flush()
        if was_live and row.status == "disconnected":
            await record_end(session, row, was_connected=False, actor=actor, now=now)
        await _record(session, finding, actor, now)
    return True


async def _respell(context: Context, finding: Finding, actor: Actor) -> bool:
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await queries.get_number(session, finding.organization_id, finding.subject_id)
        right = _right_spelling(row.phone_number)
        if right is None or right == row.phone_number:
            return False
        if await queries.find_number(session, row.organization_id, right) is not None:
            return False
        row.phone_number = right
        await session.flush()
        await _record(session, finding, actor, now)
    return True


async def _remember(context: Context, finding: Finding, actor: Actor) -> bool:
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await queries.get_number(session, finding.organization_id, finding.subject_id)
        serving = await queries.connected_session(session, row.organization_id, row.id)
        if serving is None:
            return False  # it was disconnected meanwhile
        row.last_connected_at = serving.connected_at
        row.last_disconnected_at = row.last_ended_reason = None
        await session.flush()
        await _record(session, finding, actor, now)
    return True


async def _ask_for_sync(context: Context, finding: Finding, actor: Actor) -> bool:
    now = context.clock.now()
    async with context.database.writing() as session:
        row = await queries.get_number(session, finding.organization_id, finding.subject_id)
        row.groups_sync_due_at = row.groups_sync_due_at or now
        await session.flush()
        await _record(session, finding, actor, now)
    return True


async def _believe_the_gateway(context: Context, finding: Finding, actor: Actor) -> bool:
    try:
        await verify_session(context, finding.organization_id, finding.subject_id, actor=actor)
    except GrouplineError:
        return False  # it answered a moment ago; now it does not, and nothing was changed
    async with context.database.writing() as session:
        await _record(session, finding, actor, context.clock.now())
    return True


async def _record(session: AsyncSession, finding: Finding, actor: Actor, now: datetime) -> None:
    await journal.record(
        session,
        action="doctor.fixed",
        actor=actor,
        organization_id=finding.organization_id,
        subject=finding.subject,
        subject_id=finding.subject_id,
        data={"check": finding.check, "problem": finding.problem, "remedy": finding.remedy},
        at=now,
    )
    topic: Topic = "numbers" if finding.subject == "number" else "sessions"
    await announce(
        session, topic, organization_id=finding.organization_id, subject_id=finding.subject_id
    )


_Repair = Callable[[Context, Finding, Actor], Awaitable[bool]]
_REPAIRS: Final[dict[str, _Repair]] = {
    **{check.name: _repair_session for check in _SESSION_CHECKS},
    "number.misspelt": _respell,
    "number.never_synced": _ask_for_sync,
    "number.misremembered": _remember,
    "session.contradicts_gateway": _believe_the_gateway,
}
