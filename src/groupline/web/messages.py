"""The outbox for people: the list with its filters, and the story of one message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.campaigns import revived
from groupline.errors import InvalidInput, NotFound
from groupline.gateways.phone import display_phone
from groupline.http.auth import page_allowed, safe_next
from groupline.http.context import CurrentRuntime
from groupline.http.formatting import whatsapp_html
from groupline.http.schemas import decode_cursor, encode_cursor
from groupline.messages import queries, service
from groupline.messages.attempts import speaker
from groupline.messages.bulk import MAX_AT_ONCE, BulkAction
from groupline.messages.held_back import held_back
from groupline.messages.narrowing import campaign_options, event_options, group_options
from groupline.messages.receipts import count_receipts, none_sentence, reader_shown, receipts_of
from groupline.messages.schemas import After, Batch, DisplayState, Filter, MessageView
from groupline.messages.shown import all_shown
from groupline.messages.story import Chapter, story_of
from groupline.messages.variables import plain
from groupline.numbers.workers import none_runs
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.freshness import fresh_until, message_until
from groupline.web.parsing import uuid_or_none
from groupline.web.rendering import CurrentPages, Toast

router = APIRouter(prefix="/messages")

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Sender = Annotated[Principal, Depends(page_allowed(Permission.SEND))]
Back = Annotated[str, Form(max_length=500)]

_ON_A_PAGE: Final = 50
_RECEIPTS: Final = 100
_OPTIONS: Final = 50

TABS: Final[tuple[tuple[str, str, frozenset[DisplayState] | None], ...]] = (
    ("all", "All", None),
    ("attention", "Needs you", frozenset({"uncertain", "failed"})),
    ("uncertain", "Uncertain", frozenset({"uncertain"})),
    ("failed", "Failed", frozenset({"failed"})),
    ("waiting", "Waiting", frozenset({"waiting", "sending", "accepted"})),
    ("scheduled", "Scheduled", frozenset({"scheduled"})),
    ("sent", "Sent", frozenset({"sent"})),
    ("expired", "Expired", frozenset({"expired"})),
    ("cancelled", "Cancelled", frozenset({"cancelled"})),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address of the page asks for. What cannot be read restricts nothing."""

    tab: str
    number_id: UUID | None
    group_id: UUID | None
    event_id: UUID | None
    campaign_id: UUID | None
    query: str
    batch: Batch | None
    after: After | None

    @property
    def everything(self) -> Filter:
        """Whatever the state: what the tabs count."""
        return Filter(
            number_id=self.number_id,
            group_id=self.group_id,
            group_named=self.query or None,
            event_id=self.event_id,
            campaign_id=self.campaign_id,
            batch=self.batch,
        )

    @property
    def is_narrowed(self) -> bool:
        return self.everything != Filter()

    @property
    def filter(self) -> Filter:
        states = next(states for key, _, states in TABS if key == self.tab)
        return replace(self.everything, states=states)

    def url(self, tab: str, cursor: str | None = None) -> str:
        batch = f"{self.batch.first}.{self.batch.last}" if self.batch else None
        asked = {
            "tab": None if tab == "all" else tab,
            "number": self.number_id,
            "group": self.group_id,
            "event": self.event_id,
            "campaign": self.campaign_id,
            "q": self.query,
            "batch": batch,
            "cursor": cursor,
        }
        query = urlencode({name: str(value) for name, value in asked.items() if value})
        return f"/messages?{query}" if query else "/messages"


