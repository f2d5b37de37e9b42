"""What is asked of the journal, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from groupline.journal import label_of
from groupline.models import ActorKind


@dataclass(frozen=True, slots=True)
class Filter:
    section: str | None = None
    """A key of ``SECTIONS``."""
    action: str | None = None
    actor_kind: ActorKind | None = None
    actor_id: str | None = None
    subject_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Up to, and not including it."""


@dataclass(frozen=True, slots=True)
class EntryView:
    id: UUID
    position: int
    at: datetime
    action: str
    sentence: str
    note: str | None
    actor_kind: ActorKind
    actor_id: str | None
    actor: str
    """As it is called. See ``by`` for what people read."""
    subject_kind: str
    subject_id: UUID | None
    subject: str
    data: Mapping[str, Any]

    @property
    def by(self) -> str:
        """As the story of a message names them."""
        return label_of(self.actor_kind, self.actor)


@dataclass(frozen=True, slots=True)
class ActorView:
    """Somebody who did something here, for the list to filter by."""

    kind: ActorKind
    id: str | None
    label: str

    @property
    def reference(self) -> str:
        return self.kind if self.id is None else f"{self.kind}:{self.id}"
