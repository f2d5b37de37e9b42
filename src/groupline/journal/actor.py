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
    part: str | None = None
    """Of Groupline itself: what of it was used by somebody who has no name here."""

    @property
    def reference(self) -> str:
        """For columns like ``created_by``: ``user:<id>``, ``system``, or ``system:<part>``."""
        named = self.id or self.part
        return self.kind if named is None else f"{self.kind}:{named}"


def label_of(kind: str, name: str) -> str:
    """For people. A program is told from a person who is called alike."""
    return f"API key {name}" if kind == "api_key" else name


SYSTEM: Final = Actor("system", "Groupline")
COMMAND_LINE: Final = Actor("system", "Command line", part="command-line")
"""Who can run commands on the server is known there, and not to Groupline."""
