"""All SQL on numbers and sessions. The organization comes first in every query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, exists, func, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.db import announce
from groupline.errors import NotFound
from groupline.models import (
    Base,
    Event,
    Gateway,
    NotificationCampaign,
    Organization,
    ScheduledWhatsappMessage,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)
from groupline.numbers.rules import PAIRING_LASTS, SessionFacts

PAIRING: Final = ("connecting", "qr_pending")
IS_BEING_PAIRED: Final = WhatsappSession.status.in_(
    [literal_column(f"'{status}'") for status in PAIRING]
)
"""In words that the partial index on these rows is recognised by."""
FOLLOWING: Final = ("workshops", "webinars", "campaigns", "groups", "messages", "organizations")
"""The kinds of what a number serves."""


def facts_of(row: WhatsappSession) -> SessionFacts:
    return SessionFacts(
        status=row.status,
        status_at=row.status_at,
        pairing_started_at=row.pairing_started_at,
        number_known=row.number_id is not None,
        ended_reason=row.ended_reason,
        doubted_at=row.doubted_at,
    )


# --- one session, one number ----------------------------------------------------------------


async def get_session(
    session: AsyncSession, organization_id: UUID, session_id: UUID
) -> WhatsappSession:
    row = await session.scalar(
        select(WhatsappSession).where(
            WhatsappSession.organization_id == organization_id, WhatsappSession.id == session_id
        )
    )
    if row is None:
        raise NotFound("There is no such session.")
    return row


async def lock_session(
    session: AsyncSession, organization_id: UUID, session_id: UUID
) -> WhatsappSession:
    """The row as it is now, and nobody else changes it before this transaction ends."""
    row = await session.scalar(
        select(WhatsappSession)
        .where(WhatsappSession.organization_id == organization_id, WhatsappSession.id == session_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("There is no such session.")
    return row


async def get_number(
    session: AsyncSession, organization_id: UUID, number_id: UUID, *, for_change: bool = False
) -> WhatsappNumber:
    """``for_change`` keeps others from changing it meanwhile; what refers to it may be written."""
    statement = select(WhatsappNumber).where(
        WhatsappNumber.organization_id == organization_id, WhatsappNumber.id == number_id
    )
    if for_change:
        statement = statement.with_for_update(key_share=True)
        statement = statement.execution_options(populate_existing=True)
    row = await session.scalar(statement)
    if row is None:
        raise NotFound("There is no such number.")
    return row


async def lock_number(session: AsyncSession, organization_id: UUID, number_id: UUID) -> None:
    """One beginning of a pairing for the number at a time. Taken after the row of a session."""
    await session.execute(
        select(WhatsappNumber.id)
        .where(WhatsappNumber.organization_id == organization_id, WhatsappNumber.id == number_id)
        .with_for_update()
    )


async def find_number(
    session: AsyncSession, organization_id: UUID, phone: str
) -> WhatsappNumber | None:
    row: WhatsappNumber | None = await session.scalar(
        select(WhatsappNumber).where(
            WhatsappNumber.organization_id == organization_id,
            WhatsappNumber.phone_number == phone,
        )
    )
    return row


async def lock_phone(session: AsyncSession, organization_id: UUID, phone: str) -> None:
    """One takeover of a phone at a time. Taken before any row, so that two cannot wait crosswise.

    SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        key = func.hashtextextended(f"{organization_id}:{phone}", 0)
        await session.execute(select(func.pg_advisory_xact_lock(key)))


async def session_by_gateway_id(
    session: AsyncSession, gateway_id: UUID, gateway_session_id: str
) -> WhatsappSession | None:
    """For what a gateway reports: it names its own session and knows no organization."""
    row: WhatsappSession | None = await session.scalar(
        select(WhatsappSession).where(
            WhatsappSession.gateway_id == gateway_id,
            WhatsappSession.gateway_session_id == gateway_session_id,
        )
    )
    return row


# --- the sessions of a number ---------------------------------------------------------------


