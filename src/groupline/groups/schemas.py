"""What groups look like to those who ask for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from groupline.errors import InvalidInput
from groupline.groups.names import UNNAMED, short_id
from groupline.groups.rules import (
    GroupFacts,
    MembershipFacts,
    Unsendable,
    sentence,
    unsendable,
)


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups of an organization; whatever is ``None`` does not restrict."""

    number_id: UUID | None = None
    query: str = ""
    sendable: bool | None = None
    """Can one of the numbers (or the one given) write there?"""
    active: bool | None = None
    """Is one of the numbers (or the one given) in it?"""


@dataclass(frozen=True, slots=True)
class GroupCursor:
    """The last group of a page; the next one begins after it."""

    search_name: str
    group_id: UUID

    @property
    def keys(self) -> tuple[str, str]:
        return self.search_name, str(self.group_id)

    @classmethod
    def from_keys(cls, keys: Sequence[object]) -> "GroupCursor":
        """Raises ``InvalidInput`` for what never was a cursor."""
        try:
            search_name, group_id = keys
            return cls(str(search_name), UUID(str(group_id)))
        except ValueError:
            raise InvalidInput(
                "This cursor is not one of ours.", fields={"cursor": "is not valid"}
            ) from None


@dataclass(frozen=True, slots=True)
class MembershipView:
    """One number in one group."""

    group_id: UUID
    number_id: UUID
    phone_number: str
    display_name: str | None
    is_admin: bool
    is_active: bool
    missing_since: datetime | None

    @property
    def facts(self) -> MembershipFacts:
        return MembershipFacts(is_active=self.is_active, is_admin=self.is_admin)


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group with everything that a list shows of it."""

    id: UUID
    jid: str
    name: str | None
    search_name: str
    participant_count: int | None
    is_community: bool
    is_community_announce: bool
    announce_only: bool
    invite_link: str | None
    synced_at: datetime | None
    memberships: tuple[MembershipView, ...]
    number_id: UUID | None = None
    """The number that the list is about, if it is about one."""

    @property
    def title(self) -> str:
        return self.name or UNNAMED

    @property
    def short_id(self) -> str:
        return short_id(self.jid)

    @property
    def active_memberships(self) -> tuple[MembershipView, ...]:
        return tuple(membership for membership in self.memberships if membership.is_active)

    @property
    def is_admin(self) -> bool:
        return any(membership.is_admin for membership in self._concerned if membership.is_active)

    @property
    def unsendable(self) -> Unsendable | None:
        facts = GroupFacts(self.is_community, self.is_community_announce, self.announce_only)
        return unsendable(facts, [membership.facts for membership in self._concerned])

    @property
    def why_not_sendable(self) -> str | None:
        """A sentence; ``None`` if the group can be sent to."""
        return None if self.unsendable is None else sentence(self.unsendable)

    @property
    def cursor(self) -> GroupCursor:
        return GroupCursor(self.search_name, self.id)

    @property
    def _concerned(self) -> Sequence[MembershipView]:
        if self.number_id is None:
            return self.memberships
        return [one for one in self.memberships if one.number_id == self.number_id]


@dataclass(frozen=True, slots=True)
class GroupPage:
    groups: tuple[GroupView, ...]
    total: int | None
    """How many the filter matches, on all pages together; ``None`` for more than are counted."""
    next_cursor: GroupCursor | None
