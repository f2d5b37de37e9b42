"""What gateways report between two syncs: who came, who left, who became an admin, new names.

Every number in a group reports the same change. Each is applied once, by its own time: one that is
older than what is known undoes nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.gateways.drivers.groupline_groups import is_group_jid
from groupline.gateways.drivers.parsing import MAX_NAME, as_object, first_text, identifier
from groupline.gateways.phone import phone_or_none
from groupline.groups.names import search_name
from groupline.groups.rules import MemberChange, count_change
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.models import (
    InboundOutcome,
    WhatsappGroup,
    WhatsappMembership,
    WhatsappNumber,
    WhatsappSession,
)

GATEWAY: Final = Actor("gateway", "Gateway")


class Change(StrEnum):
    JOINED = "joined"
    LEFT = "left"
    PROMOTED = "promoted"
    DEMOTED = "demoted"
    RENAMED = "renamed"
    SETTINGS = "settings"
    """Others may write to it than before, or it belongs to another community."""


_WORDS: Final[Mapping[str, Change]] = {
    **dict.fromkeys(("joined", "join", "add", "added"), Change.JOINED),
    **dict.fromkeys(("left", "leave", "remove", "removed"), Change.LEFT),
    **dict.fromkeys(("promoted", "promote"), Change.PROMOTED),
    **dict.fromkeys(("demoted", "demote"), Change.DEMOTED),
    **dict.fromkeys(("renamed", "rename", "subject"), Change.RENAMED),
    **dict.fromkeys(("settings", "announce", "not_announce"), Change.SETTINGS),
}


@dataclass(frozen=True, slots=True)
class MembershipReport:
    """One webhook, as far as it could be read."""

    change: Change
    group_jid: str
    group_name: str | None
    members: tuple[str, ...]
    """Phones, jids or LIDs of those whom it is about."""
    at: datetime


def read_report(data: Mapping[str, Any], at: datetime) -> MembershipReport | None:
    """The JSON of a webhook. ``None`` if it says nothing that we understand."""
    word = first_text(data, ("event", "action", "type"))
    jid = identifier(data.get("groupJid") or data.get("groupId") or data.get("jid"))
    change = _WORDS.get((word or "").lower())
    if change is None or jid is None or not is_group_jid(jid):
        return None
    name = first_text(data, ("groupName", "name", "subject"), MAX_NAME)
    return MembershipReport(change, jid, name, _members(data), at)


def _members(data: Mapping[str, Any]) -> tuple[str, ...]:
    listed = data.get("participants")
    given = listed if isinstance(listed, list) else []
    entries = [as_object(one) or {"id": one} for one in given]
    entries.append({"id": data.get("phoneNumber") or data.get("phone") or data.get("participant")})
    found = (first_text(entry, ("phone", "phoneNumber", "id", "jid")) for entry in entries)
    return tuple(dict.fromkeys(member for member in found if member is not None))


@dataclass(frozen=True, slots=True)
class _Place:
    """A group as one report finds it, locked until the transaction ends."""

    organization_id: UUID
    group: WhatsappGroup
    known_at: datetime | None
    """The newest list that named the group; what happened before is already in it."""
    report: MembershipReport
    now: datetime


async def apply_membership_event(
    session: AsyncSession,
    *,
    gateway_id: UUID,
    gateway_session_id: str,
    report: MembershipReport,
    now: datetime,
) -> InboundOutcome:
    """Applies the report in the caller's transaction.

    ``unmatched``: the session or the group is not known yet; it is worth trying again later.
    """
    reporter = await _reporter(session, gateway_id, gateway_session_id)
    if reporter is None or reporter.number_id is None:
        return "unmatched"
    organization_id = reporter.organization_id
    numbers = await _lock_numbers(session, organization_id, report.members)
    place = await _place(session, organization_id, report, now)
    if place is None:
        joined = [numbers[member] for member in report.members if member in numbers]
        if report.change is not Change.JOINED or not joined:
            return "unmatched"
        place = await _new_group(session, organization_id, report, now)
    if report.change is Change.RENAMED:
        return await _rename(session, place)
    if report.change is Change.SETTINGS:
        return await _ask_for_a_list(session, reporter.number_id, place)
    outcomes = [await _apply(session, place, member, numbers) for member in report.members]
    return _together(outcomes)


async def _apply(
    session: AsyncSession, place: _Place, member: str, numbers: Mapping[str, WhatsappNumber]
) -> InboundOutcome:
    """One member's change: a membership if it is a number of ours, and the count of the group."""
    number = numbers.get(member)
    if number is None:
        return await _count(session, place, member)
    outcome = await _change_membership(session, place, number)
    if outcome == "applied":
        await _count(session, place, number.phone_number)
        await _tell(session, place, number)
    elif outcome == "outdated":
        # The clocks may differ: the next list settles it.
        number.groups_sync_due_at = place.now
    return outcome


