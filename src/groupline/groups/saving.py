"""The statements of a sync: how groups and memberships are read and written."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ClauseElement,
    ColumnElement,
    Table,
    Update,
    bindparam,
    case,
    false,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.types import NullType

from groupline.db import UtcDateTime
from groupline.gateways.port import GatewayGroup
from groupline.groups.bulk import execute_many
from groupline.groups.names import search_name
from groupline.groups.rules import KnownGroup, RowId, only_admins_write
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
    rows = await (await session.connection()).execute(
        select(
            _GROUPS.c.group_jid,
            # Thousands of ids are read, and few of them are needed: none is taken apart.
            type_coerce(_GROUPS.c.id, NullType()),
            type_coerce(_MEMBERSHIPS.c.id, NullType()),
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
    return {row[0]: KnownGroup._make(row[1:]) for row in rows.all()}


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
    said = _said_of(groups) | {"b_search": [search_name(each.name, each.jid) for each in groups]}
    ids: dict[str, list[Any]] = {"b_id": [new_id() for _ in groups]}
    await execute_many(session, _group_upsert(session, organization_id, at), ids | said)
    members = {
        "b_id": [new_id() for _ in groups],
        "b_jid": said["b_jid"],
        "b_admin": [group.is_admin for group in groups],
    }
    upsert = _membership_upsert(session, organization_id, number_id, at)
    await execute_many(session, upsert, members)


async def recount_groups(
    session: AsyncSession,
    organization_id: UUID,
    recounted: Collection[tuple[RowId, int]],
    at: datetime,
) -> None:
    """Only the numbers of participants are new."""
    known = _GROUPS.c
    statement = (
        update(_GROUPS)
        .where(known.organization_id == organization_id)
        .where(known.id == bindparam("b_id"))
        .where(_is_older(known, at))
        .values(participant_count=bindparam("b_participants"), synced_at=at)
    )
    columns: dict[str, list[Any]] = {
        "b_id": [group_id for group_id, _ in recounted],
        "b_participants": [count for _, count in recounted],
    }
    await execute_many(session, statement, columns)


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
    statement = _group_update(organization_id, at)
    renamed = [group for group, is_new_name in changed if is_new_name]
    searched: dict[str, list[Any]] = {
        "b_search": [search_name(each.name, each.jid) for each in renamed]
    }
    await execute_many(session, statement.values(**names), _said_of(renamed) | searched)
    others = [group for group, is_new_name in changed if not is_new_name]
    await execute_many(session, statement, _said_of(others))


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
    moved: Collection[tuple[RowId, bool | None]],
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
    columns: dict[str, list[Any]] = {
        "b_id": [membership_id for membership_id, _ in moved],
        "b_admin": [is_admin for _, is_admin in moved],
    }
    await execute_many(session, statement, columns)


def _said_of(groups: Collection[GatewayGroup]) -> dict[str, list[Any]]:
    """What the gateway said, in columns."""
    return {
        "b_jid": [group.jid for group in groups],
        "b_name": [group.name for group in groups],
        "b_participants": [group.participant_count for group in groups],
        "b_community": [group.is_community for group in groups],
        "b_announce": [group.is_community_announce for group in groups],
        "b_admins_only": [only_admins_write(group) for group in groups],
        "b_link": [group.invite_link for group in groups],
    }


def _group_upsert(session: AsyncSession, organization_id: UUID, at: datetime) -> ClauseElement:
    known = _GROUPS.c
    statement = _insert(session, _GROUPS).values(
        id=bindparam("b_id", type_=known.id.type),
        organization_id=organization_id,
        group_jid=bindparam("b_jid", type_=known.group_jid.type),
        group_name=bindparam("b_name", type_=known.group_name.type),
        search_name=bindparam("b_search", type_=known.search_name.type),
        participant_count=bindparam("b_participants", type_=known.participant_count.type),
        is_community=_said("b_community", false()),
        is_community_announce=_said("b_announce", false()),
        announce_only=_said("b_admins_only", false()),
        invite_link=bindparam("b_link", type_=known.invite_link.type),
        synced_at=at,
        created_at=at,
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
    upsert: ClauseElement = statement.on_conflict_do_update(
        index_elements=["organization_id", "group_jid"],
        set_=merged | {"synced_at": new.synced_at},
        where=_is_older(known, new.synced_at) & _differs(known, merged),
    )
    return upsert


def _membership_upsert(
    session: AsyncSession, organization_id: UUID, number_id: UUID, at: datetime
) -> ClauseElement:
    known, groups = _MEMBERSHIPS.c, _GROUPS.c
    told_at = literal(at, UtcDateTime())
    row = select(
        bindparam("b_id", type_=known.id.type),
        groups.organization_id,
        literal(number_id, known.number_id.type),
        groups.id,
        _said("b_admin", false()),
        bindparam("b_active", True, type_=Boolean()),
        told_at,
        told_at,
    ).where(
        groups.organization_id == organization_id,
        groups.group_jid == bindparam("b_jid", type_=groups.group_jid.type),
    )
    columns = "id organization_id number_id group_id is_admin is_active synced_at created_at"
    statement = _insert(session, _MEMBERSHIPS).from_select(columns.split(), row)
    merged: dict[str, ColumnElement[Any]] = {
        "is_admin": _said("b_admin", known.is_admin),
        "is_active": statement.excluded.is_active,
    }
    upsert: ClauseElement = statement.on_conflict_do_update(
        index_elements=["number_id", "group_id"],
        set_=merged | {"missing_since": None, "synced_at": statement.excluded.synced_at},
        where=_is_older(known, statement.excluded.synced_at) & _differs(known, merged),
    )
    return upsert


async def deactivate(
    session: AsyncSession,
    organization_id: UUID,
    membership_ids: Collection[RowId],
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
    return await execute_many(session, statement, {"b_id": [*membership_ids]})


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
