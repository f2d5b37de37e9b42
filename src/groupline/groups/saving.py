"""The statements of a sync: who may run one, and how its rows are written."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Executable,
    Table,
    bindparam,
    case,
    delete,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from groupline.db import UtcDateTime
from groupline.gateways.port import GatewayGroup
from groupline.groups.names import search_name
from groupline.groups.rules import lease_name
from groupline.ids import new_id
from groupline.models import (
    Gateway,
    Lease,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)

LEASE_SECONDS: Final = 180
"""Longer than the longest answer that a gateway is given time for, and the saving of it."""

_LEASE = timedelta(seconds=LEASE_SECONDS)
_GROUPS: Final = cast("Table", WhatsappGroup.__table__)
_MEMBERSHIPS: Final = cast("Table", WhatsappMembership.__table__)


# Whose turn it is


@dataclass(frozen=True, slots=True)
class Pairing:
    """A number, the session it is connected through, and the gateway of that."""

    number: WhatsappNumber
    session: WhatsappSession | None
    gateway: Gateway | None


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
    statement = (
        _insert(session, Lease)
        .values(name=lease_name(number_id), owner=owner, expires_at=now + _LEASE)
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"owner": owner, "expires_at": now + _LEASE},
            where=Lease.expires_at <= now,
        )
        .returning(Lease.owner)
    )
    return (await session.execute(statement)).one_or_none() is not None


async def still_has_turn(session: AsyncSession, number_id: UUID, owner: str) -> bool:
    """Asked in the transaction that writes: a run that was too slow must not write late."""
    holder = select(Lease.owner).where(Lease.name == lease_name(number_id)).with_for_update()
    return await session.scalar(holder) == owner


async def end_turn(session: AsyncSession, number_id: UUID, owner: str) -> None:
    await session.execute(
        delete(Lease).where(Lease.name == lease_name(number_id), Lease.owner == owner)
    )


async def running_since(
    session: AsyncSession, number_ids: Collection[UUID], now: datetime
) -> dict[UUID, datetime]:
    """The numbers that are being synced now, and since when."""
    names = {lease_name(number_id): number_id for number_id in number_ids}
    rows = await session.execute(
        select(Lease.name, Lease.expires_at).where(Lease.name.in_(names), Lease.expires_at > now)
    )
    return {names[name]: expires_at - _LEASE for name, expires_at in rows}


async def lock_number(
    session: AsyncSession, organization_id: UUID, number_id: UUID
) -> WhatsappNumber:
    """What changes the memberships of a number does so one after the other."""
    return (
        await session.scalars(
            select(WhatsappNumber)
            .where(WhatsappNumber.organization_id == organization_id)
            .where(WhatsappNumber.id == number_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()


# What is written


async def active_memberships(
    session: AsyncSession, organization_id: UUID, number_id: UUID
) -> dict[str, UUID]:
    """The groups that the number is in: their jids, with the ids of the memberships."""
    rows = await session.execute(
        select(WhatsappGroup.group_jid, WhatsappMembership.id)
        .join(
            WhatsappGroup,
            (WhatsappGroup.organization_id == WhatsappMembership.organization_id)
            & (WhatsappGroup.id == WhatsappMembership.group_id),
        )
        .where(WhatsappMembership.organization_id == organization_id)
        .where(WhatsappMembership.number_id == number_id)
        .where(WhatsappMembership.is_active)
    )
    return {jid: membership_id for jid, membership_id in rows}  # noqa: C416 - rows are no pairs


async def count_active(session: AsyncSession, organization_id: UUID, number_id: UUID) -> int:
    statement = (
        select(func.count())
        .select_from(WhatsappMembership)
        .where(WhatsappMembership.organization_id == organization_id)
        .where(WhatsappMembership.number_id == number_id)
        .where(WhatsappMembership.is_active)
    )
    return (await session.execute(statement)).scalar_one()


async def upsert_groups(
    session: AsyncSession,
    organization_id: UUID,
    groups: Sequence[GatewayGroup],
    at: datetime,
) -> None:
    """Writes what is new or different. What the gateway did not say overwrites nothing.

    The rows come in the order of their jids: two syncs that write the same groups at once
    wait for each other and never both.
    """
    if not groups:
        return
    rows = [_group_row(organization_id, group, at) for group in groups]
    rows.sort(key=lambda row: row["b_jid"])
    await _execute_many(session, _group_upsert(session), rows)


def _group_row(organization_id: UUID, group: GatewayGroup, at: datetime) -> dict[str, Any]:
    return {
        "b_id": new_id(),
        "b_organization": organization_id,
        "b_jid": group.jid,
        "b_name": group.name,
        "b_search": search_name(group.name, group.jid),
        "b_participants": group.participant_count,
        "b_community": group.is_community,
        "b_announce": group.is_community_announce,
        "b_admins_only": group.announce_only,
        "b_link": group.invite_link,
        "b_at": at,
    }


def _group_upsert(session: AsyncSession) -> Executable:
    known = _GROUPS.c
    statement = _insert(session, _GROUPS).values(
        id=bindparam("b_id", type_=known.id.type),
        organization_id=bindparam("b_organization", type_=known.organization_id.type),
        group_jid=bindparam("b_jid", type_=known.group_jid.type),
        group_name=bindparam("b_name", type_=known.group_name.type),
        search_name=bindparam("b_search", type_=known.search_name.type),
        participant_count=bindparam("b_participants", type_=known.participant_count.type),
        is_community=_said("b_community", false()),
        is_community_announce=_said("b_announce", false()),
        announce_only=_said("b_admins_only", false()),
        invite_link=bindparam("b_link", type_=known.invite_link.type),
        synced_at=bindparam("b_at", type_=UtcDateTime()),
        created_at=bindparam("b_at", type_=UtcDateTime()),
    )
    new = statement.excluded
    merged: dict[str, ColumnElement[Any]] = {
        "group_name": func.coalesce(new.group_name, known.group_name),
        "search_name": case((new.group_name.is_(None), known.search_name), else_=new.search_name),
        "participant_count": func.coalesce(new.participant_count, known.participant_count),
        "is_community": _said("b_community", known.is_community),
        "is_community_announce": _said("b_announce", known.is_community_announce),
        "announce_only": _said("b_admins_only", known.announce_only),
        "invite_link": func.coalesce(new.invite_link, known.invite_link),
    }
    upsert: Executable = statement.on_conflict_do_update(
        index_elements=["organization_id", "group_jid"],
        set_=merged | {"synced_at": new.synced_at},
        where=_is_newer(known, new) & _differs(known, merged),
    )
    return upsert


async def upsert_memberships(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID,
    groups: Sequence[GatewayGroup],
    at: datetime,
) -> None:
    """The number is in these groups; the groups themselves are already written."""
    if not groups:
        return
    rows = [
        {
            "b_id": new_id(),
            "b_organization": organization_id,
            "b_number": number_id,
            "b_jid": group.jid,
            "b_admin": group.is_admin,
            "b_at": at,
        }
        for group in groups
    ]
    await _execute_many(session, _membership_upsert(session), rows)


def _membership_upsert(session: AsyncSession) -> Executable:
    known, groups = _MEMBERSHIPS.c, _GROUPS.c
    at = bindparam("b_at", type_=UtcDateTime())
    row = select(
        bindparam("b_id", type_=known.id.type),
        groups.organization_id,
        bindparam("b_number", type_=known.number_id.type),
        groups.id,
        _said("b_admin", false()),
        bindparam("b_active", True, type_=Boolean()),
        at,
        at,
    ).where(
        groups.organization_id == bindparam("b_organization", type_=groups.organization_id.type),
        groups.group_jid == bindparam("b_jid", type_=groups.group_jid.type),
    )
    columns = "id organization_id number_id group_id is_admin is_active synced_at created_at"
    statement = _insert(session, _MEMBERSHIPS).from_select(columns.split(), row)
    merged: dict[str, ColumnElement[Any]] = {
        "is_admin": _said("b_admin", known.is_admin),
        "is_active": statement.excluded.is_active,
    }
    upsert: Executable = statement.on_conflict_do_update(
        index_elements=["number_id", "group_id"],
        set_=merged | {"missing_since": None, "synced_at": statement.excluded.synced_at},
        where=_is_newer(known, statement.excluded) & _differs(known, merged),
    )
    return upsert


async def deactivate(
    session: AsyncSession,
    organization_id: UUID,
    membership_ids: Collection[UUID],
    at: datetime,
) -> int:
    """The number has left these groups; the rows stay, for the day that it comes back."""
    if not membership_ids:
        return 0
    statement = (
        update(_MEMBERSHIPS)
        .where(_MEMBERSHIPS.c.organization_id == organization_id)
        .where(_MEMBERSHIPS.c.id == bindparam("b_id"))
        .where(_MEMBERSHIPS.c.is_active)
        .where(or_(_MEMBERSHIPS.c.synced_at.is_(None), _MEMBERSHIPS.c.synced_at <= at))
        .values(is_active=False, missing_since=at, synced_at=at)
    )
    return await _execute_many(session, statement, [{"b_id": each} for each in membership_ids])


async def _execute_many(
    session: AsyncSession, statement: Executable, rows: Sequence[dict[str, Any]]
) -> int:
    """One statement for many rows, prepared once; past the ORM, which has no part in it."""
    connection = await session.connection()
    return (await connection.execute(statement, rows)).rowcount


def _said(parameter: str, otherwise: ColumnElement[Any]) -> ColumnElement[Any]:
    """What the gateway said of a yes-or-no field, else what is known or usual."""
    return func.coalesce(bindparam(parameter, type_=Boolean()), otherwise)


def _is_newer(
    known: "ReadOnlyColumnCollection[str, Any]", new: "ReadOnlyColumnCollection[str, Any]"
) -> ColumnElement[bool]:
    """A webhook may have told of a change after this list was made."""
    return or_(known.synced_at.is_(None), known.synced_at <= new.synced_at)


def _differs(
    known: "ReadOnlyColumnCollection[str, Any]", merged: dict[str, ColumnElement[Any]]
) -> ColumnElement[bool]:
    return or_(*(known[name].is_distinct_from(value) for name, value in merged.items()))


def _insert(session: AsyncSession, table: Any) -> Any:
    """Both databases know ``ON CONFLICT``; SQLAlchemy has it per dialect."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)
