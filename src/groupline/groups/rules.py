"""What a list of groups proves, and which groups can be sent to. Pure decisions, no I/O."""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, assert_never
from uuid import UUID

from groupline.gateways.port import GatewayGroup, GroupListing, ListingHint

SYNC_EVERY: Final = timedelta(hours=24)
SYNC_JITTER: Final = timedelta(hours=2)
RETRY_FIRST: Final = timedelta(minutes=5)
RETRY_LONGEST: Final = timedelta(hours=6)


# What a list proves


class Suspicion(StrEnum):
    """Why an absence from this list proves nothing."""

    EMPTY = "empty"
    LOST_HALF = "lost_half"
    AT_CAP = "at_cap"
    DECLARED_INCOMPLETE = "declared_incomplete"
    UNREADABLE_ENTRIES = "unreadable_entries"


NO_GROUPS: Final = (
    "WhatsApp shows no groups for this number. If it is in some, sync again in a few minutes:"
    " a phone that was linked just now may not have told of them yet."
)
_NOT_A_GROUP: Final = "not_a_group"
_CAN_BE_CONFIRMED = frozenset({Suspicion.EMPTY, Suspicion.LOST_HALF})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to conclude from one answer of a gateway, given what was known before."""

    suspicion: Suspicion | None
    missing: frozenset[str]
    """Groups that the number was in and that the answer does not name."""
    known: int
    """Groups that the number was in."""

    @property
    def can_be_confirmed(self) -> bool:
        """A person may say that the groups are really gone. A cut list stays a cut list."""
        return self.suspicion in _CAN_BE_CONFIRMED

    def deactivates(self, *, confirmed: bool) -> bool:
        return self.suspicion is None or (confirmed and self.can_be_confirmed)


def judge(listing: GroupListing, active_jids: Collection[str]) -> Verdict:
    """Whether the groups that are missing from the answer have really been left."""
    listed = {group.jid for group in listing.groups}
    missing = frozenset(jid for jid in active_jids if jid not in listed)
    return Verdict(_suspicion(listing, len(missing), len(active_jids)), missing, len(active_jids))


def _suspicion(listing: GroupListing, missing: int, known: int) -> Suspicion | None:
    if not listing.groups and not listing.skipped:
        return Suspicion.EMPTY
    if listing.complete is False or ListingHint.DECLARED_INCOMPLETE in listing.hints:
        return Suspicion.DECLARED_INCOMPLETE
    if ListingHint.AT_CAP in listing.hints:
        return Suspicion.AT_CAP
    if missing and any(entry.reason != _NOT_A_GROUP for entry in listing.skipped):
        return Suspicion.UNREADABLE_ENTRIES
    if missing * 2 > known:
        return Suspicion.LOST_HALF
    return None


def explain(verdict: Verdict) -> str | None:
    """The suspicion as sentences for a person; ``None`` if there is none."""
    suspicion, missing = verdict.suspicion, len(verdict.missing)
    if suspicion is None:
        return None
    if suspicion is Suspicion.EMPTY and verdict.known == 0:
        return NO_GROUPS
    match suspicion:
        case Suspicion.EMPTY:
            what = "The gateway listed no groups at all."
        case Suspicion.LOST_HALF:
            what = f"The gateway left out {missing:,} of the {groups(verdict.known)} known so far."
        case Suspicion.AT_CAP:
            what = "The gateway cut its list at the most it can tell."
        case Suspicion.DECLARED_INCOMPLETE:
            what = "The gateway says that its list is not complete."
        case Suspicion.UNREADABLE_ENTRIES:
            what = "Some entries of the gateway's list could not be read."
        case _:
            assert_never(suspicion)
    return f"{what} {_consequence(missing)}"


def _consequence(missing: int) -> str:
    if missing == 0:
        return "Nothing was removed."
    kept = "1 group that it left out stays" if missing == 1 else f"{missing:,} groups stay"
    return f"That is no proof that they were left, so {kept} as before."


def groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


# What has to be written


RowId = UUID | str
"""Of a row, as its database keeps it: only good to be handed back to it."""


class KnownGroup(NamedTuple):
    """A group that the number is or was in, as it stands in the database."""

    group_id: RowId
    membership_id: RowId
    name: str | None
    participant_count: int | None
    is_community: bool
    is_community_announce: bool
    announce_only: bool
    invite_link: str | None
    is_admin: bool
    is_active: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Which of the listed groups have to be written, and how. The rest stands as it is."""

    new: tuple[GatewayGroup, ...]
    """The number is in these for the first time."""
    recounted: tuple[tuple[RowId, int], ...]
    """Groups with another number of participants and nothing else that is new: most changes."""
    changed: tuple[tuple[GatewayGroup, bool], ...]
    """Something else about the group itself is different; and is it the name?"""
    moved: tuple[tuple[RowId, bool | None], ...]
    """Memberships that came back or changed their role, with the role if the gateway said it."""


