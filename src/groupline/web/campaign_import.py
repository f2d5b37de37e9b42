"""Bringing the groups of a campaign as a table: looked at first, then added."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from groupline.campaigns import queries
from groupline.campaigns.schemas import CampaignView
from groupline.errors import InvalidInput
from groupline.events.choices import group_book
from groupline.events.imports import GROUP_COLUMNS, FoundGroups, find_groups
from groupline.events.tables import read_table
from groupline.web.brought import GROUPS_EXAMPLE, Brought, read_brought
from groupline.web.campaign_groups import TypedGroups, is_key, make_draft, with_fresh_key
from groupline.web.campaign_steps import Here, Wizard, WizardRoute, url_of

router = APIRouter(prefix="/campaigns", route_class=WizardRoute)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the groups go: into a campaign, or into a draft that is made of them."""

    view: CampaignView | None
    draft: str = ""

    @property
    def back(self) -> str:
        if self.view is not None:
            return url_of(self.view.id, "groups")
        return f"/campaigns/new?draft={self.draft}"

    @property
    def action(self) -> str:
        return "/campaigns/new/import" if self.view is None else f"{self.back}/import"


@router.get("/new/import")
async def new(here: Here, draft: Annotated[str, Query(max_length=64)] = "") -> Response:
    return _page(here, Place(None, draft)) if is_key(draft) else with_fresh_key(here)


@router.post("/new/import")
async def look_for_new(here: Here) -> Response:
    brought = await read_brought(here.request)
    return await _looked_at(here, Place(None, brought.fields.get("draft", "")), brought)


@router.get("/{campaign_id}/edit/groups/import")
async def form(here: Here, campaign_id: UUID) -> Response:
    return _page(here, Place(await here.view(campaign_id)))


@router.post("/{campaign_id}/edit/groups/import")
async def look(here: Here, campaign_id: UUID) -> Response:
    view = await here.view(campaign_id)
    return await _looked_at(here, Place(view), await read_brought(here.request))


async def _looked_at(here: Wizard, place: Place, brought: Brought) -> Response:
    found = None
    try:
        table = read_table(brought.data, columns=GROUP_COLUMNS)
        async with here.runtime.database.reading() as session:
            book = await group_book(session, here.organization_id)
        found = find_groups(table, book)
        if not brought.taken or not found.groups:
            return _page(here, place, brought, found)
        campaign_id, added = await _take(here, place, brought, found)
    except InvalidInput as error:
        return _page(here, place, brought, found, error)
    said = "1 group added." if added == 1 else f"{added:,} groups added."
    return here.pages.redirect(url_of(campaign_id, "groups"), toast=("success", said))


async def _take(
    here: Wizard, place: Place, brought: Brought, found: FoundGroups
) -> tuple[UUID, int]:
    """To those that the campaign has: a list takes none away."""
    ids = [group.id for group in found.groups]
    if place.view is None:
        typed = TypedGroups(brought.fields.get("name", ""), tuple(ids))
        made, is_new = await make_draft(here, place.draft, typed)
        if is_new:
            return made, len(ids)
        campaign = await here.view(made)
    else:
        campaign = place.view
    async with here.runtime.database.reading() as session:
        present = await queries.groups_of(session, here.organization_id, campaign.id)
    wanted = list(dict.fromkeys([*present, *ids]))
    await here.change(campaign.id, {}, wanted)
    return campaign.id, len(wanted) - len(present)


def _page(
    here: Wizard,
    place: Place,
    brought: Brought | None = None,
    found: FoundGroups | None = None,
    refused: InvalidInput | None = None,
) -> Response:
    mistakes = found.mistakes if found else ()
    return here.pages.render(
        here.request,
        "campaigns/import.html",
        principal=here.principal,
        nav="campaigns",
        status=422 if refused or mistakes else 200,
        campaign=place.view,
        place=place,
        name=brought.fields.get("name", "") if brought else "",
        text=brought.text if brought else "",
        rows=found.groups if found else (),
        mistakes=mistakes,
        refused=refused,
        columns=GROUP_COLUMNS,
        example=GROUPS_EXAMPLE,
    )
