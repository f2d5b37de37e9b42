"""What entries are about, by name: one query per kind of thing, whatever the count of entries."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.gateways.phone import mask_phone
from groupline.models import (
    Alert,
    AlertChannel,
    ApiKey,
    Event,
    Gateway,
    JournalEntry,
    NotificationCampaign,
    Organization,
    ScheduledWhatsappMessage,
    Template,
    User,
    WebhookEndpoint,
    WhatsappGroup,
    WhatsappNumber,
    WhatsappSession,
)
from groupline.models import (
    Sequence as StepSequence,
)

Query = Callable[[UUID], Any]
"""The rows of an organization: an id, and what makes a name."""


def _number_name(display: str | None, phone: str | None) -> str | None:
    if phone is None:
        return display
    return f"{display} ({mask_phone(phone)})" if display else mask_phone(phone)


def _of(entity: Any, name: Any) -> Query:
    return lambda organization_id: select(entity.id, name).where(
        entity.organization_id == organization_id
    )


def _messages(organization_id: UUID) -> Any:
    message, group = ScheduledWhatsappMessage, WhatsappGroup
    return (
        select(message.id, group.group_name)
        .join(group, group.id == message.group_id)
        .where(message.organization_id == organization_id)
    )


def _sessions(organization_id: UUID) -> Any:
    pairing, number = WhatsappSession, WhatsappNumber
    return (
        select(pairing.id, pairing.label, number.phone_number)
        .outerjoin(number, number.id == pairing.number_id)
        .where(pairing.organization_id == organization_id)
    )


def _numbers(organization_id: UUID) -> Any:
    number = WhatsappNumber
    return select(number.id, number.display_name, number.phone_number).where(
        number.organization_id == organization_id
    )


_QUERIES: Final[Mapping[str, tuple[Any, Query]]] = {
    "number": (WhatsappNumber, _numbers),
    "session": (WhatsappSession, _sessions),
    "message": (ScheduledWhatsappMessage, _messages),
    "group": (WhatsappGroup, _of(WhatsappGroup, WhatsappGroup.group_name)),
    "campaign": (NotificationCampaign, _of(NotificationCampaign, NotificationCampaign.name)),
    "event": (Event, _of(Event, Event.title)),
    "template": (Template, _of(Template, Template.name)),
    "sequence": (StepSequence, _of(StepSequence, StepSequence.name)),
    "api_key": (ApiKey, _of(ApiKey, ApiKey.name)),
    "alert": (Alert, _of(Alert, Alert.title)),
    "alert_channel": (AlertChannel, _of(AlertChannel, AlertChannel.name)),
    "webhook_endpoint": (WebhookEndpoint, _of(WebhookEndpoint, WebhookEndpoint.url)),
    "organization": (
        Organization,
        lambda organization_id: select(Organization.id, Organization.name).where(
            Organization.id == organization_id
        ),
    ),
    # What belongs to no organization: the entry that names it does.
    "gateway": (Gateway, lambda _organization_id: select(Gateway.id, Gateway.name)),
    "user": (User, lambda _organization_id: select(User.id, User.name)),
    "member": (User, lambda _organization_id: select(User.id, User.name)),
}

_WORDS: Final[Mapping[str, str]] = {
    "number": "a number",
    "session": "a phone",
    "message": "a group",
    "api_key": "an API key",
    "user": "somebody",
    "member": "somebody",
    "alert_channel": "a channel",
    "webhook_endpoint": "a receiver",
}


async def names_of(
    session: AsyncSession, organization_id: UUID, entries: Sequence[JournalEntry]
) -> dict[UUID, str]:
    """By the id of the subject. What is gone has no name any more."""
    by_kind: dict[str, set[UUID]] = {}
    for entry in entries:
        if entry.subject_id is not None and entry.subject in _QUERIES:
            by_kind.setdefault(entry.subject, set()).add(entry.subject_id)
    found: dict[UUID, str] = {}
    for kind, ids in by_kind.items():
        entity, query = _QUERIES[kind]
        for row in await session.execute(query(organization_id).where(entity.id.in_(ids))):
            name = _name(kind, row)
            if name:
                found[row[0]] = name
    return found


def _name(kind: str, row: Any) -> str | None:
    if kind in ("number", "session"):
        return _number_name(row[1], row[2])
    if kind == "webhook_endpoint":
        return urlsplit(str(row[1])).hostname
    return None if row[1] is None else str(row[1])


def name_of(entry: JournalEntry, names: Mapping[UUID, str]) -> str:
    """The name now, or the one that the entry kept, or what it was."""
    if entry.subject_id is not None and entry.subject_id in names:
        return names[entry.subject_id]
    for fact in ("name", "title", "host", "email", "group"):
        kept = entry.data.get(fact)
        if isinstance(kept, str) and kept:
            return kept
    word = entry.subject.replace("_", " ")
    return _WORDS.get(entry.subject, f"{'an' if word[0] in 'aeio' else 'a'} {word}")
