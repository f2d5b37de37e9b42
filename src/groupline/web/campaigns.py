"""Campaigns for people: the list, and one with its progress and what became of each group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response, StreamingResponse

from groupline.campaigns import progress, queries
from groupline.campaigns.content import Texts
from groupline.campaigns.export import results_csv
from groupline.campaigns.results import count_results, page_of_results
from groupline.campaigns.schemas import CampaignCursor, CampaignView, ResultCursor, ResultFilter
from groupline.errors import InvalidInput
from groupline.gateways.phone import display_phone
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.formatting import whatsapp_html
from groupline.http.schemas import decode_cursor, encode_cursor
from groupline.messages.schemas import Filter, MessageView, SendableGroup, known_states
from groupline.messages.shown import all_shown
from groupline.messages.variables import plain
from groupline.models import CampaignStatus
from groupline.numbers.workers import none_runs
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.freshness import fresh_until
from groupline.web.rendering import CurrentPages

router = APIRouter(prefix="/campaigns")

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]

_ON_A_PAGE: Final = 20
_RESULTS: Final = 50

TABS: Final[tuple[tuple[str, str, frozenset[CampaignStatus] | None], ...]] = (
    ("all", "All", None),
    ("drafts", "Drafts", frozenset({"draft"})),
    ("running", "Under way", frozenset({"scheduled", "sending", "paused"})),
    ("attention", "Not all arrived", frozenset({"partial_failure", "failed"})),
    ("ended", "Completed, cancelled", frozenset({"completed", "cancelled"})),
)
STATES: Final = (
    ("failed", "Failed"),
    ("expired", "Expired"),
    ("uncertain", "Uncertain"),
    ("sent", "Sent"),
    ("waiting", "Waiting"),
    ("accepted", "Accepted"),
    ("cancelled", "Cancelled"),
)


# --- the list -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of the list asks for. What cannot be read restricts nothing."""

    tab: str
    query: str
    after: CampaignCursor | None

    @property
    def statuses(self) -> frozenset[CampaignStatus] | None:
        return next(statuses for key, _, statuses in TABS if key == self.tab)

    def url(self, tab: str | None = None, cursor: str | None = None) -> str:
        tab = tab or self.tab
        asked = {"tab": "" if tab == "all" else tab, "q": self.query, "cursor": cursor}
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"/campaigns?{query}" if query else "/campaigns"


