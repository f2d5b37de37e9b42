"""Reports of a gateway that could not be placed, as its administrator reads them.

All organizations share a gateway, and what is said of their sessions stays theirs: of a report
that names no session of the organization that reads, only kind, time and outcome are shown. Who has
read a message is shown to nobody here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.chronicle.masking import masked_text
from groupline.inbound.reports import text_of
from groupline.models import InboundEvent, InboundKind, WhatsappGroup, WhatsappSession

Outcome = Literal["fits_several", "fits_none", "not_understood", "waiting"]
"""``waiting``: it fits nothing yet, and is tried again until it is a day old."""
Whose = Literal["own", "other", "nowhere", "unnamed"]
"""The session that it names: of this organization, of another one, or known nowhere here."""

UNPLACED: Final[tuple[Outcome, ...]] = ("fits_several", "fits_none", "not_understood")
LOOKED_THROUGH: Final = 50_000
"""A page looks through so many reports at most, of all gateways and outcomes."""
_LONGEST_WORDS: Final = 500

_TITLES: Final[Mapping[InboundKind, str]] = {
    "status": "The state of a session",
    "send_callback": "What became of a message",
    "message_error": "A message was rejected",
    "receipt": "Somebody got or read a message",
    "reaction": "A reaction to a message",
    "membership": "A change of a group's members",
    "unknown": "A kind of report that is not known",
}
_SAID: Final[Mapping[str, str]] = {
    "message_sent": "A message was sent",
    "message_failed": "A message was not sent",
    "message_error": "A message was rejected",
    "delivered": "A message was delivered",
    "read": "A message was read",
}


@dataclass(frozen=True, slots=True)
class UnplacedReport:
    id: UUID
    outcome: Outcome
    kind: InboundKind
    title: str
    received_at: datetime
    occurred_at: datetime | None
    tries: int
    next_try_at: datetime | None
    error: str | None
    """What went wrong here when it was applied: the name of it."""
    gateway_session_id: str | None
    session: Whose
    words: str | None
    """The gateway's own, without phone numbers in full."""
    message_id: str | None
    group_jid: str | None
    group_id: UUID | None
    group_name: str | None


@dataclass(frozen=True, slots=True)
class ReportPage:
    items: Sequence[UnplacedReport]
    next_before: UUID | None
    """The list goes on behind it, also where this page has nothing."""


async def unplaced_reports(
    session: AsyncSession,
    organization_id: UUID | None,
    gateway_id: UUID,
    *,
    outcome: Outcome | None = None,
    before: UUID | None = None,
    limit: int,
    look_through: int = LOOKED_THROUGH,
) -> ReportPage:
    """Newest first; without an outcome all but those that wait. ``organization_id`` reads, or, with
    ``None``, whoever has the database itself."""
    wanted = (outcome,) if outcome is not None else UNPLACED
    seen = _looked_through(before, look_through)
    statement = (
        select(seen.c.id)
        .where(seen.c.gateway_id == gateway_id, or_(*(_is(seen, each) for each in wanted)))
        .order_by(seen.c.id.desc())
        .limit(limit + 1)
    )
    ids = (await session.scalars(statement)).all()
    if len(ids) > limit:
        next_before: UUID | None = ids[limit - 1]
    else:
        next_before = await _end_of_view(session, before, look_through)
    items = await _read(session, organization_id, ids[:limit])
    return ReportPage(items, next_before)


async def count_waiting(session: AsyncSession, gateway_id: UUID) -> int:
    """How many fit nothing yet, and are tried again."""
    event = InboundEvent
    statement = select(func.count()).where(
        event.next_try_at.is_not(None), event.outcome == "unmatched", event.gateway_id == gateway_id
    )
    return (await session.execute(statement)).scalar_one()


# --- which ----------------------------------------------------------------------------------


def _looked_through(before: UUID | None, count: int) -> FromClause:
    """The next reports of all gateways. Ids grow with time: no other index is needed."""
    event = InboundEvent
    statement = select(event.id, event.gateway_id, event.kind, event.outcome, event.next_try_at)
    if before is not None:
        statement = statement.where(event.id < before)
    return statement.order_by(event.id.desc()).limit(count).subquery("looked_through")


async def _end_of_view(session: AsyncSession, before: UUID | None, count: int) -> UUID | None:
    """The last report that was looked through, if there are more behind it."""
    statement = select(InboundEvent.id).order_by(InboundEvent.id.desc())
    if before is not None:
        statement = statement.where(InboundEvent.id < before)
    ends = (await session.scalars(statement.offset(count - 1).limit(2))).all()
    return ends[0] if len(ends) == 2 else None