def _of_number(organization_id: UUID, number_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (
        WhatsappSession.organization_id == organization_id,
        WhatsappSession.number_id == number_id,
    )


async def other_sessions(
    session: AsyncSession, row: WhatsappSession, number_id: UUID
) -> Sequence[WhatsappSession]:
    """Those that are, or may come back to be, the number's; locked."""
    return (
        await session.scalars(
            select(WhatsappSession)
            .where(
                *_of_number(row.organization_id, number_id),
                WhatsappSession.id != row.id,
                (WhatsappSession.status != "disconnected")
                | WhatsappSession.next_verify_at.is_not(None)
                | WhatsappSession.ended_reason.in_(("disconnected", "unknown_to_gateway")),
            )
            .order_by(WhatsappSession.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def was_served_before(
    session: AsyncSession, row: WhatsappSession, number: WhatsappNumber
) -> bool:
    """By another session, also one that is no longer in the history."""
    if number.last_connected_at is not None and row.connected_at is None:
        return True
    statement = select(
        exists().where(*_of_number(row.organization_id, number.id), WhatsappSession.id != row.id)
    )
    return bool(await session.scalar(statement))


async def note_disconnected(session: AsyncSession, row: WhatsappSession) -> None:
    """The number remembers how its connection ended, also without this session."""
    await session.execute(
        update(WhatsappNumber)
        .where(
            WhatsappNumber.organization_id == row.organization_id,
            WhatsappNumber.id == row.number_id,
        )
        .values(last_disconnected_at=row.disconnected_at, last_ended_reason=row.ended_reason)
    )


async def connected_session(
    session: AsyncSession, organization_id: UUID, number_id: UUID
) -> WhatsappSession | None:
    row: WhatsappSession | None = await session.scalar(
        select(WhatsappSession).where(
            *_of_number(organization_id, number_id), WhatsappSession.status == "connected"
        )
    )
    return row


async def last_pairing(
    session: AsyncSession, organization_id: UUID, number_id: UUID
) -> WhatsappSession | None:
    """The number's newest session that was really paired and not replaced since."""
    row: WhatsappSession | None = await session.scalar(
        select(WhatsappSession)
        .where(
            *_of_number(organization_id, number_id),
            func.coalesce(WhatsappSession.ended_reason, "").not_in(("replaced", "other_phone")),
        )
        .order_by(WhatsappSession.pairing_started_at.desc(), WhatsappSession.id.desc())
        .limit(1)
    )
    return row


async def pairing_for(
    session: AsyncSession, organization_id: UUID, number_id: UUID, now: datetime
) -> WhatsappSession | None:
    """The newest pairing under way that wants this number back."""
    row: WhatsappSession | None = await session.scalar(
        select(WhatsappSession)
        .where(
            WhatsappSession.organization_id == organization_id,
            (WhatsappSession.expected_number_id == number_id)
            | (WhatsappSession.number_id == number_id),
            IS_BEING_PAIRED,
            WhatsappSession.pairing_started_at > now - PAIRING_LASTS,
        )
        .order_by(WhatsappSession.created_at.desc(), WhatsappSession.id.desc())
        .limit(1)
    )
    return row


# --- what hangs on a number -----------------------------------------------------------------


def _count_of(entity: type[Base], *conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    statement = select(func.count()).select_from(entity).where(*conditions)
    return statement.correlate(WhatsappNumber).scalar_subquery()


async def following(
    session: AsyncSession, organization_id: UUID, number_ids: Sequence[UUID]
) -> dict[UUID, dict[str, int]]:
    """What each number serves, by kind. Nothing of it has to be touched by a reconnect."""
    number = WhatsappNumber.id

    def events(kind: str) -> ScalarSelect[int]:
        return _count_of(
            Event,
            Event.organization_id == organization_id,
            Event.number_id == number,
            Event.kind == kind,
            Event.status == "planned",
        )

    campaigns = _count_of(
        NotificationCampaign,
        NotificationCampaign.organization_id == organization_id,
        NotificationCampaign.number_id == number,
        NotificationCampaign.status.in_(("draft", "scheduled", "sending", "paused")),
    )
    groups = _count_of(
        WhatsappMembership,
        WhatsappMembership.organization_id == organization_id,
        WhatsappMembership.number_id == number,
        WhatsappMembership.is_active.is_(True),
    )
    # Without the organization, which the number implies, an index alone answers.
    messages = _count_of(
        ScheduledWhatsappMessage,
        ScheduledWhatsappMessage.number_id == number,
        ScheduledWhatsappMessage.status == "pending",
    )
    organizations = _count_of(
        Organization,
        Organization.id == organization_id,
        Organization.community_number_id == number,
    )
    rows = await session.execute(
        select(
            number,
            events("workshop").label("workshops"),
            events("webinar").label("webinars"),
            campaigns.label("campaigns"),
            groups.label("groups"),
            messages.label("messages"),
            organizations.label("organizations"),
        ).where(
            WhatsappNumber.organization_id == organization_id, WhatsappNumber.id.in_(number_ids)
        )
    )
    return {row.id: {name: row._mapping[name] for name in FOLLOWING} for row in rows}


# --- asking for a look ----------------------------------------------------------------------


async def ask_to_verify(
    session: AsyncSession,
    organization_id: UUID,
    now: datetime,
    *,
    older_than: timedelta,
    session_id: UUID | None = None,
) -> int:
    """Ask the verifier about live sessions whose proof is older than that. Answers how many."""
    stale = select(WhatsappSession.id).where(
        WhatsappSession.organization_id == organization_id,
        WhatsappSession.status != "disconnected",
        (WhatsappSession.verified_at.is_(None)) | (WhatsappSession.verified_at <= now - older_than),
        WhatsappSession.next_verify_at > now,
    )
    if session_id is not None:
        stale = stale.where(WhatsappSession.id == session_id)
    # Never waits for a row: a takeover that holds one may be waiting for another.
    result = await session.execute(
        update(WhatsappSession)
        .where(WhatsappSession.id.in_(stale.with_for_update(skip_locked=True)))
        .values(next_verify_at=now)
    )
    asked = int(result.rowcount)  # type: ignore[attr-defined]  # an UPDATE answers with a count
    if asked:
        await announce(session, "proofs", organization_id=organization_id, subject_id=session_id)
    return asked


async def ask_about(
    session: AsyncSession, organization_id: UUID, session_id: UUID, now: datetime
) -> None:
    """Ask the verifier about one live session at once: something has cast a doubt on it.

    For transactions that hold other rows: whoever holds this one is writing news about it.
    """
    live = select(WhatsappSession.id).where(
        WhatsappSession.organization_id == organization_id,
        WhatsappSession.id == session_id,
        WhatsappSession.status != "disconnected",
    )
    await session.execute(
        update(WhatsappSession)
        .where(WhatsappSession.id.in_(live.with_for_update(skip_locked=True)))
        .values(next_verify_at=now)
    )
    await announce(session, "proofs", organization_id=organization_id, subject_id=session_id)


async def gateways_by_id(session: AsyncSession, gateway_ids: Sequence[UUID]) -> dict[UUID, Gateway]:
    rows = await session.scalars(select(Gateway).where(Gateway.id.in_(set(gateway_ids))))
    return {row.id: row for row in rows}
