"""Templates: the texts that sequences send, written once."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Table, delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from groupline import journal
from groupline.db import announce
from groupline.errors import Conflict, InvalidInput, NotFound
from groupline.events import template_queries as queries
from groupline.events.names import name_of_copy, name_when_removed
from groupline.events.template_schemas import (
    MAX_TEMPLATE_NAME,
    ContentProblems,
    TemplateInput,
    TemplateView,
)
from groupline.ids import new_id
from groupline.journal import Actor
from groupline.messages.service import MAX_CONTENT
from groupline.messages.variables import plain, scan
from groupline.models import Template
from groupline.text import check_text, clean_line, is_blank

TEMPLATES: Final[Table] = Template.__table__  # type: ignore[assignment]


class TemplateInUse(Conflict):
    code, title = "template_in_use", "This template is in use"


async def get_template(
    session: AsyncSession, organization_id: UUID, template_id: UUID, *, for_update: bool = False
) -> TemplateView:
    view = await queries.get_template(session, organization_id, template_id, for_update=for_update)
    if view is None:
        raise NotFound("There is no such template.")
    return view


async def create_template(
    session: AsyncSession,
    organization_id: UUID,
    wanted: TemplateInput,
    *,
    actor: Actor,
    now: datetime,
) -> TemplateView:
    checked = check_template(wanted)
    await _need_free_name(session, organization_id, checked.name)
    template_id = new_id()
    row = _columns(checked) | {"created_at": now, "updated_at": now}
    identity = {"id": template_id, "organization_id": organization_id}
    await _store(session, insert(TEMPLATES).values(**identity, **row), checked.name)
    await _tell(
        session, organization_id, template_id, "template.created", checked, actor=actor, now=now
    )
    return await get_template(session, organization_id, template_id)


async def change_template(
    session: AsyncSession,
    organization_id: UUID,
    template_id: UUID,
    wanted: TemplateInput,
    *,
    actor: Actor,
    now: datetime,
) -> TemplateView:
    """Messages that were scheduled with it keep their text: ``pending.refresh_texts`` offers to
    update them."""
    before = await get_template(session, organization_id, template_id, for_update=True)
    checked = check_template(wanted)
    if checked == before.input:
        return before
    await _need_free_name(session, organization_id, checked.name, but=template_id)
    await _store(
        session, _update(organization_id, template_id, _columns(checked), now), checked.name
    )
    await _tell(
        session, organization_id, template_id, "template.changed", checked, actor=actor, now=now
    )
    return await get_template(session, organization_id, template_id)


async def duplicate_template(
    session: AsyncSession, organization_id: UUID, template_id: UUID, *, actor: Actor, now: datetime
) -> TemplateView:
    original = await get_template(session, organization_id, template_id)
    taken = await queries.names_of_copies(session, organization_id, original.name[:50])
    name = name_of_copy(original.name, taken, most=MAX_TEMPLATE_NAME)
    wanted = replace(original.input, name=name)
    return await create_template(session, organization_id, wanted, actor=actor, now=now)


async def remove_template(
    session: AsyncSession, organization_id: UUID, template_id: UUID, *, actor: Actor, now: datetime
) -> None:
    """Refused while a sequence sends it. What was sent with it keeps its story."""
    view = await get_template(session, organization_id, template_id, for_update=True)
    if view.sequences:
        raise _in_use(view)
    if await queries.was_ever_used(session, organization_id, template_id):
        gone = {"name": name_when_removed(view.name, now.astimezone(UTC)), "removed_at": now}
        await session.execute(_update(organization_id, template_id, gone, now))
    else:
        await session.execute(
            delete(TEMPLATES).where(
                TEMPLATES.c.organization_id == organization_id, TEMPLATES.c.id == template_id
            )
        )
    await _tell(
        session, organization_id, template_id, "template.removed", view.input, actor=actor, now=now
    )


def _in_use(view: TemplateView) -> TemplateInUse:
    names = [f"“{each.name}”" for each in view.sequences]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    word = "sequence" if len(names) == 1 else "sequences"
    return TemplateInUse(
        f"It is sent by the {word} {', '.join(names[:3])}{more}.",
        hint="Take it out of there first, or change its text.",
        state="in_use",
        sequences=[{"id": str(each.id), "name": each.name} for each in view.sequences],
    )


# --- checks ---------------------------------------------------------------------------------


def check_template(wanted: TemplateInput) -> TemplateInput:
    """As it is stored. Raises ``InvalidInput`` with every field that is wrong."""
    refused: InvalidInput | None = None
    name = wanted.name
    try:
        name = clean_line(wanted.name, field="name", what="name", most=MAX_TEMPLATE_NAME)
    except InvalidInput as error:
        refused = error
    try:
        content = check_content(wanted.content, has_media=wanted.media_url is not None)
    except InvalidInput as error:
        error.fields.update(refused.fields if refused else {})
        raise
    if refused is not None:
        raise refused
    return replace(wanted, name=name, content=content)


def check_content(text: str, *, has_media: bool) -> str:
    content = check_text(text, field="content", what="text")
    if len(content) > MAX_CONTENT:
        raise _wrong("content", f"At most {MAX_CONTENT} characters.")
    if not has_media and is_blank(plain(content)):
        raise _wrong("content", "Write a text, or give a file.")
    problems = scan(content).problems
    if problems:
        raise ContentProblems(problems)
    return content


def _wrong(field: str, why: str) -> InvalidInput:
    return InvalidInput(why, fields={field: why})


async def _need_free_name(
    session: AsyncSession, organization_id: UUID, name: str, but: UUID | None = None
) -> None:
    if await queries.name_is_taken(session, organization_id, name, but=but):
        raise _name_taken(name)


def _name_taken(name: str) -> InvalidInput:
    return _wrong("name", f"There is a template called “{name}” already.")


# --- writing --------------------------------------------------------------------------------


async def _store(session: AsyncSession, statement: Any, name: str) -> None:
    try:
        await session.execute(statement)
    except IntegrityError as error:  # somebody took the name since it was looked at
        raise _name_taken(name) from error


def _update(organization_id: UUID, template_id: UUID, values: dict[str, Any], now: datetime) -> Any:
    return (
        update(TEMPLATES)
        .where(TEMPLATES.c.organization_id == organization_id, TEMPLATES.c.id == template_id)
        .values(**values, updated_at=now)
    )


def _columns(checked: TemplateInput) -> dict[str, Any]:
    return {
        "name": checked.name,
        "content": checked.content,
        "media_url": checked.media_url,
        "media_type": checked.media_type,
    }


async def _tell(
    session: AsyncSession,
    organization_id: UUID,
    template_id: UUID,
    action: str,
    said: TemplateInput,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    await journal.record(
        session,
        action=action,
        actor=actor,
        organization_id=organization_id,
        subject="template",
        subject_id=template_id,
        data={"name": said.name, "variables": list(scan(said.content).names)},
        at=now,
    )
    await announce(session, "templates", organization_id=organization_id, subject_id=template_id)