async def _change_membership(
    session: AsyncSession, place: _Place, number: WhatsappNumber
) -> InboundOutcome:
    report = place.report
    row = await session.scalar(
        select(WhatsappMembership)
        .where(WhatsappMembership.organization_id == place.organization_id)
        .where(WhatsappMembership.number_id == number.id)
        .where(WhatsappMembership.group_id == place.group.id)
        .with_for_update()
    )
    if row is None:
        if report.change is Change.LEFT:
            return "repeated"
        row = _new_membership(place, number)
        session.add(row)
    elif not _changes(row, report.change):
        row.synced_at = _later(row.synced_at, report.at)
        return "repeated"
    elif _is_older(report.at, row.synced_at, number.synced_at):
        return "outdated"
    row.is_active = report.change is not Change.LEFT
    row.missing_since = None if row.is_active else report.at
    if report.change is not Change.JOINED:
        row.is_admin = report.change is Change.PROMOTED
    row.synced_at = report.at
    await session.flush()
    return "applied"


def _new_membership(place: _Place, number: WhatsappNumber) -> WhatsappMembership:
    return WhatsappMembership(
        id=new_id(),
        organization_id=place.organization_id,
        number_id=number.id,
        group_id=place.group.id,
        is_admin=False,
        created_at=place.now,
    )


def _changes(row: WhatsappMembership, change: Change) -> bool:
    is_active = change is not Change.LEFT
    if row.is_active != is_active:
        return True
    return change in {Change.PROMOTED, Change.DEMOTED} and row.is_admin != (
        change is Change.PROMOTED
    )


async def _count(session: AsyncSession, place: _Place, member: str) -> InboundOutcome:
    """How many are in the group, for those who came and went."""
    change, at, group = place.report.change, place.report.at, place.group
    if change not in {Change.JOINED, Change.LEFT}:
        return "applied"  # who else is an admin does not concern us
    if _is_older(at, place.known_at):
        return "outdated"
    known = {key: list(value) for key, value in (group.member_changes or {}).items()}
    # Only whether it is the same person matters: the phone itself is not kept.
    key = hashlib.sha256((phone_or_none(member) or member).encode()).hexdigest()[:16]
    remembered, growth = count_change(known, key, MemberChange(change.value), at)
    group.member_changes = remembered
    if growth == 0:
        return "repeated"
    if group.participant_count is not None:
        group.participant_count = max(0, group.participant_count + growth)
    await session.flush()
    await _announce(session, place)
    return "applied"


async def _rename(session: AsyncSession, place: _Place) -> InboundOutcome:
    group, report = place.group, place.report
    if report.group_name is None:
        return "invalid"
    if report.group_name == group.group_name:
        group.synced_at = _later(group.synced_at, report.at)
        return "repeated"
    if _is_older(report.at, group.synced_at):
        return "outdated"
    before, group.group_name = group.group_name, report.group_name
    group.search_name = search_name(report.group_name, group.group_jid)
    group.synced_at = report.at
    await session.flush()
    await _record(session, place, "group.renamed", {"from": before, "to": group.group_name})
    await _announce(session, place)
    return "applied"


# Where it belongs


async def _reporter(
    session: AsyncSession, gateway_id: UUID, gateway_session_id: str
) -> WhatsappSession | None:
    return await session.scalar(
        select(WhatsappSession)
        .where(WhatsappSession.gateway_session_id == gateway_session_id)
        .where(WhatsappSession.gateway_id == gateway_id)
    )


