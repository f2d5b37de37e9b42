"""What the use cases of campaigns take and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from groupline.campaigns.rules import CampaignAction, Counts
from groupline.messages.media import Media
from groupline.messages.schemas import DisplayState, RefusedGroup
from groupline.models import CampaignStatus, MediaType

MAX_GROUPS: Final = 5_000
MAX_DELAY_SECONDS: Final = 3_600.0
MAX_LATE_MINUTES: Final = 14 * 24 * 60
DAY_MINUTES: Final = 24 * 60

OnRefused = Literal["refuse", "skip", "keep"]
"""Groups that cannot be written to: refuse everything, leave them out, or (in a draft) keep them
until it starts."""


@dataclass(frozen=True, slots=True)
class NewCampaign:
    name: str
    number_id: UUID
    group_ids: Sequence[UUID] = ()
    content: str = ""
    media: Media | None = None
    """As ``media.check`` found it, before the transaction."""
    delay_seconds: float = 1.0
    late_minutes: int = DAY_MINUTES
    scheduled_for: datetime | None = None
    """Without it: when it is started."""
    start: bool = False
    on_refused: OnRefused = "refuse"


Field = Literal[
    "name",
    "number_id",
    "content",
    "media",
    "delay_seconds",
    "late_minutes",
    "scheduled_for",
]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become different; a field that is not named stays as it is."""

    fields: Mapping[Field, object] = field(default_factory=dict)
    group_ids: Sequence[UUID] | None = None
    on_refused: OnRefused = "refuse"


@dataclass(frozen=True, slots=True)
class Written:
    """A campaign that was written, and the groups that were left out."""

    id: UUID
    groups: int
    skipped: tuple[RefusedGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign with what its messages, or the groups of a draft, say."""

    id: UUID
    organization_id: UUID
    number_id: UUID
    phone_number: str
    number_name: str | None
    name: str
    content: str
    media_url: str | None
    media_type: MediaType | None
    delay_seconds: float
    late_minutes: int
    scheduled_for: datetime | None
    status: CampaignStatus
    started_at: datetime | None
    paused_at: datetime | None
    finished_at: datetime | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    counts: Counts
    draft_groups: int
    actions: tuple[CampaignAction, ...]

    @property
    def groups(self) -> int:
        """To how many groups it goes: those called off aside."""
        if self.status == "draft":
            return self.draft_groups
        return self.counts.total - self.counts.cancelled

    @property
    def progress(self) -> float:
        """The part of its messages whose fate is known for good, from 0 to 1."""
        total = self.groups
        return round((total - self.counts.open) / total, 4) if total and self.counts.total else 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """How fast it goes, and when it will be done."""

    rate_per_minute: float
    remaining: int
    eta: datetime | None
    """``None``: nothing is left, or nobody can say because it stands still."""
    waiting_for: str | None
    """Why it stands still."""
    too_late: int
    """How many are likely to expire before their turn."""
    expires_at: datetime | None
    others: int
    """Messages of its number that go first or in between."""
    interval_seconds: float
    """Between two of its messages while nothing else goes, as ``eta`` has it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a draft will take, and what stands in its way."""

    groups: int
    begins_at: datetime
    seconds: float
    done_at: datetime
    interval_seconds: float
    others: int
    too_late: int
    is_connected: bool
    obstacle: str | None
    """What keeps its number from sending now."""
    refused: tuple[RefusedGroup, ...]
    fingerprint: str
    """Of all that: a start says with it what was looked at."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What the pause cost: nothing gets more time in silence."""

    expired_meanwhile: int
    extended: int


@dataclass(frozen=True, slots=True)
class Retried:
    requeued: int
    refused: tuple[RefusedGroup, ...] = ()
    """Groups that the other number cannot write to; their messages stay as they were."""


@dataclass(frozen=True, slots=True)
class Verified:
    asked: int
    cannot_be_asked: int
    """Their gateway does not know our references: a person has to look."""


@dataclass(frozen=True, slots=True)
class ResultFilter:
    states: frozenset[DisplayState] | None = None
    query: str = ""


@dataclass(frozen=True, slots=True)
class ResultCursor:
    """The last row of a page, by the name of its group."""

    search_name: str
    message_id: UUID

    @property
    def keys(self) -> tuple[str, str]:
        return self.search_name, str(self.message_id)

    @classmethod
    def from_keys(cls, keys: Sequence[object]) -> ResultCursor | None:
        try:
            search_name, message_id = map(str, keys)
            return cls(search_name, UUID(message_id))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class CampaignCursor:
    """The last campaign of a page; lists begin with the newest."""

    created_at: datetime
    id: UUID

    @property
    def keys(self) -> tuple[str, str]:
        return self.created_at.isoformat(), str(self.id)

    @classmethod
    def from_keys(cls, keys: Sequence[object]) -> CampaignCursor | None:
        try:
            at, campaign_id = map(str, keys)
            moment = datetime.fromisoformat(at)
            return cls(moment, UUID(campaign_id)) if moment.tzinfo is not None else None
        except ValueError:
            return None
