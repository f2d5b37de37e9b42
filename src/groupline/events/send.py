"""Sending something to the groups of an event now, beside its sequence."""

from collections.abc import Collection, Mapping, Sequence
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
from groupline.messages.media import Media
from groupline.messages.refusals import content_refusal
from groupline.messages.rules import PRIORITY_NOW, Policy
from groupline.messages.schemas import Draft, GroupsRefused, RefusedGroup
from groupline.messages.service import MAX_CONTENT, enqueue
from groupline.models import EventKind, MediaType, Template
from groupline.text import check_text


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
    texts = _filled(Texts(event), wanted, chosen)
    drafts = [
        Draft(
            number_id=event.number_id,
            group_id=group_id,
            content=text,
            media_url=wanted.media.url if wanted.media else None,
            media_type=wanted.media.kind if wanted.media else None,
            scheduled_for=now,
            expires_at=now + Policy().late,
            priority=PRIORITY_NOW,
            event_id=event_id,
        )
        for group_id, text in texts.items()
    ]
    ids = await _write(session, organization_id, drafts, actor=actor, now=now)
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


async def _write(
    session: AsyncSession,
    organization_id: UUID,
    drafts: Sequence[Draft],
    *,
    actor: Actor,
    now: datetime,
) -> list[UUID]:
    """A group that cannot be written to refuses them all: the caller's transaction ends."""
    written = await enqueue(session, organization_id, drafts, actor=actor, now=now)
    if written.refused:
        raise GroupsRefused(
            [
                RefusedGroup(each.draft.group_id, each.group_name, each.code, each.reason)
                for each in written.refused
            ]
        )
    return list(written)


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


def _filled(texts: Texts, wanted: NewSend, groups: Mapping[UUID, str | None]) -> dict[UUID, str]:
    """What each group gets. Raises ``InvalidInput`` with everything that has no value."""
    if not groups:
        raise InvalidInput("Choose at least one group.", fields={"groupIds": "choose some"})
    content = check_text(wanted.content, field="content", what="message")
    found: dict[UUID, str] = {}
    wrong: dict[str, str] = {}
    for group_id, name in groups.items():
        filled = texts.fill(content, name)
        wrong |= {
            f"{{{missing}}}": missing_sentence(missing, texts.values) for missing in filled.missing
        }
        wrong |= {problem.text: problem.sentence for problem in filled.problems}
        found[group_id] = filled.text
    if wrong:
        why = " ".join(wrong.values())
        raise InvalidInput(f"Nothing was sent. {why}", fields={"content": why, **wrong})
    for text in set(found.values()):
        _check_fits(text, has_media=wanted.media is not None)
    return found


def _check_fits(text: str, *, has_media: bool) -> None:
    refusal = content_refusal(text, has_media=has_media)
    if refusal is not None:
        raise InvalidInput(refusal.sentence, fields={"content": refusal.sentence})
    if len(text) > MAX_CONTENT:
        why = f"At most {MAX_CONTENT:,} characters, with its values."
        raise InvalidInput(why, fields={"content": why})
