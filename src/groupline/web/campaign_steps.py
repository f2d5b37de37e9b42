"""What the steps of planning a campaign share."""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from groupline.campaigns import edit, queries, rules
from groupline.campaigns.schemas import CampaignView, Change, Field
from groupline.errors import Conflict, InvalidInput
from groupline.gateways.phone import display_phone
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.messages.schemas import GroupsRefused
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.rendering import CurrentPages, Pages, Toast, pages_of

Operator = Annotated[Principal, Depends(page_allowed(Permission.OPERATE))]
Step = Literal["groups", "content", "sending", "check"]

STEPS: Final[tuple[tuple[Step, str], ...]] = (
    ("groups", "Groups"),
    ("content", "Message"),
    ("sending", "Number and time"),
    ("check", "Check"),
)
_NAMES: Final[Mapping[str, str]] = {
    "groupIds": "groups",
    "mediaUrl": "media_url",
    "numberId": "number_id",
    "delaySeconds": "delay_seconds",
    "lateMinutes": "late_hours",
    "scheduledFor": "at",
}


class PlanningIsOverError(Exception):
    """The campaign cannot be planned any more: it has begun, or was cancelled."""

    def __init__(self, campaign_id: UUID, why: str) -> None:
        super().__init__(why)
        self.campaign_id, self.why = campaign_id, why


@contextmanager
def planning(campaign_id: UUID) -> Iterator[None]:
    try:
        yield
    except Conflict as error:
        raise PlanningIsOverError(campaign_id, error.detail) from error


class WizardRoute(APIRoute):
    """Back, after the start, leads to the campaign instead of to a form that cannot be saved."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_leave(request: Request) -> Response:
            try:
                return await handle(request)
            except PlanningIsOverError as over:
                toast: Toast | None = None if request.method == "GET" else ("warning", over.why)
                return pages_of(request).redirect(f"/campaigns/{over.campaign_id}", toast=toast)

        return handle_or_leave


@dataclass(frozen=True, slots=True)
class Wizard:
    """One request for one step."""

    request: Request
    runtime: Runtime
    pages: Pages
    principal: Principal

    @property
    def organization_id(self) -> UUID:
        return self.principal.organization_id

    @property
    def now(self) -> datetime:
        return self.runtime.clock.now()

    async def view(self, campaign_id: UUID) -> CampaignView:
        """What can still be planned."""
        async with self.runtime.database.reading() as session:
            view = await queries.get_view(session, self.organization_id, campaign_id)
        with planning(campaign_id):
            rules.check("edit", view.status)
        return view

    def render(
        self,
        step: Step,
        view: CampaignView | None,
        refused: InvalidInput | None = None,
        **context: Any,
    ) -> Response:
        return self.pages.render(
            self.request,
            f"campaigns/{step}.html",
            principal=self.principal,
            nav="campaigns",
            status=200 if refused is None else refused.status,
            step=step,
            steps=_steps(view),
            campaign=view,
            errors=_errors(refused),
            phone=display_phone,
            **context,
        )

    async def change(
        self,
        campaign_id: UUID,
        fields: Mapping[Field, object],
        group_ids: Sequence[UUID] | None = None,
    ) -> None:
        with planning(campaign_id):
            await self._change(campaign_id, Change(fields, group_ids, "keep"))

    async def _change(self, campaign_id: UUID, wanted: Change) -> None:
        async with self.runtime.database.writing() as session:
            await edit.change(
                session,
                self.organization_id,
                campaign_id,
                wanted,
                actor=self.principal.actor,
                now=self.now,
            )


async def _wizard(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Operator
) -> Wizard:
    return Wizard(request, runtime, pages, principal)


Here = Annotated[Wizard, Depends(_wizard)]


def _steps(view: CampaignView | None) -> list[tuple[str, str, str]]:
    """With the addresses of the steps, once there is a draft."""
    if view is None:
        return [(key, label, "") for key, label in STEPS]
    return [(key, label, url_of(view.id, key)) for key, label in STEPS]


def url_of(campaign_id: UUID, step: Step) -> str:
    return f"/campaigns/{campaign_id}/edit/{step}"


def _errors(refused: InvalidInput | None) -> dict[str, str]:
    if refused is None:
        return {}
    if isinstance(refused, GroupsRefused):
        return {"": refused.detail}
    return {_NAMES.get(name, name): refused.detail for name in refused.fields} or {
        "": refused.detail
    }
