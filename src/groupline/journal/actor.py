"""Who did it."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from groupline.models import ActorKind


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, an API key, a gateway, or Groupline itself. The label outlives what it names."""

    kind: ActorKind
    label: str
    id: UUID | None = None

    @property
    def reference(self) -> str:
        """For columns like ``created_by``: ``user:<id>``, or ``system``."""
        return self.kind if self.id is None else f"{self.kind}:{self.id}"


SYSTEM: Final = Actor("system", "Groupline")
