"""What a person looks at before a campaign starts: a start names it, and starts nothing else."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from groupline.errors import InvalidInput
from groupline.messages.schemas import RefusedGroup
from groupline.models import NotificationCampaign

_CHANGED: Final = (
    "It is not what this page showed: it was changed meanwhile, or groups can be written to that "
    "could not be before, or the reverse. Nothing was sent. Look at it again, as it is now."
)


def fingerprint(
    row: NotificationCampaign, group_ids: Iterable[UUID], refused: Sequence[RefusedGroup]
) -> str:
    """The same for as long as the same is sent to the same groups."""
    facts = [
        row.number_id,
        row.content,
        row.media_url,
        row.media_type,
        row.delay_seconds,
        row.late_minutes,
        row.scheduled_for and row.scheduled_for.isoformat(),
        sorted(map(str, group_ids)),
        sorted(str(each.group_id) for each in refused),
    ]
    return sha256(json.dumps(facts, default=str).encode()).hexdigest()


def check_same(checked: str, present: str) -> None:
    if checked != present:
        raise changed_meanwhile()


def changed_meanwhile() -> InvalidInput:
    return InvalidInput(_CHANGED, fields={"": "was changed meanwhile"})
