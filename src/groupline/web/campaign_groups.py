"""The first step of a campaign: its groups. It makes the draft that the other steps complete."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import FormData
from starlette.responses import Response

from groupline.campaigns import queries, service
from groupline.campaigns.schemas import CampaignView, NewCampaign
from groupline.errors import InvalidInput
from groupline.http.idempotency import Idempotency
from groupline.messages import queries as messages
from groupline.web.campaign_steps import Here, Wizard, WizardRoute, url_of
from groupline.web.group_picker import chosen_ids, picker
from groupline.web.parsing import uuid_or_none

router = APIRouter(prefix="/campaigns", route_class=WizardRoute)

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_MAX_FIELDS: Final = 12_000
"""One for each group: more than other forms have."""


class Made(BaseModel):
    """What the first step became."""

    id: UUID


@dataclass(frozen=True, slots=True)
class TypedGroups:
    name: str = ""
    group_ids: tuple[UUID, ...] = ()
    matching: tuple[str, ...] = ()


@router.get("/new")
async def new(
    here: Here,
    draft: Annotated[str, Query(max_length=200)] = "",
    group: Annotated[list[UUID] | None, Query()] = None,
) -> Response:
    """The form has a key of its own in its address: sent twice, it makes one draft."""
    if not is_key(draft):
        return with_fresh_key(here)
    async with here.runtime.database.reading() as session:
        earlier = await _once(here, draft).answered(session, here.organization_id)
    if earlier is not None:
        made = Made.model_validate_json(earlier.body)
        return here.pages.redirect(f"/campaigns/{made.id}")
    return await _groups_page(here, None, TypedGroups(group_ids=tuple(group or ())), draft=draft)


@router.post("/new")
async def make(here: Here) -> Response:
    form = await here.request.form(max_fields=_MAX_FIELDS)
    typed, draft = _typed_groups(form), str(form.get("draft", ""))
    try:
        campaign_id, is_new = await make_draft(here, draft, typed)
    except InvalidInput as error:
        return await _groups_page(here, None, typed, error, draft=draft)
    if not is_new:
        return await _save_groups(here, campaign_id, typed)
    return here.pages.redirect(url_of(campaign_id, "content"))


async def make_draft(here: Wizard, draft: str, typed: TypedGroups) -> tuple[UUID, bool]:
    """The draft that this form stands for, and whether it is a new one."""

    async def effect(session: AsyncSession) -> Made:
        ids = await _chosen(session, here, typed)
        number_id = await _best_number(session, here.organization_id, ids)
        wanted = NewCampaign(typed.name, number_id, ids, on_refused="keep")
        written = await service.create(
            session, here.organization_id, wanted, actor=here.principal.actor, now=here.now
        )
        return Made(id=written.id)

    answer = await _once(here, draft).once_in_transaction(here.principal, effect)
    return Made.model_validate_json(answer.body).id, not answer.replayed


def is_key(draft: str) -> bool:
    return _KEY.fullmatch(draft) is not None


def with_fresh_key(here: Wizard) -> Response:
    fresh = here.request.url.include_query_params(draft=secrets.token_urlsafe(12))
    return here.pages.redirect(f"{fresh.path}?{fresh.query}")


@router.get("/{campaign_id}/edit/groups")
async def groups(here: Here, campaign_id: UUID) -> Response:
    view = await here.view(campaign_id)
    async with here.runtime.database.reading() as session:
        ids = await queries.groups_of(session, here.organization_id, campaign_id)
    return await _groups_page(here, view, TypedGroups(view.name, tuple(ids)))


@router.post("/{campaign_id}/edit/groups")
async def save_groups(here: Here, campaign_id: UUID) -> Response:
    await here.view(campaign_id)
    form = await here.request.form(max_fields=_MAX_FIELDS)
    return await _save_groups(here, campaign_id, _typed_groups(form))


async def _save_groups(here: Wizard, campaign_id: UUID, typed: TypedGroups) -> Response:
    view = await here.view(campaign_id)
    try:
        async with here.runtime.database.reading() as session:
            ids = await _chosen(session, here, typed)
        await here.change(campaign_id, {"name": typed.name}, ids)
    except InvalidInput as error:
        return await _groups_page(here, view, typed, error)
    return here.pages.redirect(url_of(campaign_id, "content"))


async def _chosen(session: AsyncSession, here: Wizard, typed: TypedGroups) -> list[UUID]:
    ids = await chosen_ids(
        session, here.organization_id, None, chosen=typed.group_ids, matching=typed.matching
    )
    if not ids:
        why = "Choose at least one group."
        raise InvalidInput(why, fields={"groupIds": why})
    return ids


async def _best_number(
    session: AsyncSession, organization_id: UUID, group_ids: Sequence[UUID]
) -> UUID:
    """The number that can write to most of the groups, one that sends now if there is a choice."""
    numbers = await messages.sending_numbers(session, organization_id)
    if not numbers:
        why = "Connect a WhatsApp number first."
        raise InvalidInput(why, fields={"": why})
    writable = await queries.writable_by_number(session, organization_id, group_ids)
    return max(
        numbers, key=lambda each: (writable.get(each.id, 0), each.is_ready, each.is_connected)
    ).id


def _typed_groups(form: FormData) -> TypedGroups:
    ids = (uuid_or_none(str(each)) for each in form.getlist("groups"))
    return TypedGroups(
        name=str(form.get("name", "")),
        group_ids=tuple(each for each in ids if each is not None),
        matching=tuple(str(each) for each in form.getlist("groups_matching")),
    )


def _once(here: Wizard, draft: str) -> Idempotency:
    key = f"campaign:{draft}" if is_key(draft) else None
    return Idempotency(here.runtime, key, "campaign")


async def _groups_page(
    here: Wizard,
    view: CampaignView | None,
    typed: TypedGroups,
    refused: InvalidInput | None = None,
    *,
    draft: str = "",
) -> Response:
    async with here.runtime.database.reading() as session:
        found = await picker(
            session,
            here.organization_id,
            None,
            chosen=typed.group_ids,
            matching=typed.matching,
        )
    return here.render("groups", view, refused, picker=found, typed=typed, draft=draft)
