"""What the last look at an event found, with what is so of its number by now.

A number is paused, connected and verified without anybody looking at the event again.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.preflight import NumberFacts, renewed
from groupline.events.preflight_store import Looked, Troubled, last_looks, troubled_events
from groupline.gateways.phone import display_phone
from groupline.numbers.views import NumberView, show_numbers

_MOST: Final = 10


def number_facts(view: NumberView) -> NumberFacts:
    return NumberFacts(
        phone=display_phone(view.number.phone_number),
        state=view.shown.state,
        sentence=view.shown.connection,
        verified_at=view.session.verified_at if view.session else None,
        pause=view.shown.paused_since,
    )


async def looks_now(
    session: AsyncSession,
    organization_id: UUID,
    events: Mapping[UUID, UUID | None],
    now: datetime,
) -> dict[UUID, Looked]:
    """Of events with their numbers; those that nobody has looked at are left out."""
    looks = await last_looks(session, organization_id, events)
    numbers = await _numbers(session, organization_id, {events[each] for each in looks}, now)
    return {
        event_id: replace(
            looked, findings=renewed(looked.findings, numbers.get(events[event_id]), now)
        )
        for event_id, looked in looks.items()
    }


async def troubled_now(
    session: AsyncSession, organization_id: UUID, now: datetime
) -> list[Troubled]:
    """Of what had problems when it was looked at, what has some now: the soonest first."""
    found = await troubled_events(session, organization_id, now)
    numbers = await _numbers(session, organization_id, {each.number_id for each in found}, now)
    present = [
        replace(each, findings=renewed(each.findings, numbers.get(each.number_id), now))
        for each in found
    ]
    return [each for each in present if each.problems][:_MOST]


async def _numbers(
    session: AsyncSession, organization_id: UUID, number_ids: set[UUID | None], now: datetime
) -> dict[UUID | None, NumberFacts]:
    ids = {each for each in number_ids if each is not None}
    views = await show_numbers(session, organization_id, ids, now)
    return {number_id: number_facts(view) for number_id, view in views.items()}