def asked(
    tab: Annotated[str, Query(max_length=20)] = "all",
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Asked:
    known = {key for key, _, _ in TABS}
    after = None
    if cursor is not None:
        after = CampaignCursor.from_keys(decode_cursor(cursor, keys=2)) or no_cursor()
    return Asked(tab if tab in known else "all", q, after)


@router.get("")
async def index(
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    wanted: Annotated[Asked, Depends(asked)],
) -> Response:
    async with runtime.database.reading() as session:
        context = await _listing(session, runtime, principal, wanted)
    return pages.render(
        request,
        "campaigns.html",
        principal=principal,
        nav="campaigns",
        asked=wanted,
        phone=display_phone,
        may_write=principal.may(Permission.OPERATE),
        **context,
    )


async def _listing(
    session: AsyncSession, runtime: Runtime, principal: Principal, wanted: Asked
) -> dict[str, Any]:
    organization_id = principal.organization_id
    views = await queries.list_views(
        session,
        organization_id,
        statuses=wanted.statuses,
        query=wanted.query,
        after=wanted.after,
        limit=_ON_A_PAGE + 1,
    )
    page, next_url = views[:_ON_A_PAGE], None
    if len(views) > _ON_A_PAGE:
        last = CampaignCursor(page[-1].created_at, page[-1].id)
        next_url = wanted.url(cursor=encode_cursor(*last.keys))
    counts = await queries.count_by_status(session, organization_id, query=wanted.query)
    return {
        "no_worker": await none_runs(session, runtime.clock.now()),
        "rows": [(view, await _seen(session, view, runtime)) for view in page],
        "next_url": next_url,
        "tabs": _tabs(wanted, counts),
        "total": _in_tab(wanted.statuses, counts),
    }


async def _seen(session: AsyncSession, view: CampaignView, runtime: Runtime) -> Any:
    """Only what is under way has an outlook."""
    if view.status not in ("scheduled", "sending", "paused"):
        return None
    return await progress.outlook(session, view, now=runtime.clock.now())


def _tabs(wanted: Asked, counts: Mapping[CampaignStatus, int]) -> list[tuple[str, str, str, str]]:
    return [
        (key, label, wanted.url(key), f"{_in_tab(statuses, counts):,}")
        for key, label, statuses in TABS
    ]


def _in_tab(
    statuses: frozenset[CampaignStatus] | None, counts: Mapping[CampaignStatus, int]
) -> int:
    return sum(count for status, count in counts.items() if statuses is None or status in statuses)


# --- one campaign ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskedResults:
    state: str
    query: str
    after: ResultCursor | None

    @property
    def filter(self) -> ResultFilter:
        return ResultFilter(known_states([self.state]) or None, self.query)

    def url(self, campaign_id: UUID, cursor: str | None = None, *, file: str = "") -> str:
        wanted = {"state": self.state, "q": self.query, "cursor": cursor}
        query = urlencode({name: value for name, value in wanted.items() if value})
        address = f"/campaigns/{campaign_id}{file}"
        return f"{address}?{query}" if query else address


def asked_results(
    state: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> AskedResults:
    after = None
    if cursor is not None:
        after = ResultCursor.from_keys(decode_cursor(cursor, keys=2)) or no_cursor()
    return AskedResults(state if known_states([state]) else "", q, after)


Results = Annotated[AskedResults, Depends(asked_results)]


@router.get("/{campaign_id}")
async def show(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    campaign_id: UUID,
    wanted: Results,
) -> Response:
    async with runtime.database.reading() as session:
        view = await queries.get_view(session, principal.organization_id, campaign_id)
        if view.status == "draft":
            step = "check" if view.content or view.media_url else "content"
            return pages.redirect(f"/campaigns/{campaign_id}/edit/{step}")
        context = await _one(session, runtime, view, wanted)
    return pages.render(
        request,
        "campaigns/show.html",
        principal=principal,
        nav="campaigns",
        campaign=view,
        asked=wanted,
        phone=display_phone,
        may_send=principal.may(Permission.SEND),
        may_write=principal.may(Permission.OPERATE),
        states=STATES,
        **context,
    )


async def _one(
    session: AsyncSession, runtime: Runtime, view: CampaignView, wanted: AskedResults
) -> dict[str, Any]:
    now = runtime.clock.now()
    page, following = await page_of_results(
        session,
        view.organization_id,
        view.id,
        wanted.filter,
        after=wanted.after,
        limit=_RESULTS,
    )
    results = await all_shown(session, page, now)
    counted = Filter(campaign_id=view.id)
    next_url = wanted.url(view.id, encode_cursor(*following.keys)) if following else None
    return {
        "no_worker": await none_runs(session, now),
        "outlook": await progress.outlook(session, view, now=now),
        "until": await fresh_until(session, view.organization_id, counted, results, now),
        "results": results,
        "results_total": await count_results(session, view.organization_id, view.id, wanted.filter),
        "next_url": next_url,
        "preview": _preview(view, page),
        "sample_name": page[0].group_name if page else None,
    }


def _preview(view: CampaignView, page: Sequence[MessageView]) -> Any:
    """What the first of the groups has got."""
    text = page[0].content if page else view.content
    return whatsapp_html(plain(text)) if text else None


@router.get("/{campaign_id}/results.csv")
async def results_file(
    runtime: CurrentRuntime, principal: Reader, campaign_id: UUID, wanted: Results
) -> Response:
    async with runtime.database.reading() as session:
        await queries.get_row(session, principal.organization_id, campaign_id)
    lines = results_csv(
        runtime.database,
        principal.organization_id,
        campaign_id,
        wanted.filter,
        zone=ZoneInfo(principal.timezone),
    )
    headers = {"Content-Disposition": f'attachment; filename="campaign-{campaign_id}.csv"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def sample(content: str, organization: str, group: SendableGroup | None) -> Any:
    """The text as the first of the groups will see it."""
    if not content:
        return None
    filled = Texts(content, organization).of(group) if group is not None else content
    return whatsapp_html(plain(filled))


def no_cursor() -> Any:
    raise InvalidInput("This cursor is not one of ours.", fields={"cursor": "is not valid"})
