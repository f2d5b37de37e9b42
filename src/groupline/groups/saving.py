"""The statements of a sync: how groups and memberships are read and written."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Executable,
    Table,
    Update,
    bindparam,
    case,
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
from groupline.groups.rules import KnownGroup, only_admins_write
from groupline.ids import new_id
from groupline.models import (
    Organization,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
)

_Columns = ReadOnlyColumnCollection[str, Any]
_GROUPS: Final = cast("Table", WhatsappGroup.__table__)
_MEMBERSHIPS: Final = cast("Table", WhatsappMembership.__table__)


async def lock_organization(session: AsyncSession, organization_id: UUID) -> None:
    """Syncs of one organization write one after the other: their numbers share groups."""
    await session.execute(
        select(Organization.id)
        .where(Organization.id == organization_id)
        .with_for_update(key_share=True)
    )


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


async def known_groups(
    session: AsyncSession, organization_id: UUID, number_id: UUID
) -> dict[str, KnownGroup]:
    """The groups that the number is or was in, by jid."""
    rows = await session.execute(
        select(
            _GROUPS.c.group_jid,
            _MEMBERSHIPS.c.id,
            _GROUPS.c.group_name,
            _GROUPS.c.participant_count,
            _GROUPS.c.is_community,
            _GROUPS.c.is_community_announce,
            _GROUPS.c.announce_only,
            _GROUPS.c.invite_link,
            _MEMBERSHIPS.c.is_admin,
            _MEMBERSHIPS.c.is_active,
        )
        .join(
            _GROUPS,
            (_GROUPS.c.organization_id == _MEMBERSHIPS.c.organization_id)
            & (_GROUPS.c.id == _MEMBERSHIPS.c.group_id),
        )
        .where(_MEMBERSHIPS.c.organization_id == organization_id)
        .where(_MEMBERSHIPS.c.number_id == number_id)
    )
    return {jid: KnownGroup(*facts) for jid, *facts in rows}


async def count_active(session: AsyncSession, organization_id: UUID, number_id: UUID) -> int:
    statement = (
        select(func.count())
        .select_from(WhatsappMembership)
        .where(WhatsappMembership.organization_id == organization_id)
        .where(WhatsappMembership.number_id == number_id)
        .where(WhatsappMembership.is_active)
    )
    return (await session.execute(statement)).scalar_one()


async def add_groups(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID,
    groups: Collection[GatewayGroup],
    at: datetime,
) -> None:
    """The number is in these for the first time. Another number may have been there before."""
    if not groups:
        return
    rows = [_group_row(organization_id, group, at) for group in groups]
    await _execute_many(session, _group_upsert(session), rows)
    members = [
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
    await _execute_many(session, _membership_upsert(session), members)


async def change_groups(
    session: AsyncSession,
    organization_id: UUID,
    changed: Collection[tuple[GatewayGroup, bool]],
    at: datetime,
) -> None:
    """Writes what the gateway said; what it did not say stays.

    Names are written only where they are new: they stand in two indexes.
    """
    names = {
        "group_name": _said("b_name", _GROUPS.c.group_name),
        "search_name": _said("b_search", _GROUPS.c.search_name),
    }
    for is_new_name, written in ((True, names), (False, {})):
        rows = [_said_of(group, is_new_name=new) for group, new in changed if new is is_new_name]
        statement = _group_update(organization_id, at).values(**written)
        await _execute_many(session, statement, rows)


def _group_update(organization_id: UUID, at: datetime) -> Update:
    known = _GROUPS.c
    return (
        update(_GROUPS)
        .where(known.organization_id == organization_id)
        .where(known.group_jid == bindparam("b_jid"))
        .where(_is_older(known, at))
        .values(
            participant_count=_said("b_participants", known.participant_count),
            is_community=_said("b_community", known.is_community),
            is_community_announce=_said("b_announce", known.is_community_announce),
            announce_only=_said("b_admins_only", known.announce_only),
            invite_link=_said("b_link", known.invite_link),
            synced_at=at,
        )
    )


async def move_memberships(
    session: AsyncSession,
    organization_id: UUID,
    moved: Collection[tuple[UUID, bool | None]],
    at: datetime,
) -> None:
    """The number is in these groups again, or in another role."""
    known = _MEMBERSHIPS.c
    statement = (
        update(_MEMBERSHIPS)
        .where(known.organization_id == organization_id)
        .where(known.id == bindparam("b_id"))
        .where(_is_older(known, at))
        .values(
            is_admin=_said("b_admin", known.is_admin),
            is_active=True,
            missing_since=None,
            synced_at=at,
        )
    )
    rows = [{"b_id": membership_id, "b_admin": is_admin} for membership_id, is_admin in moved]
    await _execute_many(session, statement, rows)


def _said_of(group: GatewayGroup, *, is_new_name: bool) -> dict[str, Any]:
    return {
        "b_jid": group.jid,
        "b_name": group.name,
        "b_search": search_name(group.name, group.jid) if is_new_name else None,
        "b_participants": group.participant_count,
        "b_community": group.is_community,
        "b_announce": group.is_community_announce,
        "b_admins_only": only_admins_write(group),
        "b_link": group.invite_link,
    }


def _group_row(organization_id: UUID, group: GatewayGroup, at: datetime) -> dict[str, Any]:
    said = _said_of(group, is_new_name=True)
    return said | {"b_id": new_id(), "b_organization": organization_id, "b_at": at}


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
        where=_is_older(known, new.synced_at) & _differs(known, merged),
    )
    return upsert


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
        where=_is_older(known, statement.excluded.synced_at) & _differs(known, merged),
    )
    return upsert


async def deactivate(
    session: AsyncSession,
    organization_id: UUID,
    membership_ids: Collection[UUID],
    at: datetime,
) -> int:
    """The number has left these groups; the rows stay, for the day that it comes back."""
    statement = (
        update(_MEMBERSHIPS)
        .where(_MEMBERSHIPS.c.organization_id == organization_id)
        .where(_MEMBERSHIPS.c.id == bindparam("b_id"))
        .where(_MEMBERSHIPS.c.is_active)
        .where(_is_older(_MEMBERSHIPS.c, at))
        .values(is_active=False, missing_since=at, synced_at=at)
    )
    return await _execute_many(session, statement, [{"b_id": each} for each in membership_ids])


async def _execute_many(
    session: AsyncSession, statement: Executable, rows: Sequence[dict[str, Any]]
) -> int:
    """One statement for many rows, prepared once; past the ORM, which has no part in it."""
    if not rows:
        return 0
    connection = await session.connection()
    return (await connection.execute(statement, rows)).rowcount


def _said(parameter: str, otherwise: ColumnElement[Any]) -> ColumnElement[Any]:
    """What the gateway said, else what is known or usual."""
    return func.coalesce(bindparam(parameter, type_=otherwise.type), otherwise)


def _is_older(known: _Columns, at: Any) -> ColumnElement[bool]:
    """A webhook may have told of a change after the list was made."""
    return or_(known.synced_at.is_(None), known.synced_at <= at)


def _differs(known: _Columns, merged: dict[str, ColumnElement[Any]]) -> ColumnElement[bool]:
    return or_(*(known[name].is_distinct_from(value) for name, value in merged.items()))


def _insert(session: AsyncSession, table: Any) -> Any:
    """Both databases know ``ON CONFLICT``; SQLAlchemy has it per dialect."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)