def wanted(
    *,
    tab: Annotated[str, Query(max_length=20)] = "all",
    number: Annotated[str, Query(max_length=50)] = "",
    group: Annotated[str, Query(max_length=50)] = "",
    event: Annotated[str, Query(max_length=50)] = "",
    campaign: Annotated[str, Query(max_length=50)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    batch: Annotated[str, Query(max_length=100)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Wanted:
    known = {key for key, _, _ in TABS}
    return Wanted(
        tab=tab if tab in known else "all",
        number_id=uuid_or_none(number),
        group_id=uuid_or_none(group),
        event_id=uuid_or_none(event),
        campaign_id=uuid_or_none(campaign),
        query=q.strip(),
        batch=_batch_or_none(batch),
        after=None if cursor is None else _after(cursor),
    )


def _batch_or_none(text: str) -> Batch | None:
    first, _, last = text.partition(".")
    ends = (uuid_or_none(first), uuid_or_none(last))
    return Batch(ends[0], ends[1]) if ends[0] is not None and ends[1] is not None else None


def _after(cursor: str) -> After:
    after = After.from_keys(decode_cursor(cursor, keys=2))
    if after is None:
        why = "is not valid"
        raise InvalidInput("This cursor is not one of ours.", fields={"cursor": why})
    return after


@router.get("")
async def index(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    asked: Annotated[Wanted, Depends(wanted)],
) -> Response:
    async with runtime.database.reading() as session:
        context = await _listing(session, runtime, principal, asked)
    return pages.render(request, "messages.html", principal=principal, nav="messages", **context)


async def _listing(
    session: AsyncSession, runtime: Runtime, principal: Principal, asked: Wanted
) -> dict[str, Any]:
    organization_id, now = principal.organization_id, runtime.clock.now()
    views = await queries.list_views(
        session,
        organization_id,
        asked.filter,
        after=asked.after,
        limit=_ON_A_PAGE + 1,
        now=now,
        soonest_first=asked.tab == "waiting",
    )
    page = views[:_ON_A_PAGE]
    counts = await queries.count_by_state(session, organization_id, asked.everything, now)
    rows = await all_shown(session, page, now)
    numbers = await queries.sending_numbers(session, organization_id)
    next_url = None
    if len(views) > _ON_A_PAGE:
        last = page[-1]
        next_url = asked.url(asked.tab, encode_cursor(*After(last.scheduled_for, last.id).keys))
    return {
        "asked": asked,
        "no_worker": await none_runs(session, now),
        "rows": rows,
        "until": await fresh_until(session, organization_id, asked.everything, rows, now),
        "tabs": _tabs(asked, counts),
        "counts": counts,
        "shown_total": _in_tab(asked.tab, counts),
        "next_url": next_url,
        "number_options": _offered(
            [(each.id, display_phone(each.phone_number)) for each in numbers],
            asked.number_id,
            "A number that is not here",
        ),
        **await _origins(session, organization_id, asked),
        "as_of": now,
        "most": MAX_AT_ONCE,
        "decisions": _DECISIONS.get(asked.tab, ()) if principal.may(Permission.SEND) else (),
        "phone": display_phone,
        "may_send": principal.may(Permission.SEND),
    }


_DECISIONS: Final[Mapping[str, tuple[BulkAction, ...]]] = {
    "uncertain": ("arrived", "not_arrived"),
    "failed": ("send_again", "discard"),
    "expired": ("send_again",),
    "waiting": ("cancel",),
    "scheduled": ("cancel",),
}
"""What can be decided about all of a tab at once. Tabs of mixed states offer nothing."""


async def _origins(
    session: AsyncSession, organization_id: UUID, asked: Wanted
) -> dict[str, Sequence[tuple[UUID, str]]]:
    """What the lists can be narrowed to: the latest, and the one that is chosen."""
    group, event, campaign = asked.group_id, asked.event_id, asked.campaign_id
    groups = await group_options(session, organization_id, chosen=group)
    events = await event_options(session, organization_id, chosen=event, limit=_OPTIONS)
    campaigns = await campaign_options(session, organization_id, chosen=campaign, limit=_OPTIONS)
    return {
        "group_options": _offered(groups, group, "A group that is not here"),
        "event_options": _offered(events, event, "An event that is not here"),
        "campaign_options": _offered(campaigns, campaign, "A campaign that is not here"),
    }


def _offered(
    options: Sequence[tuple[UUID, str]], chosen: UUID | None, unknown: str
) -> Sequence[tuple[UUID, str]]:
    """Whatever narrows the list is seen and can be taken back, even if it is nothing of ours."""
    if chosen is None or any(key == chosen for key, _ in options):
        return options
    return [*options, (chosen, unknown)]


def _tabs(asked: Wanted, counts: Mapping[DisplayState, int]) -> list[tuple[str, str, str, str]]:
    return [(key, label, asked.url(key), f"{_in_tab(key, counts):,}") for key, label, _ in TABS]


def _in_tab(tab: str, counts: Mapping[DisplayState, int]) -> int:
    states = next(states for key, _, states in TABS if key == tab)
    return sum(count for state, count in counts.items() if states is None or state in states)


@router.get("/{message_id}")
async def show(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    message_id: str,
) -> Response:
    """The whole story of one message."""
    found_id = uuid_or_none(message_id)
    async with runtime.database.reading() as session:
        view = (
            await queries.get_view(session, principal.organization_id, found_id)
            if found_id is not None
            else None
        )
        if view is None:
            raise NotFound("There is no such message.")
        context = await _story(session, runtime, view)
    return pages.render(
        request,
        "messages/show.html",
        principal=principal,
        nav="messages",
        phone=display_phone,
        may_send=principal.may(Permission.SEND),
        **context,
    )


async def _story(session: AsyncSession, runtime: Runtime, view: MessageView) -> dict[str, Any]:
    now = runtime.clock.now()
    [(_, state)] = await all_shown(session, [view], now)
    receipts = await receipts_of(session, view.organization_id, view.id, limit=_RECEIPTS)
    total = len(receipts)
    if total == _RECEIPTS:
        total = await count_receipts(session, view.organization_id, view.id)
    story = await story_of(session, view)
    return {
        "message": view,
        "state": state,
        "until": message_until(view, state),
        "story": story,
        "attempts": max((each.attempt.number for each in story if each.attempt), default=0),
        "spoke": _spoke(view, story),
        "receipts": receipts,
        "receipts_total": total,
        "no_receipts": none_sentence(view),
        "reader": reader_shown,
        "text": whatsapp_html(plain(view.content)),
    }


def _spoke(view: MessageView, story: Sequence[Chapter]) -> str:
    """Whose words the message keeps: its story knows whether they were an answer, or came later."""
    said = (each.speaker for each in reversed(story) if each.upstream == view.vps_error)
    return next(said, speaker(view.error_code))


# --- decisions of a person ------------------------------------------------------------------


@router.post("/{message_id}/cancel")
async def cancel(
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    message_id: UUID,
    back: Back = "/messages",
) -> Response:
    async with runtime.database.writing() as session:
        was_failed = await service.cancel(
            session,
            principal.organization_id,
            message_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
    said = "Put away." if was_failed else "Cancelled. It will not be sent."
    return pages.redirect(safe_next(back), toast=("success", said))


@router.post("/{message_id}/send-again")
async def send_again(
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    message_id: UUID,
    back: Back = "/messages",
) -> Response:
    async with runtime.database.writing() as session:
        await revived.send_again(
            session,
            principal.organization_id,
            message_id,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
        said = await _sent_again(session, message_id, runtime.clock.now())
    return pages.redirect(safe_next(back), toast=said)


async def _sent_again(session: AsyncSession, message_id: UUID, now: datetime) -> Toast:
    held = await held_back(session, [message_id], now)
    if held.count:
        return "warning", f"It waits to be sent again. {held.reason}"
    return "success", "It is sent again."


@router.post("/{message_id}/resolve")
async def resolve(
    *,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Sender,
    message_id: UUID,
    arrived: Annotated[bool, Form()],
    back: Back = "/messages",
) -> Response:
    async with runtime.database.writing() as session:
        await service.resolve(
            session,
            principal.organization_id,
            message_id,
            arrived=arrived,
            actor=principal.actor,
            now=runtime.clock.now(),
        )
        (view,) = await queries.get_views(session, principal.organization_id, [message_id])
        said = await _resolved(session, view, runtime.clock.now())
    return pages.redirect(safe_next(back), toast=said)


async def _resolved(session: AsyncSession, view: MessageView, now: datetime) -> Toast:
    if view.status == "pending":
        return await _sent_again(session, view.id, now)
    if view.status == "sent":
        return "success", "Noted: it arrived."
    return "success", f"Noted. {view.error_message}"