async def _lock_numbers(
    session: AsyncSession, organization_id: UUID, members: Sequence[str]
) -> dict[str, WhatsappNumber]:
    """Those of the members who are numbers of the organization, by what the report calls them."""
    phones = {member: phone for member in members if (phone := phone_or_none(member)) is not None}
    if not phones:
        return {}
    rows = await session.scalars(
        select(WhatsappNumber)
        .where(WhatsappNumber.organization_id == organization_id)
        .where(WhatsappNumber.phone_number.in_(set(phones.values())))
        .order_by(WhatsappNumber.id)
        .with_for_update()
    )
    by_phone = {row.phone_number: row for row in rows}
    return {member: by_phone[phone] for member, phone in phones.items() if phone in by_phone}


async def _place(
    session: AsyncSession, organization_id: UUID, report: MembershipReport, now: datetime
) -> _Place | None:
    group = await session.scalar(
        select(WhatsappGroup)
        .where(WhatsappGroup.organization_id == organization_id)
        .where(WhatsappGroup.group_jid == report.group_jid)
        .with_for_update()
    )
    if group is None:
        return None
    known_at = (
        await session.execute(
            select(func.max(WhatsappNumber.synced_at))
            .join(
                WhatsappMembership,
                (WhatsappMembership.organization_id == WhatsappNumber.organization_id)
                & (WhatsappMembership.number_id == WhatsappNumber.id),
            )
            .where(WhatsappMembership.organization_id == organization_id)
            .where(WhatsappMembership.group_id == group.id)
            .where(WhatsappMembership.is_active)
        )
    ).scalar_one()
    return _Place(organization_id, group, known_at, report, now)


async def _ask_for_a_list(session: AsyncSession, number_id: UUID, place: _Place) -> InboundOutcome:
    """What is so now is in the list."""
    if _is_older(place.report.at, place.known_at):
        return "repeated"
    await session.execute(
        update(WhatsappNumber)
        .where(WhatsappNumber.organization_id == place.organization_id)
        .where(WhatsappNumber.id == number_id)
        .values(groups_sync_due_at=place.now)
    )
    return "applied"


async def _new_group(
    session: AsyncSession, organization_id: UUID, report: MembershipReport, now: datetime
) -> _Place:
    """A number of ours was added to a group that nobody has heard of; a sync learns the rest."""
    group = WhatsappGroup(
        id=new_id(),
        organization_id=organization_id,
        group_jid=report.group_jid,
        group_name=report.group_name,
        search_name=search_name(report.group_name, report.group_jid),
        synced_at=report.at,
        created_at=now,
    )
    session.add(group)
    await session.flush()
    phones = {phone_or_none(member) for member in report.members}
    await session.execute(
        update(WhatsappNumber)
        .where(WhatsappNumber.organization_id == organization_id)
        .where(WhatsappNumber.phone_number.in_({phone for phone in phones if phone}))
        .values(groups_sync_due_at=now)
    )
    return _Place(organization_id, group, None, report, now)


# Small words


def _is_older(at: datetime, *known: datetime | None) -> bool:
    return any(moment is not None and at < moment for moment in known)


def _later(known: datetime | None, at: datetime) -> datetime:
    """What only confirms is news all the same: something older may still be on its way."""
    return at if known is None else max(known, at)


_ORDER: Final[tuple[InboundOutcome, ...]] = ("applied", "repeated", "outdated", "unmatched")


def _together(outcomes: Sequence[InboundOutcome]) -> InboundOutcome:
    """The best that became of any of them; a report about nobody is no report."""
    return min(outcomes, key=_ORDER.index, default="invalid")


async def _tell(session: AsyncSession, place: _Place, number: WhatsappNumber) -> None:
    await _record(
        session, place, f"group.{place.report.change.value}", {"numberId": str(number.id)}
    )
    await _announce(session, place)
    await announce(session, "numbers", organization_id=place.organization_id, subject_id=number.id)


async def _record(
    session: AsyncSession, place: _Place, action: str, data: Mapping[str, Any]
) -> None:
    await journal.record(
        session,
        action=action,
        actor=GATEWAY,
        organization_id=place.organization_id,
        subject="group",
        subject_id=place.group.id,
        data={"group": place.group.group_name, **data},
        at=place.now,
    )


async def _announce(session: AsyncSession, place: _Place) -> None:
    await announce(
        session, "groups", organization_id=place.organization_id, subject_id=place.group.id
    )
