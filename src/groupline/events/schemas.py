"""What the use cases of workshops and webinars take and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from groupline.events.steps import Timing, in_words
from groupline.messages.schemas import DisplayState, RefusedGroup
from groupline.models import EventKind, EventStatus, MediaType

ReadinessKey = Literal["number", "groups", "sequence", "variables"]
Period = Literal["upcoming", "past", "cancelled", "all"]
PastRule = Literal["cancel", "send"]
"""What becomes of messages that a move puts into the past: they are cancelled, or those that are
still useful go at once."""

MAX_TITLE = 200
MAX_VALUE = 10_000
MAX_VARIABLES = 200


@dataclass(frozen=True, slots=True)
class EventInput:
    """What a person says about an event."""

    title: str
    starts_at: datetime
    timezone: str
    ends_at: datetime | None = None
    number_id: UUID | None = None
    sequence_id: UUID | None = None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class StepView:
    """A step with its template, as a run needs it."""

    id: UUID
    sequence_id: UUID
    position: int
    label: str | None
    timing: Timing
    template_id: UUID
    template_name: str
    content: str
    media_url: str | None
    media_type: MediaType | None

    @property
    def title(self) -> str:
        return self.label or self.template_name

    @property
    def when(self) -> str:
        return in_words(self.timing)


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Something in a text that would not leave as it was meant, and where it stands."""

    text: str
    """As it stands in the template: ``{zoom_link}``."""
    sentence: str
    step_id: UUID
    step: str
    template_id: UUID
    template: str
    variable: str | None = None
    """The name, where it is a variable that only lacks a value."""


@dataclass(frozen=True, slots=True)
class ReadinessStep:
    key: ReadinessKey
    done: bool
    sentence: str
    """What is there, or what is missing."""


@dataclass(frozen=True, slots=True)
class EventView:
    """An event with what a list shows of it."""

    id: UUID
    organization_id: UUID
    kind: EventKind
    title: str
    starts_at: datetime
    ends_at: datetime | None
    timezone: str
    status: EventStatus
    number_id: UUID | None
    phone_number: str | None
    number_name: str | None
    sequence_id: UUID | None
    sequence_name: str | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    organization_name: str = ""
    groups: int = 0
    steps: tuple[StepView, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    """Its own variables; those that follow from the event are not among them."""
    counts: Mapping[DisplayState, int] = field(default_factory=dict)
    readiness: tuple[ReadinessStep, ...] = ()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def is_ready(self) -> bool:
        return all(step.done for step in self.readiness)

    @property
    def facts(self) -> EventInput:
        return EventInput(
            title=self.title,
            starts_at=self.starts_at,
            timezone=self.timezone,
            ends_at=self.ends_at,
            number_id=self.number_id,
            sequence_id=self.sequence_id,
        )


@dataclass(frozen=True, slots=True)
class EventFilter:
    kind: EventKind
    period: Period = "upcoming"
    query: str = ""
    status: EventStatus | None = None


@dataclass(frozen=True, slots=True)
class EventCursor:
    """The last event of a page."""

    starts_at: datetime
    id: UUID

    @property
    def keys(self) -> tuple[str, str]:
        return self.starts_at.isoformat(), str(self.id)

    @classmethod
    def from_keys(cls, keys: Sequence[object]) -> EventCursor | None:
        """``None`` for what is no place in a list of events."""
        try:
            at, event_id = map(str, keys)
            moment = datetime.fromisoformat(at)
            return cls(moment, UUID(event_id)) if moment.tzinfo is not None else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run committed. The counts of messages add up to steps times groups."""

    scheduled: int
    already: int
    skipped_past: int
    cancelled: int
    """Called off one by one by a person: a run does not bring those back by itself."""
    refused: int = 0
    """To groups that the number cannot write to now. Once it can, a run adds them."""
    refused_groups: tuple[RefusedGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class EventGroupView:
    """A group of an event, as its number stands to it."""

    id: UUID
    name: str | None
    jid: str
    pending: int
    refusal: str | None
    """Why the event's number cannot write there."""


@dataclass(frozen=True, slots=True)
class MovedStep:
    """The pending messages of one step, and where they go."""

    step_id: UUID
    title: str
    when: str
    messages: int
    old_times: tuple[datetime, ...]
    """Usually one; several after a step was changed between two runs."""
    new_time: datetime
    new_expiry: datetime
    fate: Literal["moves", "stays", "sends_now", "cancelled"]
    note: str | None
    """What a change of the clocks does to the new time."""


@dataclass(frozen=True, slots=True)
class MovePlan:
    """What moving an event does to its pending messages."""

    old_start: datetime
    new_start: datetime
    steps: tuple[MovedStep, ...]
    untouched: int
    """Messages of steps that have left already, or are on their way."""
    texts: int
    """How many of the moving ones get another text, because the time is in it."""
    committed: bool

    def count(self, *fates: str) -> int:
        return sum(step.messages for step in self.steps if step.fate in fates)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Pending messages whose text is no longer that of their template and variables."""

    messages: int
    events: int
    unresolved: tuple[Unresolved, ...]
    """Where the new text would not leave: those messages keep their old one."""
    kept: int
    """How many messages that are."""
    committed: bool


@dataclass(frozen=True, slots=True)
class GroupsChanged:
    added: int
    removed: int
    total: int
    cancelled_messages: int


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit did, or would do, beyond the event itself."""

    moved_messages: int = 0
    """Pending ones that another number sends now."""
    not_member: tuple[EventGroupView, ...] = ()
    """Groups that this number cannot write to."""
    cancelled_messages: int = 0
    """Of a sequence that is no longer the event's."""
    committed: bool = True
