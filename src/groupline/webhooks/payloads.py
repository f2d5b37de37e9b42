"""What a webhook says: the entry of the journal, with the ids that a program goes on from."""

from typing import Any
from uuid import UUID

from groupline.models import JournalEntry
from groupline.webhooks.queries import Subjects
from groupline.webhooks.rules import EventType


def payload_of(entry: JournalEntry, event_type: EventType, subjects: Subjects) -> dict[str, Any]:
    """As Standard Webhooks has it: type, timestamp, data."""
    facts: dict[str, Any] = {}
    if entry.subject_id is not None:
        facts[f"{entry.subject}Id"] = str(entry.subject_id)
        facts |= _about(entry.subject, entry.subject_id, subjects)
    return {
        "type": event_type,
        "timestamp": entry.at.isoformat(),
        "data": entry.data | facts,
    }


def _about(subject: str, subject_id: UUID, subjects: Subjects) -> dict[str, Any]:
    if subject == "number" and subject_id in subjects.numbers:
        return {"phoneNumber": subjects.numbers[subject_id]}
    if subject == "campaign" and subject_id in subjects.campaigns:
        return {"name": subjects.campaigns[subject_id]}
    if subject == "message" and subject_id in subjects.messages:
        row = subjects.messages[subject_id]
        return {
            "numberId": str(row["number_id"]),
            "groupId": str(row["group_id"]),
            "campaignId": _text(row["campaign_id"]),
            "eventId": _text(row["event_id"]),
            "scheduledFor": row["scheduled_for"].isoformat(),
        }
    return {}


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
