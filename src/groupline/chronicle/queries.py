"""All SQL of the journal as people read it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.chronicle.masking import masked, masked_text
from groupline.chronicle.names import name_of, names_of
from groupline.chronicle.schemas import ActorView, EntryView, Filter
from groupline.chronicle.sentences import SECTIONS, note_of, sentence_of
from groupline.journal import label_of
from groupline.models import ApiKey, JournalEntry, OrganizationMember, User
from groupline.models.journal import QUIET


async def entries(
    session: AsyncSession,
    organization_id: UUID,
    asked: Filter,
    *,
    before: int | None = None,
    limit: int,
) -> list[EntryView]:
    """Newest first; ``before`` is the position of the last entry seen."""
    statement = (
        select(JournalEntry)
        .where(JournalEntry.organization_id == organization_id, *_conditions(asked))
        .order_by(JournalEntry.position.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(JournalEntry.position < before)
    found = (await session.scalars(statement)).all()
    names = await names_of(session, organization_id, found)
    return [_view(entry, name_of(entry, names)) for entry in found]


def _conditions(asked: Filter) -> list[ColumnElement[bool]]:
    entry = JournalEntry
    conditions: list[ColumnElement[bool]] = []
    if asked.section is not None:
        conditions += _in_section(asked.section)
    if asked.action is not None:
        conditions.append(entry.action == asked.action)
        if not asked.action.startswith("message."):
            conditions.append(_quiet())
    if asked.actor_kind is not None:
        conditions.append(entry.actor_kind == asked.actor_kind)
    if asked.actor_id is not None:
        conditions.append(entry.actor_id == asked.actor_id)
    if asked.subject_id is not None:
        conditions.append(entry.subject_id == asked.subject_id)
    if asked.since is not None:
        conditions.append(entry.at >= asked.since)
    if asked.until is not None:
        conditions.append(entry.at < asked.until)
    return conditions


def _in_section(section: str) -> list[ColumnElement[bool]]:
    _, beginnings = SECTIONS[section]
    found: ColumnElement[bool] = or_(
        *(JournalEntry.action.like(f"{each}.%") for each in beginnings)
    )
    return [found] if section == "messages" else [found, _quiet()]


def _quiet() -> ColumnElement[bool]:
    """As the partial index has it, to the letter: else it is not used."""
    return text(QUIET)  # type: ignore[return-value]  # a condition as good as any


def _view(entry: JournalEntry, subject: str) -> EntryView:
    data = masked(entry.data)
    note = note_of(data)
    subject = masked_text(subject)
    sentence = masked_text(sentence_of(entry.action, subject, data))
    return EntryView(
        id=entry.id,
        position=entry.position,
        at=entry.at,
        action=entry.action,
        sentence=sentence,
        note=None if note is not None and note in sentence else note,
        actor_kind=entry.actor_kind,
        actor_id=entry.actor_id,
        actor=masked_text(entry.actor_label),
        subject_kind=entry.subject,
        subject_id=entry.subject_id,
        subject=subject,
        data=data,
    )


async def actors(session: AsyncSession, organization_id: UUID) -> Sequence[ActorView]:
    """Who may have done something: members, API keys, gateways, and Groupline itself."""
    people = await session.execute(
        select(User.id, User.name)
        .join(OrganizationMember, OrganizationMember.user_id == User.id)
        .where(OrganizationMember.organization_id == organization_id)
        .order_by(User.name, User.id)
    )
    keys = await session.execute(
        select(ApiKey.id, ApiKey.name)
        .where(ApiKey.organization_id == organization_id)
        .order_by(ApiKey.name, ApiKey.id)
    )
    return [
        *(ActorView("user", str(row[0]), row[1]) for row in people),
        *(ActorView("api_key", str(row[0]), label_of("api_key", row[1])) for row in keys),
        ActorView("system", None, "Groupline"),
        ActorView("gateway", None, "A gateway"),
    ]
