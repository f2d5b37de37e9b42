"""Sending something to the groups of an event now, beside its sequence."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.errors import InvalidInput, NotFound
from groupline.events.group_queries import group_names
from groupline.events.queries import get_event, lock_event
from groupline.events.rules import NotReady, check_planned, word
from groupline.events.telling import tell
from groupline.events.texts import Texts, missing_sentence
from groupline.journal import Actor
from groupline.messages import service as messages
from groupline.messages.media import Media
from groupline.messages.schemas import NewMessages
from groupline.models import EventKind, MediaType, Template


@dataclass(frozen=True, slots=True)
class NewSend:
    """A text, with the variables of the event."""

    content: str = ""
    media: Media | None = None
    """As ``media.check`` found it, before the transaction."""
    group_ids: Collection[UUID] | None = None
    """Some of the event's groups; without it: all."""


async def send_now(
    session: AsyncSession,
    organization_id: UUID,
    event_id: UUID,
    wanted: NewSend,
    *,
    kind: EventKind | None = None,
    actor: Actor,
    now: datetime,
) -> list[UUID]:
    """One message per group, all or none, in front of everything else of the number."""
    await lock_event(session, organization_id, event_id, kind)
    event = await get_event(session, organization_id, event_id, now=now)
    check_planned(event.kind, event.status)
    if event.number_id is None:
        raise NotReady(
            f"This {word(event.kind)} has no number that sends.",
            state=event.status,
            missing=["number"],
        )
    names = await group_names(session, organization_id, event_id)
    chosen = _chosen(names, wanted.group_ids)
    texts = _filled(Texts(event), wanted.content, chosen)
    ids: list[UUID] = []
    for text, group_ids in texts.items():
        ids += await messages.schedule(
            session,
            organization_id,
            NewMessages(
                number_id=event.number_id,
                group_ids=group_ids,
                content=text,
                media=wanted.media,
                event_id=event_id,
            ),
            actor=actor,
            now=now,
        )
    await tell(
        session,
        "event.sent_now",
        organization_id=organization_id,
        event_id=event_id,
        data={"messages": len(ids)},
        actor=actor,
        now=now,
    )
    return ids


def _chosen(
    names: Mapping[UUID, str | None], group_ids: Collection[UUID] | None
) -> dict[UUID, str | None]:
    if group_ids is None:
        return dict(names)
    if any(each not in names for each in group_ids):
        raise NotFound("There is no such group in this event.")
    return {each: names[each] for each in group_ids}


async def from_template(
    session: AsyncSession, organization_id: UUID, template_id: UUID
) -> tuple[str, str | None, MediaType | None]:
    """Its text, and its media, which are still to be looked at."""
    statement = select(Template.content, Template.media_url, Template.media_type).where(
        Template.organization_id == organization_id,
        Template.id == template_id,
        Template.removed_at.is_(None),
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("There is no such template.")
    return row.content, row.media_url, row.media_type


def _filled(texts: Texts, content: str, groups: Mapping[UUID, str | None]) -> dict[str, list[UUID]]:
    """The groups by the text that they get."""
    found: dict[str, list[UUID]] = {}
    wrong: dict[str, str] = {}
    for group_id, name in groups.items():
        filled = texts.fill(content, name)
        wrong |= {
            f"{{{missing}}}": missing_sentence(missing, texts.values) for missing in filled.missing
        }
        wrong |= {problem.text: problem.sentence for problem in filled.problems}
        found.setdefault(filled.text, []).append(group_id)
    if wrong:
        why = " ".join(wrong.values())
        raise InvalidInput(f"Nothing was sent. {why}", fields={"content": why, **wrong})
    if not groups:
        raise InvalidInput("Choose at least one group.", fields={"groupIds": "choose some"})
    return found
