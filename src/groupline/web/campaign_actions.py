"""What a person does with a campaign under way. What has consequences is asked by a page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from groupline.campaigns import actions, progress, queries, rules, service
from groupline.campaigns.rules import CampaignAction
from groupline.campaigns.schemas import CampaignView
from groupline.gateways.phone import display_phone
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.messages.queries import sending_numbers
from groupline.messages.schemas import SendingNumber
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.text import amount
from groupline.web.rendering import CurrentPages, Pages, Toast

router = APIRouter(prefix="/campaigns")

Operator = Annotated[Principal, Depends(page_allowed(Permission.OPERATE))]
Sender = Annotated[Principal, Depends(page_allowed(Permission.SEND))]


@dataclass(frozen=True, slots=True)
class Question:
    """A page that asks before something is done."""

    title: str
    text: str
    label: str
    url: str
    consequences: Sequence[str] = ()
    kind: str = "primary"
    choices: Sequence[tuple[str, str, str]] = ()
    """A switch with its hint: name, label, hint."""
    numbers: Sequence[tuple[str, str]] = field(default=())


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"


async def _view(
    runtime: Runtime, principal: Principal, campaign_id: UUID, action: CampaignAction
) -> CampaignView:
    async with runtime.database.reading() as session:
        view = await queries.get_view(session, principal.organization_id, campaign_id)
    rules.check(action, view.status)
    return view


def _ask(
    request: Request, pages: Pages, principal: Principal, view: CampaignView, question: Question
) -> Response:
    return pages.render(
        request,
        "campaigns/question.html",
        principal=principal,
        nav="campaigns",
        campaign=view,
        question=question,
    )


# --- pause, resume, cancel ------------------------------------------------------------------


@router.post("/{campaign_id}/pause")
async def pause(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Sender, campaign_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        await actions.pause(
            session,
            principal.organization_id,
            campaign_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = "Paused. Nothing more leaves but what is on its way."
    return pages.redirect(f"/campaigns/{campaign_id}", toast=("success", said))


@router.get("/{campaign_id}/resume")
async def ask_resume(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    campaign_id: UUID,
) -> Response:
    view = await _view(runtime, principal, campaign_id, "resume")
    async with runtime.database.reading() as session:
        seen = await progress.outlook(session, view, now=runtime.clock.now())
    consequences = [f"{_messages(view.counts.pending)} will be sent, as far as they are in time."]
    if view.counts.expired:
        consequences.append(f"{_messages(view.counts.expired)} expired so far.")
    if seen.too_late:
        more = amount(seen.too_late, "more is", "more are")
        consequences.append(f"{more} likely to expire before the end.")
    question = Question(
        title=f"Resume {view.name}",
        text="A pause does not stop the clock: messages keep the time at which they expire.",
        label="Resume",
        url=f"/campaigns/{campaign_id}/resume",
        consequences=consequences,
        choices=[
            (
                "extend",
                "Give them more time",
                f"What is left, and what expired meanwhile, has {_hours(view.late_minutes)} again.",
            )
        ],
    )
    return _ask(request, pages, principal, view, question)


def _hours(minutes: int) -> str:
    return f"{minutes / 60:g} h" if minutes >= 60 else f"{minutes} min"


@router.post("/{campaign_id}/resume")
async def resume(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    campaign_id: UUID,
    extend: Annotated[bool, Form()] = False,
) -> Response:
    async with runtime.database.writing() as session:
        resumed = await actions.resume(
            session,
            principal.organization_id,
            campaign_id,
            extend=extend,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = "Resumed."
    if resumed.extended:
        said += f" {_messages(resumed.extended)} got more time."
    elif resumed.expired_meanwhile:
        said += f" {_messages(resumed.expired_meanwhile)} expired during the pause."
    return pages.redirect(f"/campaigns/{campaign_id}", toast=("success", said))


@router.get("/{campaign_id}/cancel")
async def ask_cancel(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    campaign_id: UUID,
) -> Response:
    view = await _view(runtime, principal, campaign_id, "cancel")
    consequences = [
        f"{_messages(view.counts.pending)} will not be sent.",
        amount(
            view.counts.sent,
            "message was sent, and stays where it is.",
            "messages were sent, and stay where they are.",
        ),
    ]
    if view.counts.in_flight:
        consequences.append(f"{_messages(view.counts.in_flight)} cannot be called back any more.")
    question = Question(
        title=f"Cancel {view.name}?",
        text="A campaign that is cancelled cannot go on. You can duplicate it.",
        label="Cancel the campaign",
        url=f"/campaigns/{campaign_id}/cancel",
        consequences=consequences,
        kind="danger",
    )
    return _ask(request, pages, principal, view, question)


@router.post("/{campaign_id}/cancel")
async def cancel(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Sender, campaign_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        count = await actions.cancel(
            session,
            principal.organization_id,
            campaign_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = f"Cancelled. {_messages(count)} will not be sent."
    return pages.redirect(f"/campaigns/{campaign_id}", toast=("success", said))


# --- what did not arrive, and what nobody knows ---------------------------------------------


@router.get("/{campaign_id}/retry")
async def ask_retry(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    campaign_id: UUID,
) -> Response:
    view = await _view(runtime, principal, campaign_id, "retry_failed")
    async with runtime.database.reading() as session:
        numbers = await sending_numbers(session, principal.organization_id)
    counts = view.counts
    consequences = [f"{_messages(counts.failed)} that failed will be sent again."]
    if counts.uncertain:
        ways = ("message is uncertain and is", "messages are uncertain and are")
        consequences.append(f"{amount(counts.uncertain, *ways)} not touched.")
    consequences.append("Nobody who has the message gets it again.")
    choice = (
        "include_expired",
        f"Also the {counts.expired:,} that expired",
        "They never left: their time was over.",
    )
    others = [(str(each.id), _choice(each)) for each in numbers if each.id != view.number_id]
    question = Question(
        title="Send again what did not arrive",
        text="With another number, only the groups that it may write to are tried.",
        label="Send again",
        url=f"/campaigns/{campaign_id}/retry",
        consequences=consequences,
        choices=[choice] if counts.expired else (),
        numbers=others,
    )
    return _ask(request, pages, principal, view, question)


def _choice(number: SendingNumber) -> str:
    name = number.display_name or display_phone(number.phone_number)
    return f"{name} ({number.trouble})" if number.trouble else name


@router.post("/{campaign_id}/retry")
async def retry(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    campaign_id: UUID,
    number_id: Annotated[str, Form(max_length=50)] = "",
    include_expired: Annotated[bool, Form()] = False,
) -> Response:
    async with runtime.database.writing() as session:
        retried = await actions.retry_failed(
            session,
            principal.organization_id,
            campaign_id,
            number_id=UUID(number_id) if number_id else None,
            include_expired=include_expired,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = f"{_messages(retried.requeued)} will be sent again."
    if not retried.refused:
        return pages.redirect(f"/campaigns/{campaign_id}", toast=("success", said))
    names = ", ".join(each.name or "a group without a name" for each in retried.refused[:3])
    more = f" and {len(retried.refused) - 3} more" if len(retried.refused) > 3 else ""
    said += f" That number cannot write to {_groups(len(retried.refused))}: {names}{more}."
    return pages.redirect(f"/campaigns/{campaign_id}", toast=("warning", said))


@router.post("/{campaign_id}/verify")
async def verify(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Sender, campaign_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        found = await actions.verify(
            session,
            principal.organization_id,
            campaign_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = f"Asking the gateway about {_messages(found.asked)}."
    if found.cannot_be_asked:
        said += f" It cannot answer for {found.cannot_be_asked:,}: look into the groups."
    toast: Toast = ("warning" if found.cannot_be_asked else "success", said)
    return pages.redirect(f"/campaigns/{campaign_id}", toast=toast)


@router.get("/{campaign_id}/arrived")
async def ask_arrived(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    campaign_id: UUID,
) -> Response:
    view = await _view(runtime, principal, campaign_id, "mark_arrived")
    question = Question(
        title="Did they all arrive?",
        text="Look into the groups first. Your word is recorded as yours.",
        label="They arrived",
        url=f"/campaigns/{campaign_id}/arrived",
        consequences=[
            f"{_messages(view.counts.uncertain)} will count as sent.",
            "One that did not arrive has to be sent again by itself, in its own story.",
        ],
    )
    return _ask(request, pages, principal, view, question)


@router.post("/{campaign_id}/arrived")
async def arrived(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Sender, campaign_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        count = await actions.mark_arrived(
            session,
            principal.organization_id,
            campaign_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = f"Noted: {_messages(count)} arrived."
    return pages.redirect(f"/campaigns/{campaign_id}", toast=("success", said))


# --- copies and drafts ----------------------------------------------------------------------


@router.post("/{campaign_id}/duplicate")
async def duplicate(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, campaign_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        copy = await service.duplicate(
            session,
            principal.organization_id,
            campaign_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = "This is a copy, as a draft. Nothing is sent until you start it."
    return pages.redirect(f"/campaigns/{copy}/edit/check", toast=("success", said))


@router.post("/{campaign_id}/delete")
async def delete(
    runtime: CurrentRuntime, pages: CurrentPages, principal: Operator, campaign_id: UUID
) -> Response:
    async with runtime.database.writing() as session:
        await service.delete_draft(
            session,
            principal.organization_id,
            campaign_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    return pages.redirect("/campaigns", toast=("success", "The draft is deleted."))