def _is(seen: FromClause, outcome: Outcome) -> ColumnElement[bool]:
    match outcome:
        case "fits_several":  # of a status without a time the gateway itself is asked
            return and_(seen.c.outcome == "ambiguous", seen.c.kind != "status")
        case "fits_none":
            return and_(seen.c.outcome == "unmatched", seen.c.next_try_at.is_(None))
        case "not_understood":
            return seen.c.outcome == "invalid"
        case "waiting":
            return and_(seen.c.outcome == "unmatched", seen.c.next_try_at.is_not(None))


def _outcome_of(event: InboundEvent) -> Outcome:
    if event.outcome == "ambiguous":
        return "fits_several"
    if event.outcome == "invalid":
        return "not_understood"
    return "fits_none" if event.next_try_at is None else "waiting"


# --- what is shown of them ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """To whom the sessions belong, and the groups of those whose reports are shown."""

    organizations: Mapping[str, UUID]
    groups: Mapping[tuple[UUID, str], tuple[UUID, str | None]]

    def group(self, owner: UUID | None, jid: str | None) -> tuple[UUID | None, str | None]:
        if owner is None or jid is None:
            return None, None
        return self.groups.get((owner, jid), (None, None))


async def _read(
    session: AsyncSession, organization_id: UUID | None, ids: Sequence[UUID]
) -> list[UnplacedReport]:
    if not ids:
        return []
    statement = (
        select(InboundEvent).where(InboundEvent.id.in_(ids)).order_by(InboundEvent.id.desc())
    )
    events = (await session.scalars(statement)).all()
    known = await _known(session, organization_id, events)
    return [_shown(event, known, organization_id) for event in events]


async def _known(
    session: AsyncSession, organization_id: UUID | None, events: Sequence[InboundEvent]
) -> _Known:
    names = {event.gateway_session_id for event in events}
    rows = await session.execute(
        select(WhatsappSession.gateway_session_id, WhatsappSession.organization_id).where(
            WhatsappSession.gateway_id.in_({event.gateway_id for event in events}),
            WhatsappSession.gateway_session_id.in_(names),
        )
    )
    organizations = {row.gateway_session_id: row.organization_id for row in rows}
    readable = {organization_id} if organization_id is not None else {*organizations.values()}
    groups = await session.execute(
        select(
            WhatsappGroup.organization_id,
            WhatsappGroup.group_jid,
            WhatsappGroup.id,
            WhatsappGroup.group_name,
        ).where(
            WhatsappGroup.organization_id.in_(readable),
            WhatsappGroup.group_jid.in_({text_of(event.payload, "groupJid") for event in events}),
        )
    )
    return _Known(
        organizations,
        {(row.organization_id, row.group_jid): (row.id, row.group_name) for row in groups},
    )


def _shown(event: InboundEvent, known: _Known, organization_id: UUID | None) -> UnplacedReport:
    owner = known.organizations.get(event.gateway_session_id or "")
    whose = _whose(event, owner, organization_id)
    payload = event.payload if whose == "own" or organization_id is None else {}
    jid = text_of(payload, "groupJid")
    group_id, group_name = known.group(owner, jid)
    return UnplacedReport(
        id=event.id,
        outcome=_outcome_of(event),
        kind=event.kind,
        title=_SAID.get(text_of(payload, "event") or "", _TITLES[event.kind]),
        received_at=event.received_at,
        occurred_at=event.occurred_at,
        tries=event.tries,
        next_try_at=event.next_try_at,
        error=event.error,
        gateway_session_id=_session_name(event, whose),
        session=whose,
        words=_words(payload),
        message_id=text_of(payload, "messageId"),
        group_jid=jid,
        group_id=group_id,
        group_name=group_name,
    )


def _session_name(event: InboundEvent, whose: Whose) -> str | None:
    if event.gateway_session_id is None or whose == "other":
        return None
    return masked_text(event.gateway_session_id)


def _whose(event: InboundEvent, owner: UUID | None, organization_id: UUID | None) -> Whose:
    if event.gateway_session_id is None:
        return "unnamed"
    if owner is None:
        return "nowhere"
    return "own" if organization_id in (None, owner) else "other"


def _words(payload: Mapping[str, Any]) -> str | None:
    facts = dict(payload)
    said = text_of(facts, "event")
    parts = [
        said if said not in _SAID else None,
        text_of(facts, "status") if said is None else None,
        text_of(facts, "error", "errorMessage", "detail", "reason"),
    ]
    words = ": ".join(part for part in parts if part)
    return masked_text(words[:_LONGEST_WORDS]) or None
