"""The journal: who did what, with filters, live, and as CSV."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Final, get_args
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse

from groupline.chronicle import export, queries
from groupline.chronicle.schemas import EntryView, Filter
from groupline.chronicle.sentences import SECTIONS
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.http.schemas import encode_cursor, position_cursor
from groupline.models import ActorKind
from groupline.orgs.rules import Permission, Principal
from groupline.web.parsing import uuid_or_none
from groupline.web.rendering import CurrentPages

HERE: Final = "/journal"
router = APIRouter(prefix=HERE)

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]
Short = Query(max_length=100)
_ON_A_PAGE: Final = 50

# Where a person looks at what an entry is about; what is gone answers that it is.
_PAGES: Final = {
    "message": "/messages/{}",
    "group": "/groups/{}",
    "campaign": "/campaigns/{}",
    "number": "/settings/connection#number-{}",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address of the page asks for. What cannot be read restricts nothing."""

    kind: str
    actor: str
    subject: UUID | None
    since: date | None
    until: date | None

    def filter(self, zone: ZoneInfo) -> Filter:
        kind, _, actor_id = self.actor.partition(":")
        known = next((each for each in get_args(ActorKind) if each == kind), None)
        return Filter(
            section=self.kind or None,
            actor_kind=known,
            actor_id=actor_id or None if known else None,
            subject_id=self.subject,
            since=_midnight(self.since, zone),
            until=_midnight(self.until, zone, days=1),
        )

    def url(self, *, path: str = HERE, cursor: str | None = None) -> str:
        asked = {
            "kind": self.kind,
            "actor": self.actor,
            "subject": self.subject,
            "since": self.since,
            "until": self.until,
            "cursor": cursor,
        }
        query = urlencode({name: str(value) for name, value in asked.items() if value})
        return f"{path}?{query}" if query else path

    @property
    def restricts(self) -> bool:
        return any((self.kind, self.actor, self.subject, self.since, self.until))


def asked(
    kind: Annotated[str, Short] = "",
    actor: Annotated[str, Short] = "",
    subject: Annotated[str, Short] = "",
    since: Annotated[str, Short] = "",
    until: Annotated[str, Short] = "",
) -> Asked:
    return Asked(
        kind=kind if kind in SECTIONS else "",
        actor=actor,
        subject=uuid_or_none(subject),
        since=_day_or_none(since),
        until=_day_or_none(until),
    )


Wanted = Annotated[Asked, Depends(asked)]


def _day_or_none(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year <= 9000 else None


def _midnight(day: date | None, zone: ZoneInfo, *, days: int = 0) -> datetime | None:
    """The beginning of the day, as the clocks of the organization have it."""
    if day is None:
        return None
    day += timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


@router.get("")
async def index(
    *,
    request: Request,
    runtime: CurrentRuntime,
    pages: CurrentPages,
    principal: Reader,
    wanted: Wanted,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    before = position_cursor(cursor)
    organization_id, zone = principal.organization_id, ZoneInfo(principal.timezone)
    async with runtime.database.reading() as session:
        found = await queries.entries(
            session, organization_id, wanted.filter(zone), before=before, limit=_ON_A_PAGE + 1
        )
        actors = await queries.actors(session, organization_id)
    shown = found[:_ON_A_PAGE]
    more = encode_cursor(shown[-1].position) if len(found) > _ON_A_PAGE else None
    return pages.render(
        request,
        "journal.html",
        principal=principal,
        nav="journal",
        asked=wanted,
        entries=shown,
        about=next((each.subject for each in shown), None) if wanted.subject else None,
        next_url=wanted.url(cursor=more) if more else None,
        kinds=[(key, label) for key, (label, _) in SECTIONS.items()],
        actors=[(each.reference, each.label) for each in actors],
        link=_link,
    )


@router.get("/export.csv")
async def as_csv(runtime: CurrentRuntime, principal: Reader, wanted: Wanted) -> Response:
    """Every entry of the filter, written while it is read."""
    zone = ZoneInfo(principal.timezone)
    rows = export.csv_of(runtime.database, principal.organization_id, wanted.filter(zone), zone)
    return StreamingResponse(
        rows,
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="journal.csv"'},
    )


def _link(entry: EntryView) -> str | None:
    page = _PAGES.get(entry.subject_kind)
    return page.format(entry.subject_id) if page and entry.subject_id else None
