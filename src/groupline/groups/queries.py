"""Reading groups: pages of a list, search, one group, the choice of a person."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Uuid,
    and_,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    table,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.groups.names import indexed_words, search_words
from groupline.groups.schemas import (
    GroupCursor,
    GroupFilter,
    GroupPage,
    GroupView,
    MembershipView,
)
from groupline.models import WhatsappGroup, WhatsappMembership, WhatsappNumber

MAX_COUNTED: Final = 10_000
_PORTION: Final = 500

# Looking rows up one by one is slower than reading all names once a word is this common.
_COMMON: Final = 2_000
_FEW: Final = 1_000
"""So many groups of a number are sorted as soon as read; the first of more are found in order."""
_INDEX: Final = table("whatsapp_groups_search", column("search_name"), column("group_id", Uuid()))
_ONE: Final[ColumnElement[int]] = literal_column("1")
_MATCHES: Final[ColumnElement[Any]] = literal_column("whatsapp_groups_search")

_BY_NAME: Final = (WhatsappGroup.search_name, WhatsappGroup.id)
_GROUP_COLUMNS: Final = (
    WhatsappGroup.id,
    WhatsappGroup.group_jid,
    WhatsappGroup.group_name,
    WhatsappGroup.search_name,
    WhatsappGroup.participant_count,
    WhatsappGroup.is_community,
    WhatsappGroup.is_community_announce,
    WhatsappGroup.announce_only,
    WhatsappGroup.invite_link,
    WhatsappGroup.synced_at,
)


async def list_groups(
    session: AsyncSession,
    organization_id: UUID,
    wanted: GroupFilter,
    *,
    after: GroupCursor | None = None,
    limit: int = 50,
) -> GroupPage:
    """One page, by name. Words that differ only in case or accents are the same."""
    matching = await _matching(session, organization_id, wanted)
    statement = matching.first(*_GROUP_COLUMNS).order_by(*_BY_NAME).limit(limit + 1)
    if after is not None:
        last = tuple_(after.search_name, after.group_id)
        statement = statement.where(tuple_(*_BY_NAME) > last)
    rows = (await session.execute(statement)).all()
    more = len(rows) > limit
    views = await _views(session, organization_id, rows[:limit], wanted.number_id)
    # A first page that holds everything has counted it.
    is_all = after is None and not more
    total = len(rows) if is_all else await _count(session, matching)
    return GroupPage(views, total, views[-1].cursor if more else None)


async def get_group(
    session: AsyncSession, organization_id: UUID, group_id: UUID
) -> GroupView | None:
    """With all its memberships; ``None`` if the organization has no such group."""
    rows = await session.execute(
        select(*_GROUP_COLUMNS)
        .where(WhatsappGroup.organization_id == organization_id)
        .where(WhatsappGroup.id == group_id)
    )
    views = await _views(session, organization_id, rows.all(), None)
    return views[0] if views else None


async def has_groups(session: AsyncSession, organization_id: UUID) -> bool:
    statement = select(exists().where(WhatsappGroup.organization_id == organization_id))
    return (await session.execute(statement)).scalar_one()


async def groups_by_ids(
    session: AsyncSession,
    organization_id: UUID,
    group_ids: Collection[UUID],
    number_id: UUID | None = None,
) -> tuple[GroupView, ...]:
    """Those of the ids that are groups of the organization, by name."""
    found: list[Any] = []
    for some in _portions(group_ids):
        statement = (
            select(*_GROUP_COLUMNS)
            .where(WhatsappGroup.organization_id == organization_id)
            .where(WhatsappGroup.id.in_(some))
        )
        found += (await session.execute(statement)).all()
    found.sort(key=lambda row: (row.search_name, row.id))
    return await _views(session, organization_id, found, number_id)


def _portions(group_ids: Collection[UUID]) -> Iterator[list[UUID]]:
    """Databases take so many values in a statement, and no more."""
    ids = list(dict.fromkeys(group_ids))
    for start in range(0, len(ids), _PORTION):
        yield ids[start : start + _PORTION]


async def matching_count(
    session: AsyncSession, organization_id: UUID, wanted: GroupFilter
) -> int | None:
    """How many the filter matches; ``None`` for more than are counted."""
    return await _count(session, await _matching(session, organization_id, wanted))


async def ids_of(session: AsyncSession, organization_id: UUID, wanted: GroupFilter) -> list[UUID]:
    """All groups that the filter matches, by name: what "select all" selects."""
    matching = await _matching(session, organization_id, wanted)
    return list(await session.scalars(matching.all(WhatsappGroup.id).order_by(*_BY_NAME)))


# What matches


@dataclass(frozen=True, slots=True)
class _Matching:
    """Selects columns of the groups that match, in the way that suits what is wanted of them."""

    wanted: GroupFilter
    conditions: Sequence[ColumnElement[bool]]
    """On the group itself."""
    members: int | None
    """How many groups the number is in, if the filter names one; ``None`` for too many to count."""
    is_looked_up: bool
    """The words are so rare that their index names the few groups that are worth a look."""

    def all(self, *columns: Any) -> Select[Any]:
        """To be read to the end."""
        statement = select(*columns).select_from(WhatsappGroup).where(*self.conditions)
        if self.wanted.number_id is None:
            return statement.where(*_of_any_number(self.wanted))
        return statement.join(WhatsappMembership, _is_membership()).where(
            *_of_number(self.wanted), *_can_be_sent_to(self.wanted)
        )

    def first(self, *columns: Any) -> Select[Any]:
        """To be read in the order of names until a page is full: of a number that is in many
        groups the next one is never far, and to sort all of them first would take longer."""
        if not self._is_of_many:
            return self.all(*columns)
        has = _has_membership(*_of_number(self.wanted), *_can_be_sent_to(self.wanted))
        return select(*columns).select_from(WhatsappGroup).where(*self.conditions, has)

    def counted(self) -> Select[Any]:
        """A row for each. Of a number that is in many groups each group is looked up: the planner
        would rather read those of the whole organization."""
        if not self._is_of_many:
            return self.all(_ONE)
        fits = and_(*self.conditions, *_can_be_sent_to(self.wanted))
        group = select(fits).where(WhatsappGroup.id == WhatsappMembership.group_id)
        return (
            select(_ONE)
            .select_from(WhatsappMembership)
            .where(*_of_number(self.wanted), group.correlate(WhatsappMembership).scalar_subquery())
        )

    @property
    def counts_members(self) -> bool:
        """Whether the groups of the number are all that is asked for."""
        wanted = self.wanted
        return wanted.number_id is not None and wanted.sendable is None and not wanted.query.strip()

    @property
    def _is_of_many(self) -> bool:
        is_few = self.members is not None and self.members <= _FEW
        return self.wanted.number_id is not None and not is_few and not self.is_looked_up


async def _matching(session: AsyncSession, organization_id: UUID, wanted: GroupFilter) -> _Matching:
    words = search_words(wanted.query)
    conditions = [WhatsappGroup.organization_id == organization_id, *map(_contains, words)]
    lookup: list[ColumnElement[bool]] = []
    if session.get_bind().dialect.name == "sqlite":
        lookup = await _by_index(session, indexed_words(words))
    members: int | None = 0
    if wanted.number_id is not None:
        of_number = WhatsappMembership.organization_id == organization_id, *_of_number(wanted)
        members = await _count_rows(session, select(_ONE).where(*of_number))
    return _Matching(wanted, [*conditions, *lookup], members, is_looked_up=bool(lookup))


async def _count(session: AsyncSession, matching: _Matching) -> int | None:
    if matching.counts_members:
        return matching.members
    return await _count_rows(session, matching.counted())


async def _count_rows(session: AsyncSession, rows: Select[Any]) -> int | None:
    """Counting goes through all that match: at some point nobody wants to know any more."""
    some = rows.limit(MAX_COUNTED + 1).subquery()
    total = (await session.execute(select(func.count()).select_from(some))).scalar_one()
    return None if total > MAX_COUNTED else total


def _contains(word: str) -> ColumnElement[bool]:
    # PostgreSQL answers this from its trigram index, where it could be created.
    return WhatsappGroup.search_name.contains(word, autoescape=True, escape="\\")


async def _by_index(session: AsyncSession, words: Sequence[str]) -> list[ColumnElement[bool]]:
    """On SQLite the index is a table of its own, and somebody has to decide to use it."""
    if not words:
        return []
    match = _MATCHES.op("MATCH")(
        " AND ".join('"' + word.replace('"', '""') + '"' for word in words)
    )
    some = select(_ONE).select_from(_INDEX).where(match).limit(_COMMON + 1).subquery()
    if (await session.execute(select(func.count()).select_from(some))).scalar_one() > _COMMON:
        return []
    return [WhatsappGroup.id.in_(select(_INDEX.c.group_id).where(match))]


def _of_number(wanted: GroupFilter) -> list[ColumnElement[bool]]:
    """On the membership of the number."""
    conditions = [WhatsappMembership.number_id == wanted.number_id]
    if wanted.active is not None:
        conditions.append(WhatsappMembership.is_active.is_(wanted.active))
    return conditions


def _can_be_sent_to(wanted: GroupFilter) -> list[ColumnElement[bool]]:
    """On the group and the membership of the number."""
    if wanted.sendable is None:
        return []
    can = and_(~WhatsappGroup.is_community, *may_write())
    return [can if wanted.sendable else ~can]


def _of_any_number(wanted: GroupFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.active is not None:
        is_in = _has_membership(WhatsappMembership.is_active.is_(True))
        conditions.append(is_in if wanted.active else ~is_in)
    if wanted.sendable is not None:
        can = and_(~WhatsappGroup.is_community, _has_membership(*may_write()))
        conditions.append(can if wanted.sendable else ~can)
    return conditions


def _has_membership(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(_is_membership(), *conditions)


def _is_membership() -> ColumnElement[bool]:
    return and_(
        WhatsappMembership.organization_id == WhatsappGroup.organization_id,
        WhatsappMembership.group_id == WhatsappGroup.id,
    )


def may_write() -> tuple[ColumnElement[bool], ...]:
    """For a statement over groups and memberships: this membership can send to this group.

    The group must also not be a community parent. The same rule as ``rules.unsendable``.
    """
    admins_only = or_(WhatsappGroup.announce_only, WhatsappGroup.is_community_announce)
    return (
        WhatsappMembership.is_active.is_(True),
        or_(~admins_only, WhatsappMembership.is_admin),
    )


# Rows into views


async def _views(
    session: AsyncSession,
    organization_id: UUID,
    rows: Sequence[Any],
    number_id: UUID | None,
) -> tuple[GroupView, ...]:
    memberships: dict[UUID, list[MembershipView]] = {row.id: [] for row in rows}
    for membership in await _memberships(session, organization_id, memberships):
        memberships[membership.group_id].append(membership)
    return tuple(_view(row, memberships[row.id], number_id) for row in rows)


def _view(row: Any, memberships: Sequence[MembershipView], number_id: UUID | None) -> GroupView:
    return GroupView(
        id=row.id,
        jid=row.group_jid,
        name=row.group_name,
        search_name=row.search_name,
        participant_count=row.participant_count,
        is_community=row.is_community,
        is_community_announce=row.is_community_announce,
        announce_only=row.announce_only,
        invite_link=row.invite_link,
        synced_at=row.synced_at,
        memberships=tuple(memberships),
        number_id=number_id,
    )


async def _memberships(
    session: AsyncSession, organization_id: UUID, group_ids: Collection[UUID]
) -> list[MembershipView]:
    found: list[MembershipView] = []
    for some in _portions(group_ids):
        rows = await session.execute(
            select(
                WhatsappMembership.group_id,
                WhatsappMembership.number_id,
                WhatsappNumber.phone_number,
                WhatsappNumber.display_name,
                WhatsappMembership.is_admin,
                WhatsappMembership.is_active,
                WhatsappMembership.missing_since,
            )
            .join(
                WhatsappNumber,
                (WhatsappNumber.organization_id == WhatsappMembership.organization_id)
                & (WhatsappNumber.id == WhatsappMembership.number_id),
            )
            .where(WhatsappMembership.organization_id == organization_id)
            .where(WhatsappMembership.group_id.in_(some))
            .order_by(WhatsappNumber.created_at, WhatsappNumber.id)
        )
        found += [MembershipView(*row) for row in rows]
    return found
