"""All SQL that reads the outbox for people and programs."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from groupline.db import is_among
from groupline.groups.names import search_words
from groupline.groups.rules import GroupFacts, MembershipFacts
from groupline.messages.actors import actor_names
from groupline.messages.refusals import target_refusal
from groupline.messages.schemas import (
    After,
    DisplayState,
    Filter,
    MessageView,
    SendableGroup,
    SendingNumber,
)
from groupline.models import (
    Event,
    MessageStatus,
    NotificationCampaign,
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)

message, group, member, number = (
    ScheduledWhatsappMessage,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
)

GOT_WITHOUT_A_NAME: Final = case(
    (
        message.anonymous_read_count > message.anonymous_delivered_count,
        message.anonymous_read_count,
    ),
    else_=message.anonymous_delivered_count,
)
"""Who has read it has also got it, as with those who have a name: of some only that is reported."""

_RENAMED: Final[Mapping[str, Any]] = {
    "anonymous_delivered_count": GOT_WITHOUT_A_NAME,
    "event_title": Event.title,
    "event_kind": Event.kind,
    "campaign_name": NotificationCampaign.name,
    "campaign_status": NotificationCampaign.status,
    "phone_number": number.phone_number,
    "number_name": number.display_name,
    "group_jid": group.group_jid,
    "group_name": group.group_name,
}


_BY_NAME: Final = "resolved_by_name"
"""Asked for only where somebody decided, which is rare."""


def _view() -> Select[Any]:
    columns = [
        _RENAMED.get(field.name, getattr(message, field.name, None))
        for field in fields(MessageView)
        if field.name != _BY_NAME
    ]
    return (
        select(*columns)
        .select_from(message)
        .join(group, group.id == message.group_id)
        .join(number, number.id == message.number_id)
        .outerjoin(Event, Event.id == message.event_id)
        .outerjoin(NotificationCampaign, NotificationCampaign.id == message.campaign_id)
    )


async def _views(
    session: AsyncSession, organization_id: UUID, statement: Select[Any]
) -> list[MessageView]:
    views = [MessageView(*row) for row in await session.execute(statement)]
    people = {each.resolved_by for each in views if each.resolved_by and each.rests_on_a_word}
    if not people:
        return views
    names = await actor_names(session, organization_id, people)
    return [replace(each, resolved_by_name=names.get(each.resolved_by or "")) for each in views]


async def get_view(
    session: AsyncSession, organization_id: UUID, message_id: UUID
) -> MessageView | None:
    statement = _view().where(message.organization_id == organization_id, message.id == message_id)
    views = await _views(session, organization_id, statement)
    return views[0] if views else None


async def get_views(
    session: AsyncSession, organization_id: UUID, ids: Sequence[UUID]
) -> list[MessageView]:
    """In the order in which they were written."""
    statement = (
        _view()
        .where(message.organization_id == organization_id, message.id.in_(ids))
        .order_by(message.id)
    )
    return await _views(session, organization_id, statement)


# --- lists ----------------------------------------------------------------------------------

_STATUS_OF: Final[Mapping[DisplayState, MessageStatus]] = {
    "scheduled": "pending",
    "waiting": "pending",
    "sending": "sending",
    "accepted": "accepted",
    "sent": "sent",
    "uncertain": "uncertain",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
}


_SOONEST_FIRST: Final = (message.scheduled_for, message.id)
_LATEST_FIRST: Final = (message.scheduled_for.desc(), message.id.desc())


async def list_views(
    session: AsyncSession,
    organization_id: UUID,
    wanted: Filter,
    *,
    after: After | None,
    limit: int,
    now: datetime,
    soonest_first: bool = False,
) -> list[MessageView]:
    """A page, latest time first unless asked otherwise. Several states are one look into the
    index for each."""
    order = _SOONEST_FIRST if soonest_first else _LATEST_FIRST
    parts = [
        _page(organization_id, wanted, condition, after, soonest_first)
        .order_by(*order)
        .limit(limit)
        for condition in _conditions(wanted, now)
    ]
    ids = parts[0] if len(parts) == 1 else union_all(*(select(each.subquery()) for each in parts))
    found = ids.subquery("page")
    statement = _view().join(found, found.c.id == message.id).order_by(*order).limit(limit)
    return await _views(session, organization_id, statement)


async def next_views(
    session: AsyncSession, organization_id: UUID, *, limit: int
) -> list[MessageView]:
    """What has not been sent yet, the soonest first."""
    statement = (
        _view()
        .where(message.organization_id == organization_id, message.status == "pending")
        .order_by(message.scheduled_for, message.id)
        .limit(limit)
    )
    return await _views(session, organization_id, statement)


def matching(organization_id: UUID, wanted: Filter, now: datetime) -> Select[tuple[UUID]]:
    """The ids of all that the filter matches."""
    statement = _filtered(select(message.id), organization_id, wanted)
    if wanted.states is None:
        return statement
    return statement.where(or_(*(_is_in(state, now) for state in wanted.states)))


def _conditions(wanted: Filter, now: datetime) -> list[ColumnElement[bool] | None]:
    if wanted.states is None:
        return [None]
    return [_is_in(state, now) for state in sorted(wanted.states)]


def _is_in(state: DisplayState, now: datetime) -> ColumnElement[bool]:
    status = message.status == _STATUS_OF[state]
    if state == "scheduled":
        return and_(status, message.scheduled_for > now)
    if state == "waiting":
        return and_(status, message.scheduled_for <= now)
    return status


def _page(
    organization_id: UUID,
    wanted: Filter,
    condition: ColumnElement[bool] | None,
    after: After | None,
    soonest_first: bool,
) -> Select[Any]:
    statement = _filtered(select(message.id), organization_id, wanted)
    if condition is not None:
        statement = statement.where(condition)
    if after is not None:
        place = tuple_(message.scheduled_for, message.id)
        last = tuple_(
            literal(after.scheduled_for, message.scheduled_for.type),
            literal(after.id, message.id.type),
        )
        statement = statement.where(place > last if soonest_first else place < last)
    return statement


def _filtered(statement: Select[Any], organization_id: UUID, wanted: Filter) -> Select[Any]:
    statement = statement.where(message.organization_id == organization_id)
    for column, value in (
        (message.event_id, wanted.event_id),
        (message.campaign_id, wanted.campaign_id),
        (message.group_id, wanted.group_id),
        (message.number_id, wanted.number_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    for word in search_words(wanted.group_named or ""):
        named = select(group.id).where(
            group.organization_id == organization_id,
            group.search_name.contains(word, autoescape=True, escape="\\"),
        )
        statement = statement.where(message.group_id.in_(named))
    if wanted.batch is not None:
        first = aliased(message)
        together = select(first.created_at).where(
            first.organization_id == organization_id, first.id == wanted.batch.first
        )
        statement = statement.where(
            message.id.between(wanted.batch.first, wanted.batch.last),
            message.created_at == together.scalar_subquery(),
        )
    return statement


async def count_by_state(
    session: AsyncSession, organization_id: UUID, wanted: Filter, now: datetime
) -> dict[DisplayState, int]:
    """How many there are in each state; states without any are left out."""
    state = case(
        (and_(message.status == "pending", message.scheduled_for > now), "scheduled"),
        (message.status == "pending", "waiting"),
        else_=message.status,
    ).label("state")
    statement = _filtered(select(state, func.count()), organization_id, wanted).group_by(state)
    return {row[0]: row[1] for row in await session.execute(statement)}


async def next_scheduled(
    session: AsyncSession, organization_id: UUID, wanted: Filter, now: datetime
) -> datetime | None:
    """When the next of them is due: what is counted as scheduled changes by then."""
    first = select(func.min(message.scheduled_for)).where(_is_in("scheduled", now))
    found: datetime | None = await session.scalar(_filtered(first, organization_id, wanted))
    return found


# --- whom a number can write to -------------------------------------------------------------


async def sending_numbers(session: AsyncSession, organization_id: UUID) -> list[SendingNumber]:
    """All numbers of the organization, those that send now first, then the connected ones."""
    connected = exists().where(
        WhatsappSession.organization_id == organization_id,
        WhatsappSession.number_id == number.id,
        WhatsappSession.status == "connected",
    )
    statement = (
        select(
            number.id,
            number.phone_number,
            number.display_name,
            number.paused_at,
            connected.label("connected"),
        )
        .where(number.organization_id == organization_id)
        .order_by(
            and_(connected, number.paused_at.is_(None)).desc(), connected.desc(), number.created_at
        )
    )
    return [
        SendingNumber(
            row.id, row.phone_number, row.display_name, bool(row.connected), row.paused_at
        )
        for row in await session.execute(statement)
    ]


async def get_sending_number(
    session: AsyncSession, organization_id: UUID, number_id: UUID
) -> SendingNumber | None:
    numbers = await sending_numbers(session, organization_id)
    return next((each for each in numbers if each.id == number_id), None)


async def groups_for_sending(
    session: AsyncSession,
    organization_id: UUID,
    number_id: UUID,
    *,
    ids: Sequence[UUID] | None = None,
    named: str | None = None,
    limit: int | None = None,
) -> list[SendableGroup]:
    """The groups of a number; with ``ids`` those groups, whether the number is in them or not."""
    belongs = and_(member.group_id == group.id, member.number_id == number_id)
    statement = select(
        group.id,
        group.group_jid,
        group.group_name,
        group.participant_count,
        group.is_community,
        group.is_community_announce,
        group.announce_only,
        func.coalesce(member.is_active, False).label("is_member"),
        func.coalesce(member.is_admin, False).label("is_admin"),
    ).where(group.organization_id == organization_id)
    if ids is not None:
        statement = statement.outerjoin(member, belongs).where(is_among(session, group.id, ids))
    else:
        statement = statement.join(member, belongs).where(member.is_active.is_(True))
    if named:
        statement = statement.where(
            or_(group.group_name.icontains(named, autoescape=True), group.group_jid == named)
        )
    statement = statement.order_by(group.group_name, group.id).limit(limit)
    return _sendable((await session.execute(statement)).all())


def _sendable(rows: Sequence[Any]) -> list[SendableGroup]:
    """Thousands of groups are alike: what the rules say of a kind is asked once."""
    kinds: dict[tuple[bool, ...], tuple[str | None, str | None]] = {}
    groups = []
    for id_, jid, name, participants, *kind in rows:
        facts = tuple(map(bool, kind))
        if facts not in kinds:
            refusal = target_refusal(GroupFacts(*facts[:3]), MembershipFacts(*facts[3:]))
            kinds[facts] = (refusal.sentence, refusal.code) if refusal else (None, None)
        groups.append(SendableGroup(id_, jid, name, participants, *kinds[facts]))
    return groups
