"""Who may sync a number: one run at a time, for as long as a run can take."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.models import Gateway, Lease, WhatsappNumber, WhatsappSession

LEASE_SECONDS: Final = 180
"""Longer than the longest answer that a gateway is given time for, and the saving of it."""

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
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = (
        insert(Lease)
        .values(name=_name(number_id), owner=owner, expires_at=now + _LEASE)
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"owner": owner, "expires_at": now + _LEASE, "progress": None},
            where=Lease.expires_at <= now,
        )
        .returning(Lease.owner)
    )
    return (await session.execute(statement)).one_or_none() is not None


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
    names = {_name(number_id): number_id for number_id in number_ids}
    rows = await session.execute(
        select(Lease.name, Lease.expires_at, Lease.progress).where(
            Lease.name.in_(names), Lease.expires_at > now
        )
    )
    return {
        names[name]: Turn(since=expires_at - _LEASE, fetched=progress)
        for name, expires_at, progress in rows
    }


def _name(number_id: UUID) -> str:
    return f"groups.sync:{number_id}"
