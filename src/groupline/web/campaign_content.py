"""Planning a campaign: its message, written here or taken from a template with its variables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.campaigns import queries
from groupline.campaigns.content import BUILTIN, MAX_CONTENT, check_content
from groupline.campaigns.schemas import CampaignView, Field
from groupline.errors import InvalidInput
from groupline.events.preview import values_for_preview
from groupline.events.template_queries import planned_events, template_names
from groupline.events.templates import get_template
from groupline.messages import media
from groupline.messages import queries as messages
from groupline.messages.schemas import SendableGroup
from groupline.messages.variables import fill, scan
from groupline.web.campaign_steps import Here, Wizard, WizardRoute, url_of
from groupline.web.campaigns import sample
from groupline.web.parsing import uuid_or_none

router = APIRouter(prefix="/campaigns", route_class=WizardRoute)

_VALUE: Final = "value:"
"""Before the name of a variable, in the name of its field."""


@dataclass(frozen=True, slots=True)
class TypedMessage:
    """What a person has entered."""

    text: str = ""
    media_url: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of variables that a campaign does not have: they go into the text when it is saved."""
    is_preview: bool = False

    @property
    def content(self) -> str:
        return fill(self.text, {name: value for name, value in self.values.items() if value}).text

    @property
    def lacking(self) -> list[str]:
        """The variables that need a value here."""
        return [name for name in scan(self.text).names if name not in BUILTIN]


async def typed_message(request: Request) -> TypedMessage:
    async with request.form() as form:
        given = {name: value for name, value in form.items() if isinstance(value, str)}
    values = {
        name.removeprefix(_VALUE): value.replace("\r\n", "\n").strip()
        for name, value in given.items()
        if name.startswith(_VALUE)
    }
    text = given.get("content", "").replace("\r\n", "\n")
    return TypedMessage(
        text, given.get("media_url", "").strip(), values, given.get("action") == "preview"
    )


@router.get("/{campaign_id}/edit/content")
async def content(
    here: Here,
    campaign_id: UUID,
    template: Annotated[str, Query(max_length=50)] = "",
    event: Annotated[str, Query(max_length=50)] = "",
) -> Response:
    """With a template, its text instead of the one that is stored. Nothing is saved by looking."""
    view = await here.view(campaign_id)
    template_id, event_id = uuid_or_none(template), uuid_or_none(event)
    if template_id is None:
        typed = TypedMessage(view.content, view.media_url or "")
    else:
        async with here.runtime.database.reading() as session:
            typed = await _taken(session, here, template_id, event_id)
    return await _content_page(here, view, typed, chosen=(template_id, event_id))


async def _taken(
    session: AsyncSession, here: Wizard, template_id: UUID, event_id: UUID | None
) -> TypedMessage:
    """The template with the values of an event. What a campaign has by itself stays a variable."""
    found = await get_template(session, here.organization_id, template_id)
    values: dict[str, str] = {}
    if event_id is not None:
        values = await values_for_preview(session, here.organization_id, event_id, now=here.now)
    own = {name: value for name, value in values.items() if name not in BUILTIN}
    return TypedMessage(fill(found.content, own).text, found.media_url or "")


@router.post("/{campaign_id}/edit/content")
async def save_content(
    here: Here, campaign_id: UUID, typed: Annotated[TypedMessage, Depends(typed_message)]
) -> Response:
    """With ``preview`` nothing is saved: it is how the text looks while it is typed."""
    view = await here.view(campaign_id)
    if typed.is_preview:
        return await _content_page(here, view, typed)
    try:
        if not typed.text.strip() and not typed.media_url:
            why = "Write a text, name a file, or both."
            raise InvalidInput(why, fields={"content": why})
        await here.change(campaign_id, await _fields(here, view, typed))
    except InvalidInput as error:
        return await _content_page(here, view, typed, error)
    return here.pages.redirect(url_of(campaign_id, "sending"))


async def _fields(here: Wizard, view: CampaignView, typed: TypedMessage) -> dict[Field, object]:
    fields: dict[Field, object] = {"content": typed.content}
    if typed.media_url != (view.media_url or ""):
        policy = here.runtime.media_policy
        fields["media"] = await media.check_if_given(typed.media_url or None, policy=policy)
    return fields


async def _content_page(
    here: Wizard,
    view: CampaignView,
    typed: TypedMessage,
    refused: InvalidInput | None = None,
    chosen: tuple[UUID | None, UUID | None] = (None, None),
) -> Response:
    unresolved = None
    try:
        check_content(typed.content)
    except InvalidInput as error:
        unresolved = error.detail
    group, organization = await first_group(here, view)
    return here.render(
        "content",
        view,
        refused,
        typed=typed,
        prefix=_VALUE,
        bubble=sample(typed.content, organization, group),
        sample_group=group,
        unresolved=unresolved,
        variables=BUILTIN,
        limit=MAX_CONTENT,
        **await _choices(here),
        chosen=chosen,
    )


async def _choices(here: Wizard) -> dict[str, Any]:
    """The templates, and the events whose values can go into them."""
    async with here.runtime.database.reading() as session:
        templates = await template_names(session, here.organization_id)
        events = await planned_events(session, here.organization_id)
    return {
        "template_options": [(each.id, each.name) for each in templates],
        "event_options": [(each.id, each.name) for each in events],
    }


async def first_group(here: Wizard, view: CampaignView) -> tuple[SendableGroup | None, str]:
    """Whose eyes a preview takes, and the name of the organization."""
    async with here.runtime.database.reading() as session:
        ids = await queries.groups_of(session, here.organization_id, view.id)
        found = await messages.groups_for_sending(
            session, here.organization_id, view.number_id, ids=ids[:1]
        )
        organization = await queries.organization_name(session, here.organization_id)
    return (found[0] if found else None), organization
