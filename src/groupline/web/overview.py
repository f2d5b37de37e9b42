"""The overview: what is connected, what comes next, and what needs a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from groupline.alerts.queries import alerts_for_people
from groupline.alerts.texts import lost_of_campaign
from groupline.campaigns.queries import counts_of
from groupline.events.preflight_now import troubled_now
from groupline.gateways.phone import display_phone
from groupline.http.auth import page_allowed
from groupline.http.context import CurrentRuntime
from groupline.messages import queries as messages
from groupline.messages.schemas import DisplayState, Filter
from groupline.messages.shown import all_shown
from groupline.models import Alert
from groupline.numbers.states import NumberState
from groupline.numbers.views import NumberView, list_numbers
from groupline.numbers.workers import none_runs
from groupline.orgs.rules import Permission, Principal
from groupline.runtime import Runtime
from groupline.web.freshness import fresh_until
from groupline.web.rendering import CurrentPages

router = APIRouter()

Reader = Annotated[Principal, Depends(page_allowed(Permission.READ))]

_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class FirstStep:
    """Of a new organization."""

    title: str
    text: str
    done: bool
    way: tuple[str, str]
    """Where it is done: the label of the link, and its address."""


@dataclass(frozen=True, slots=True)
class Told:
    """An alert, in the words of this moment."""

    id: UUID
    title: str
    text: str
    link: str | None


_SHOWN_ANYWAY: Final = (
    "number.disconnected",
    "message.failed",
    "message.uncertain",
    "preflight.failed",
)
"""Alerts about what the overview shows by itself, as it is now."""
_ALERTS_STAND: Final = timedelta(days=3)

_NEEDS_A_PERSON: Final[frozenset[DisplayState]] = frozenset(("uncertain", "failed"))
_TO_COME: Final[frozenset[DisplayState]] = frozenset(("scheduled", "waiting", "sending"))


@router.get("/")
async def index(
    request: Request, runtime: CurrentRuntime, pages: CurrentPages, principal: Reader
) -> Response:
    async with runtime.database.reading() as session:
        context = await _overview(session, runtime, principal)
    return pages.render(
        request,
        "overview.html",
        principal=principal,
        nav="overview",
        phone=display_phone,
        may_connect=principal.may(Permission.CONNECT),
        may_send=principal.may(Permission.SEND),
        may_operate=principal.may(Permission.OPERATE),
        **context,
    )


async def _overview(
    session: AsyncSession, runtime: Runtime, principal: Principal
) -> dict[str, Any]:
    organization_id, now = principal.organization_id, runtime.clock.now()
    numbers = await list_numbers(session, organization_id, now)
    counts = await messages.count_by_state(session, organization_id, Filter(), now)
    coming = await messages.next_views(session, organization_id, limit=_SHOWN)
    troubled = await messages.list_views(
        session,
        organization_id,
        Filter(states=_NEEDS_A_PERSON),
        after=None,
        limit=_SHOWN,
        now=now,
    )
    connected = [view for view in numbers if view.shown.state in _AT_WORK]
    alerts = await alerts_for_people(
        session, organization_id, but=_SHOWN_ANYWAY, since=now - _ALERTS_STAND
    )
    next_rows = await all_shown(session, coming, now)
    return {
        "until": await fresh_until(session, organization_id, Filter(), next_rows, now),
        "no_worker": await none_runs(session, now),
        "numbers": numbers,
        "alerts": await _as_now(session, organization_id, alerts),
        "connected": len(connected),
        "paused": [view for view in numbers if view.pause is not None],
        "broken": [view for view in numbers if view.shown.state in _BROKEN],
        "groups": sum(view.follows.get("groups", 0) for view in numbers),
        "counts": counts,
        "waiting": sum(counts.get(state, 0) for state in _TO_COME),
        "troubled": sum(counts.get(state, 0) for state in _NEEDS_A_PERSON),
        "next_rows": next_rows,
        "trouble_rows": await all_shown(session, troubled, now),
        "steps": _first_steps(numbers, counts),
        "troubled_events": await troubled_now(session, organization_id, now),
    }


async def _as_now(
    session: AsyncSession, organization_id: UUID, alerts: Sequence[Alert]
) -> list[Told]:
    """Of a campaign that ended with failures, those that are left; they may have been put away."""
    ended = {
        each.id: each.subject_id
        for each in alerts
        if each.kind == "campaign.failed" and each.subject_id is not None
    }
    counts = await counts_of(session, organization_id, set(ended.values())) if ended else {}
    left = {alert_id: counts[campaign_id] for alert_id, campaign_id in ended.items()}
    texts = {alert_id: lost_of_campaign(now.as_dict()) for alert_id, now in left.items()}
    return [
        Told(each.id, each.title or "", texts.get(each.id, each.text or ""), each.link)
        for each in alerts
        if each.id not in left or left[each.id].not_arrived
    ]


_AT_WORK = frozenset((NumberState.CONNECTED, NumberState.SUSPECT, NumberState.VERIFYING))
_BROKEN = frozenset((NumberState.DISCONNECTED, NumberState.GATEWAY_UNREACHABLE))


def _first_steps(
    numbers: Sequence[NumberView], counts: dict[DisplayState, int]
) -> list[FirstStep] | None:
    """What a new organization has to do, and where; nothing once it has been done."""
    steps = [
        FirstStep(
            "Connect a WhatsApp number",
            "With a phone of your own, or one that is simulated.",
            bool(numbers),
            ("Connect", "/settings/connection"),
        ),
        FirstStep(
            "Sync its groups",
            "So that Groupline knows whom the number can write to.",
            any(view.number.synced_at for view in numbers),
            ("Sync", "/groups"),
        ),
        FirstStep(
            "Send a message to a group",
            "And watch what becomes of it.",
            counts.get("sent", 0) > 0,
            ("Send", "/send"),
        ),
    ]
    return None if all(step.done for step in steps) else steps
