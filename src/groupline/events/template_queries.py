"""All SQL that reads templates."""

from collections import defaultdict
from collections.abc import Collection
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.name_pages import NameCursor, NamePage, page_by_name, words_of
from groupline.events.template_schemas import NamedRow, TemplateView
from groupline.models import Event, SequenceStep, Template
from groupline.models import Sequence as MessageSequence

_BY_NAME: Final = (func.lower(Template.name), Template.id)
_COLUMNS: Final = (
    Template.id,
    Template.name,
    Template.content,
    Template.media_url,
    Template.media_type,
    Template.created_at,
    Template.updated_at,
)


def _kept(organization_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (Template.organization_id == organization_id, Template.removed_at.is_(None))


async def list_templates(
    session: AsyncSession,
    organization_id: UUID,
    *,
    query: str = "",
    after: NameCursor | None = None,
    limit: int = 50,
) -> NamePage[TemplateView]:
    """By name. Every word of the query is in the name or in the text."""
    matching = select(*_COLUMNS).where(*_kept(organization_id), *map(_has_word, words_of(query)))
    views = partial(_views, session, organization_id)
    return await page_by_name(session, matching, _BY_NAME, views, after=after, limit=limit)


def _has_word(word: str) -> ColumnElement[bool]:
    return or_(
        Template.name.icontains(word, autoescape=True),
        Template.content.icontains(word, autoescape=True),
    )


async def get_template(
    session: AsyncSession, organization_id: UUID, template_id: UUID, *, for_update: bool = False
) -> TemplateView | None:
    statement = select(*_COLUMNS).where(*_kept(organization_id), Template.id == template_id)
    if for_update:
        statement = statement.with_for_update()
    views = await _views(session, organization_id, (await session.execute(statement)).all())
    return views[0] if views else None


async def template_names(session: AsyncSession, organization_id: UUID) -> list[NamedRow]:
    """All that can be chosen, by name."""
    statement = (
        select(Template.id, Template.name).where(*_kept(organization_id)).order_by(*_BY_NAME)
    )
    return [NamedRow(*row) for row in await session.execute(statement)]


async def lock_templates(
    session: AsyncSession, organization_id: UUID, template_ids: Collection[UUID]
) -> set[UUID]:
    """Those of the ids that are there, and stay until the transaction ends."""
    statement = (
        select(Template.id)
        .where(*_kept(organization_id), Template.id.in_(template_ids))
        .order_by(Template.id)
        .with_for_update(read=True)
    )
    return set(await session.scalars(statement))


async def name_is_taken(
    session: AsyncSession, organization_id: UUID, name: str, *, but: UUID | None
) -> bool:
    statement = select(
        exists().where(
            Template.organization_id == organization_id, Template.name == name, Template.id != but
        )
    )
    return (await session.execute(statement)).scalar_one()


async def was_ever_used(session: AsyncSession, organization_id: UUID, template_id: UUID) -> bool:
    """By a step, also one that was removed."""
    statement = select(
        exists().where(
            SequenceStep.organization_id == organization_id,
            SequenceStep.template_id == template_id,
        )
    )
    return (await session.execute(statement)).scalar_one()


async def names_of_copies(
    session: AsyncSession, organization_id: UUID, stem: str
) -> frozenset[str]:
    statement = select(Template.name).where(
        Template.organization_id == organization_id, Template.name.startswith(stem, autoescape=True)
    )
    return frozenset(await session.scalars(statement))


async def planned_events(session: AsyncSession, organization_id: UUID) -> list[NamedRow]:
    """The next ones, to choose whose values a preview shows."""
    statement = (
        select(Event.id, Event.title)
        .where(Event.organization_id == organization_id, Event.status == "planned")
        .order_by(Event.starts_at, Event.id)
        .limit(50)
    )
    return [NamedRow(*row) for row in await session.execute(statement)]


async def _views(
    session: AsyncSession, organization_id: UUID, rows: Collection[Any]
) -> tuple[TemplateView, ...]:
    users = await _sequences_of(session, organization_id, [row.id for row in rows])
    return tuple(
        TemplateView(
            id=row.id,
            name=row.name,
            content=row.content,
            media_url=row.media_url,
            media_type=row.media_type,
            created_at=row.created_at,
            updated_at=row.updated_at,
            sequences=tuple(users[row.id]),
        )
        for row in rows
    )


async def _sequences_of(
    session: AsyncSession, organization_id: UUID, template_ids: Collection[UUID]
) -> dict[UUID, list[NamedRow]]:
    statement = (
        select(SequenceStep.template_id, MessageSequence.id, MessageSequence.name)
        .distinct()
        .join(
            MessageSequence,
            and_(
                MessageSequence.organization_id == SequenceStep.organization_id,
                MessageSequence.id == SequenceStep.sequence_id,
            ),
        )
        .where(
            SequenceStep.organization_id == organization_id,
            SequenceStep.template_id.in_(template_ids),
            SequenceStep.removed_at.is_(None),
            MessageSequence.removed_at.is_(None),
        )
        .order_by(MessageSequence.name, MessageSequence.id)
    )
    found: dict[UUID, list[NamedRow]] = defaultdict(list)
    for template_id, sequence_id, name in await session.execute(statement):
        found[template_id].append(NamedRow(sequence_id, name))
    return found
