"""Planning a campaign, after its message: number and time, and a look before it starts.

The server keeps the draft, so that Back, reload and a browser without JavaScript lose nothing: each
step is a form of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form
from starlette.responses import Response

from groupline.campaigns import progress, queries, service
from groupline.campaigns.schemas import (
    MAX_DELAY_SECONDS,
    MAX_LATE_MINUTES,
    CampaignView,
    Field,
    Written,
)
from groupline.errors import InvalidInput
from groupline.events.clock_changes import ClockChange, read_wall_clock
from groupline.gateways.phone import display_phone
from groupline.messages import media
from groupline.messages import queries as messages
from groupline.messages.schemas import SendingNumber
from groupline.orgs.rules import Permission
from groupline.web.campaign_content import first_group
from groupline.web.campaign_steps import Here, Wizard, WizardRoute, planning, url_of
from groupline.web.campaigns import sample
from groupline.web.parsing import uuid_or_none
from groupline.web.rendering import Toast

router = APIRouter(prefix="/campaigns", route_class=WizardRoute)


# --- 3. number, pace, time ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypedSending:
    number_id: UUID | None
    delay_seconds: str
    when: str
    at: str
    late_hours: str

    @classmethod
    def of(cls, view: CampaignView, zone: ZoneInfo) -> "TypedSending":
        at = view.scheduled_for.astimezone(zone) if view.scheduled_for else None
        return cls(
            number_id=view.number_id,
            delay_seconds=f"{view.delay_seconds:g}",
            when="now" if at is None else "later",
            at="" if at is None else at.strftime("%Y-%m-%dT%H:%M"),
            late_hours=f"{view.late_minutes / 60:g}",
        )

    def fields(self, zone: ZoneInfo) -> tuple[dict[Field, object], Toast | None]:
        """With what a change of the clocks does to the time."""
        if self.number_id is None:
            raise InvalidInput("Choose a number.", fields={"numberId": "choose one"})
        at, change = self._time(zone) if self.when == "later" else (None, None)
        fields: dict[Field, object] = {
            "number_id": self.number_id,
            "delay_seconds": _number(self.delay_seconds, "delaySeconds"),
            "late_minutes": round(_number(self.late_hours, "lateMinutes") * 60),
            "scheduled_for": at,
        }
        return fields, None if change is None else ("warning", change.sentence)

    def _time(self, zone: ZoneInfo) -> tuple[datetime, ClockChange | None]:
        try:
            wall = datetime.fromisoformat(self.at)
            return read_wall_clock(wall, zone)
        except (ValueError, OverflowError) as error:
            why = "Choose a day and a time."
            raise InvalidInput(why, fields={"scheduledFor": why}) from error


def _number(text: str, name: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError as error:
        raise InvalidInput("Write a number.", fields={name: "is not a number"}) from error
    if not 0 <= value < 1e9:
        raise InvalidInput("This number is out of range.", fields={name: "is out of range"})
    return value


@router.get("/{campaign_id}/edit/sending")
async def sending(here: Here, campaign_id: UUID) -> Response:
    view = await here.view(campaign_id)
    typed = TypedSending.of(view, ZoneInfo(here.principal.timezone))
    return await _sending_page(here, view, typed)


@router.post("/{campaign_id}/edit/sending")
async def save_sending(
    *,
    here: Here,
    campaign_id: UUID,
    number_id: Annotated[str, Form(max_length=50)] = "",
    delay_seconds: Annotated[str, Form(max_length=20)] = "",
    when: Annotated[str, Form(max_length=10)] = "now",
    at: Annotated[str, Form(max_length=40)] = "",
    late_hours: Annotated[str, Form(max_length=20)] = "24",
) -> Response:
    view = await here.view(campaign_id)
    typed = TypedSending(uuid_or_none(number_id), delay_seconds, when, at, late_hours)
    try:
        fields, said = typed.fields(ZoneInfo(here.principal.timezone))
        await here.change(campaign_id, fields)
    except InvalidInput as error:
        return await _sending_page(here, view, typed, error)
    return here.pages.redirect(url_of(campaign_id, "check"), toast=said)


async def _sending_page(
    here: Wizard, view: CampaignView, typed: TypedSending, refused: InvalidInput | None = None
) -> Response:
    async with here.runtime.database.reading() as session:
        numbers = await messages.sending_numbers(session, here.organization_id)
        ids = await queries.groups_of(session, here.organization_id, view.id)
        writable = await queries.writable_by_number(session, here.organization_id, ids)
    return here.render(
        "sending",
        view,
        refused,
        typed=typed,
        numbers=[(each.id, _title(each), _reach(each, writable, len(ids))) for each in numbers],
        most_delay=MAX_DELAY_SECONDS,
        most_hours=MAX_LATE_MINUTES // 60,
    )


def _title(number: SendingNumber) -> str:
    shown = display_phone(number.phone_number)
    return f"{shown} · {number.display_name}" if number.display_name else shown


def _reach(number: SendingNumber, writable: Mapping[UUID, int], total: int) -> str:
    count = writable.get(number.id, 0)
    reach = "all groups" if count == total else f"{count:,} of {total:,} groups"
    state = f", {number.trouble} now" if number.trouble else ""
    return f"Can write to {reach}{state}."


# --- 4. check and start ---------------------------------------------------------------------


@router.get("/{campaign_id}/edit/check")
async def check(here: Here, campaign_id: UUID) -> Response:
    return await _check_page(here, await here.view(campaign_id))


@router.post("/{campaign_id}/edit/check")
async def start(
    here: Here,
    campaign_id: UUID,
    skip: Annotated[bool, Form()] = False,
    checked: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Starts the draft that was looked at, and no other.

    What is scheduled already has its changes, and needs nothing more.
    """
    here.principal.require(Permission.SEND)
    view = await here.view(campaign_id)
    if view.status == "scheduled":
        return here.pages.redirect(f"/campaigns/{campaign_id}")
    try:
        if view.media_url is not None:
            policy = here.runtime.media_policy
            await media.check(view.media_url, view.media_type, policy=policy)
        with planning(campaign_id):
            written = await _start(here, campaign_id, skip=skip, checked=checked)
    except InvalidInput as error:
        return await _check_page(here, await here.view(campaign_id), error)
    count = "1 group" if written.groups == 1 else f"{written.groups:,} groups"
    done = "Scheduled for" if view.scheduled_for else "Started:"
    return here.pages.redirect(f"/campaigns/{campaign_id}", toast=("success", f"{done} {count}."))


async def _start(here: Wizard, campaign_id: UUID, *, skip: bool, checked: str) -> Written:
    async with here.runtime.database.writing() as session:
        return await service.start(
            session,
            here.organization_id,
            campaign_id,
            on_refused="skip" if skip else "refuse",
            checked=checked,
            actor=here.principal.actor,
            now=here.now,
        )


async def _check_page(
    here: Wizard, view: CampaignView, refused: InvalidInput | None = None
) -> Response:
    group, organization = await first_group(here, view)
    async with here.runtime.database.reading() as session:
        estimate = await progress.estimate(session, view, now=here.now)
    return here.render(
        "check",
        view,
        refused,
        estimate=estimate,
        bubble=sample(view.content, organization, group),
        sample_group=group,
        may_send=here.principal.may(Permission.SEND),
    )
