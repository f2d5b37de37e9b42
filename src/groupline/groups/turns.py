"""Who may sync a number: one run at a time, which says again and again that it is alive.

A process that dies leaves a turn that ends by itself. One that is only slow may lose its turn to
another: whoever writes looks first whether the turn is still its own.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Database
from groupline.models import Gateway, Lease, WhatsappNumber, WhatsappSession

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 15
"""So long after a process died nobody else can sync the number it was at."""
RENEWED_EVERY_SECONDS: Final = 5

_LEASE = timedelta(seconds=LEASE_SECONDS)


@dataclass(frozen=True, slots=True)
class Pairing:
    """A number, the session it is connected through, and the gateway of that."""

    number: WhatsappNumber
    session: WhatsappSession | None
    gateway: Gateway | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A sync under way."""

    since: datetime
    fetched: int | None
    """The groups that it is saving; ``None`` until the gateway has answered."""
    ends_at: datetime
    """Unless it is renewed before."""


async def find_pairing(
    session: AsyncSession, organization_id: UUID, number_id: UUID
) -> Pairing | None:
    """``None`` if the organization has no such number."""
    row = (
        await session.execute(
            select(WhatsappNumber, WhatsappSession, Gateway)
            .outerjoin(
                WhatsappSession,
                (WhatsappSession.organization_id == WhatsappNumber.organization_id)
                & (WhatsappSession.number_id == WhatsappNumber.id)
                & (WhatsappSession.status == "connected"),
            )
            .outerjoin(Gateway, Gateway.id == WhatsappSession.gateway_id)
            .where(WhatsappNumber.organization_id == organization_id)
            .where(WhatsappNumber.id == number_id)
        )
    ).one_or_none()
    return None if row is None else Pairing(*row)


async def take_turn(session: AsyncSession, number_id: UUID, owner: str, now: datetime) -> bool:
    """Whether this run may sync the number: one that is under way goes first."""
    if await running(session, [number_id], now):
        return False  # without waiting for it, should it be writing
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = {"owner": owner, "begun_at": now, "expires_at": now + _LEASE}
    statement = (
        insert(Lease)
        .values(name=_name(number_id), **new)
        .on_conflict_do_update(
            index_elements=["name"],
            set_=new | {"progress": None},
            where=Lease.expires_at <= now,
        )
        .returning(Lease.owner)
    )
    return (await session.execute(statement)).one_or_none() is not None


@asynccontextmanager
async def kept(
    database: Database, number_id: UUID, owner: str, clock: Clock
) -> AsyncIterator[None]:
    """Holds the turn for as long as the work inside takes; the process itself has to live."""
    renewing = asyncio.create_task(_renew_on(database, number_id, owner, clock))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])


async def _renew_on(database: Database, number_id: UUID, owner: str, clock: Clock) -> None:
    has_turn = True
    while has_turn:
        await clock.sleep(RENEWED_EVERY_SECONDS)
        try:
            async with database.writing() as session:
                has_turn = await renew_turn(session, number_id, owner, clock.now())
        except (SQLAlchemyError, OSError):
            # The next time is soon; and should all of them fail, the turn is lost, not misused.
            log.exception("groups.turn_not_renewed", number_id=str(number_id))


async def renew_turn(session: AsyncSession, number_id: UUID, owner: str, now: datetime) -> bool:
    """Whether the run still has its turn."""
    renewed = await session.execute(
        update(Lease)
        .where(Lease.name == _name(number_id), Lease.owner == owner)
        .values(expires_at=now + _LEASE)
    )
    return bool(renewed.rowcount)  # type: ignore[attr-defined]  # an UPDATE answers with a count


async def still_has_turn(session: AsyncSession, number_id: UUID, owner: str) -> bool:
    """Asked in the transaction that writes: a run that was too slow must not write late."""
    holder = select(Lease.owner).where(Lease.name == _name(number_id)).with_for_update()
    return await session.scalar(holder) == owner


async def note_fetched(session: AsyncSession, number_id: UUID, owner: str, groups: int) -> None:
    """The gateway has answered, and this many groups are to be saved."""
    await session.execute(
        update(Lease)
        .where(Lease.name == _name(number_id), Lease.owner == owner)
        .values(progress=groups)
    )


async def end_turn(session: AsyncSession, number_id: UUID, owner: str) -> None:
    await session.execute(delete(Lease).where(Lease.name == _name(number_id), Lease.owner == owner))


async def running(
    session: AsyncSession, number_ids: Collection[UUID], now: datetime
) -> dict[UUID, Turn]:
    """The numbers that are being synced now, and how far that is."""
    if not number_ids:
        return {}
    names = {_name(number_id): number_id for number_id in number_ids}
    rows = await session.execute(
        select(Lease.name, Lease.begun_at, Lease.expires_at, Lease.progress).where(
            Lease.name.in_(names), Lease.expires_at > now
        )
    )
    return {
        names[name]: Turn(begun_at or expires_at - _LEASE, progress, expires_at)
        for name, begun_at, expires_at, progress in rows
    }


def _name(number_id: UUID) -> str:
    return f"groups.sync:{number_id}"
