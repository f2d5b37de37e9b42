"""What the use cases of the outbox take and give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast, get_args
from uuid import UUID

from groupline.errors import InvalidInput
from groupline.messages.media import Media
from groupline.models import CampaignStatus, EventKind, MediaType, MessageStatus

DisplayState = Literal[
    "scheduled",
    "waiting",
    "sending",
    "accepted",
    "sent",
    "uncertain",
    "failed",
    "expired",
    "cancelled",
]


_STATES: frozenset[str] = frozenset(get_args(DisplayState))


def known_states(words: Iterable[str]) -> frozenset[DisplayState]:
    """Those of the words that name a state."""
    return frozenset(cast("DisplayState", word) for word in words if word in _STATES)


@dataclass(frozen=True, slots=True)
class NewMessages:
    """One content to several groups."""

    number_id: UUID
    group_ids: Sequence[UUID]
    content: str
    media: Media | None = None
    """As ``media.check`` found it, before the transaction."""
    scheduled_for: datetime | None = None
    """Without it: now."""
    expires_at: datetime | None = None
    event_id: UUID | None = None
    """The event that it is about. The caller has found it in the organization."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A row of the outbox to be, as events and campaigns write them."""

    number_id: UUID
    group_id: UUID
    content: str
    scheduled_for: datetime
    expires_at: datetime | None
    priority: int
    media_url: str | None = None
    media_type: MediaType | None = None
    event_id: UUID | None = None
    step_id: UUID | None = None
    campaign_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class RefusedDraft:
    """A draft that was not written, and why."""

    draft: Draft
    group_name: str | None
    code: str
    reason: str


class Enqueued(list[UUID]):
    """The ids of the rows that were written, in the order of their drafts."""

    def __init__(self, ids: Iterable[UUID] = ()) -> None:
        super().__init__(ids)
        self.refused: Sequence[RefusedDraft] = ()
        """Must not leave as they are (rule 8)."""
        self.already: Sequence[Draft] = ()
        """There is a message for the same step, or campaign, and group: it was left as it is."""


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    group_id: UUID
    name: str | None
    code: str
    reason: str


class GroupsRefused(InvalidInput):
    """Some of the groups cannot be written to; nothing was scheduled."""

    code = "groups_refused"

    def __init__(self, refused: Sequence[RefusedGroup]) -> None:
        first = refused[0]
        more = f" And {len(refused) - 1:,} more." if len(refused) > 1 else ""
        name = first.name or "a group"
        super().__init__(
            f"Nothing was scheduled. {name}: {first.reason}{more}",
            fields={"groupIds": f"{len(refused)} cannot be written to"},
        )
        self.refused = tuple(refused)
        self.extra["groups"] = [
            {"id": str(each.group_id), "name": each.name, "code": each.code, "reason": each.reason}
            for each in refused
        ]


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages that were written together, by the first and the last of them."""

    first: UUID
    last: UUID


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages a list shows; ``None`` does not filter."""

    states: frozenset[DisplayState] | None = None
    event_id: UUID | None = None
    campaign_id: UUID | None = None
    group_id: UUID | None = None
    group_named: str | None = None
    """Words of the group's name."""
    number_id: UUID | None = None
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class After:
    """The last row of a page: the next one goes on behind it."""

    scheduled_for: datetime
    id: UUID

    @property
    def keys(self) -> tuple[str, str]:
        return self.scheduled_for.isoformat(), str(self.id)

    @classmethod
    def from_keys(cls, keys: Sequence[object]) -> After | None:
        """``None`` for what is no place in a list of messages."""
        try:
            at, message_id = map(str, keys)
            moment = datetime.fromisoformat(at)
            return cls(moment, UUID(message_id)) if moment.tzinfo is not None else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message with the names of what it refers to."""

    id: UUID
    organization_id: UUID
    number_id: UUID
    phone_number: str
    number_name: str | None
    group_id: UUID
    group_jid: str
    group_name: str | None
    event_id: UUID | None
    event_title: str | None
    event_kind: EventKind | None
    campaign_id: UUID | None
    campaign_name: str | None
    campaign_status: CampaignStatus | None
    step_id: UUID | None
    content: str
    media_url: str | None
    media_type: MediaType | None
    scheduled_for: datetime
    expires_at: datetime | None
    priority: int
    status: MessageStatus
    attempts: int
    next_attempt_at: datetime | None
    client_ref: str
    gateway_message_id: str | None
    request_started_at: datetime | None
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_count: int
    read_count: int
    anonymous_delivered_count: int
    anonymous_read_count: int
    first_receipt_at: datetime | None
    error_code: str | None
    error_message: str | None
    vps_error: str | None
    resolved_by: str | None
    resolved_at: datetime | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    resolved_by_name: str | None = None
    """Who ``resolved_by`` is, unless that is not known any more."""

    @property
    def got_by(self) -> int:
        return self.delivered_count + self.anonymous_delivered_count

    @property
    def read_by(self) -> int:
        return self.read_count + self.anonymous_read_count

    @property
    def time(self) -> datetime:
        """What lists name: when it was sent, or else when it is, or was, to be.

        A copy that WhatsApp rejected leaves its ``sent_at``: that is none of the message any more.
        """
        return self.sent_at if self.status == "sent" and self.sent_at else self.scheduled_for

    @property
    def rests_on_a_word(self) -> bool:
        """It counts as sent because somebody said that it arrived."""
        return self.status == "sent" and (
            self.gateway_message_id is None
            or (self.resolved_at is not None and self.resolved_at == self.sent_at)
        )


@dataclass(frozen=True, slots=True)
class SendableGroup:
    """A group of a number, and why it cannot be written to, if so."""

    id: UUID
    jid: str
    name: str | None
    participant_count: int | None
    refusal: str | None
    refusal_code: str | None


@dataclass(frozen=True, slots=True)
class SendingNumber:
    id: UUID
    phone_number: str
    display_name: str | None
    is_connected: bool
    paused_at: datetime | None = None

    @property
    def is_ready(self) -> bool:
        return self.is_connected and self.paused_at is None

    @property
    def trouble(self) -> str:
        """Why it does not send now, in words for a list; empty if it does."""
        lacks = (self.is_connected, "not connected"), (self.paused_at is None, "paused")
        return ", ".join(word for holds, word in lacks if not holds)