def plan(listing: GroupListing, known: Mapping[str, KnownGroup]) -> Plan:
    """Field by field: what the gateway does not say overwrites nothing."""
    new, recounted, changed, moved = [], [], [], []
    for group in listing.groups:
        before = known.get(group.jid)
        if before is None:
            new.append(group)
            continue
        count = group.participant_count
        if _is_changed(group, before):
            changed.append((group, _differs(group.name, before.name)))
        elif count is not None and count != before.participant_count:
            recounted.append((before.group_id, count))
        if not before.is_active or _differs(group.is_admin, before.is_admin):
            moved.append((before.membership_id, group.is_admin))
    return Plan(tuple(new), tuple(recounted), tuple(changed), tuple(moved))


def only_admins_write(said: GatewayGroup) -> bool | None:
    """In the announcements of a community nobody else can, whether the gateway says so or not."""
    return True if said.is_community_announce else said.announce_only


def _is_changed(said: GatewayGroup, known: KnownGroup) -> bool:
    """In more than the count."""
    return (
        _differs(said.name, known.name)
        or _differs(said.invite_link, known.invite_link)
        or _differs(only_admins_write(said), known.announce_only)
        or _differs(said.is_community, known.is_community)
        or _differs(said.is_community_announce, known.is_community_announce)
    )


def _differs(said: object, known: object) -> bool:
    return said is not None and said != known


# Who can send


class Unsendable(StrEnum):
    """Why a number, or any number, cannot send to a group."""

    COMMUNITY_PARENT = "community_parent"
    NOT_A_MEMBER = "not_a_member"
    ADMINS_ONLY = "admins_only"


@dataclass(frozen=True, slots=True)
class GroupFacts:
    is_community: bool
    is_community_announce: bool
    announce_only: bool

    @property
    def admins_only(self) -> bool:
        return self.announce_only or self.is_community_announce


@dataclass(frozen=True, slots=True)
class MembershipFacts:
    is_active: bool
    is_admin: bool


def unsendable(group: GroupFacts, memberships: Collection[MembershipFacts]) -> Unsendable | None:
    """Why none of these memberships can send to the group; ``None`` if one can."""
    if group.is_community:
        return Unsendable.COMMUNITY_PARENT
    active = [membership for membership in memberships if membership.is_active]
    if not active:
        return Unsendable.NOT_A_MEMBER
    if group.admins_only and not any(membership.is_admin for membership in active):
        return Unsendable.ADMINS_ONLY
    return None


def sentence(reason: Unsendable) -> str:
    match reason:
        case Unsendable.COMMUNITY_PARENT:
            return "This is a community; messages go to the groups in it."
        case Unsendable.NOT_A_MEMBER:
            return "No number of yours is in this group any more."
        case Unsendable.ADMINS_ONLY:
            return "Only admins can write here, and your number is not an admin."
        case _:
            assert_never(reason)


def sentence_for_number(reason: Unsendable) -> str:
    """About the one number that is to send, whatever other numbers could."""
    if reason is Unsendable.NOT_A_MEMBER:
        return "The number is not in this group."
    return sentence(reason)


# When to sync


def next_sync(now: datetime, chance: random.Random) -> datetime:
    """A day later, give or take, so that the numbers of a gateway do not come all at once."""
    jitter = SYNC_JITTER.total_seconds()
    return now + SYNC_EVERY + timedelta(seconds=chance.uniform(-jitter, jitter))


def retry_sync(now: datetime, failures: int) -> datetime:
    """After the n-th failure in a row: soon at first, then ever later."""
    doublings = min(max(failures, 1), 10) - 1
    return now + min(RETRY_LONGEST, RETRY_FIRST * (1 << doublings))


# Changes that members make


MAX_REMEMBERED_CHANGES: Final = 200


class MemberChange(StrEnum):
    JOINED = "joined"
    LEFT = "left"


def count_change(
    remembered: dict[str, list[str]], member: str, change: MemberChange, at: datetime
) -> tuple[dict[str, list[str]], int]:
    """What to remember now, and by how much the group grew.

    Every number in a group reports the same change. Nobody joins twice without leaving in
    between, so a member's change counts only if it differs from that member's last one.
    """
    last = remembered.get(member)
    moment = at.isoformat()
    if last is not None and moment <= last[1]:
        return remembered, 0
    is_repeated = last is not None and last[0] == change
    others = ((key, value) for key, value in remembered.items() if key != member)
    newest = sorted(others, key=lambda other: other[1][1], reverse=True)
    kept = dict(newest[: MAX_REMEMBERED_CHANGES - 1])
    growth = 1 if change is MemberChange.JOINED else -1
    return kept | {member: [change.value, moment]}, 0 if is_repeated else growth
