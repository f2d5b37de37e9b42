"""What the doctor finds: a contradiction, in words, and what would be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    """Stable, for programs: `session.stuck`."""
    organization_id: UUID
    subject: str
    subject_id: UUID
    problem: str
    remedy: str | None
    """What `--fix` does. None: a person has to decide."""
