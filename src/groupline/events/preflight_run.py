"""Looking at an event before it begins: by button, and by the worker a day and an hour before, and
when its number is paused after that.

Whether media can be fetched is asked of other servers, so the facts are read, then they are asked,
and then what was found is written: three steps, and no transaction in between. The worker looks
once for each event, point in time, start and pause, however many workers there are: the row that
says so is committed first. A worker that dies in between leaves its turn to another one.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.clock import Clock
from groupline.db import Database
from groupline.errors import InvalidInput
from groupline.events.group_queries import event_groups
from groupline.events.pace import Batch, Estimate, estimates
from groupline.events.pending import count_stale
from groupline.events.preflight import Facts, Finding, NumberFacts, findings
from groupline.events.preflight_now import number_facts
from groupline.events.preflight_store import (
    AHEAD,
    Looked,
    finish,
    next_event,
    store,
    take_turn,
)
from groupline.events.queries import get_event
from groupline.events.rules import check_planned, times_of
from groupline.events.run import Run, plan_run
from groupline.events.schemas import EventView
from groupline.events.texts import Texts
from groupline.journal import Actor
from groupline.messages import media
from groupline.messages.media import MediaPolicy
from groupline.messages.rules import PRIORITY_EVENT
from groupline.models import (
    Event,
    EventKind,
    MediaType,
    ScheduledWhatsappMessage,
    WhatsappNumber,
)
from groupline.numbers.views import show_number

EVERY_SECONDS: Final = 30.0


class Preflights:
    def __init__(self, database: Database, clock: Clock, policy: MediaPolicy) -> None:
        self._database, self._clock, self._policy = database, clock, policy

    async def look(
        self,
        organization_id: UUID,
        event_id: UUID,
        *,
        kind: EventKind | None = None,
        actor: Actor,
    ) -> Looked:
        """By button: a person waits for the answer, which is stored too."""
        event, found = await self._find(organization_id, event_id, kind)
        check_planned(event.kind, event.status)
        now = self._clock.now()
        looked = Looked(event_id, "button", now, tuple(found))
        async with self._database.writing() as session:
            await store(session, event, looked, actor)
        return looked

    async def run_once(self) -> bool:
        """The worker's look at the next event whose time for it has come."""
        async with self._database.reading() as session:
            if await next_event(session, self._clock.now()) is None:
                return False
        async with self._database.writing() as session:
            turn = await take_turn(session, self._clock.now())
        if turn is None:
            return False
        now = self._clock.now()  # a pause that begins while other servers are asked is not seen
        event, found = await self._find(turn.organization_id, turn.event_id, None)
        async with self._database.writing() as session:
            await finish(session, turn, event, found, now=now)
        return True

    async def next_due(self) -> float | None:
        """Seconds until a point in time of some event is reached."""
        now = self._clock.now()
        async with self._database.reading() as session:
            moments = [
                await session.scalar(
                    select(func.min(Event.starts_at)).where(
                        Event.status == "planned", Event.starts_at > now + ahead
                    )
                )
                for ahead in AHEAD.values()
            ]
        seconds = [
            (moment - ahead - now).total_seconds()
            for moment, ahead in zip(moments, AHEAD.values(), strict=True)
            if moment is not None
        ]
        return min(seconds, default=None)

    async def _find(
        self, organization_id: UUID, event_id: UUID, kind: EventKind | None
    ) -> tuple[EventView, list[Finding]]:
        now = self._clock.now()
        async with self._database.reading() as session:
            event = await get_event(session, organization_id, event_id, now=now, kind=kind)
            run = await plan_run(session, organization_id, event_id, now=now)
            read = await _facts(session, event, run, now)
        unfit = await self._unfit_media(event, now)
        facts = Facts(media=unfit, **read)
        return event, findings(facts, now)

    async def _unfit_media(self, event: EventView, now: datetime) -> dict[UUID, str]:
        """By template, why what stands at its address cannot be sent. Each is asked once."""
        wanted: dict[tuple[str, MediaType | None], list[UUID]] = {}
        for step in event.steps:
            if step.media_url is not None and times_of(event, step)[1] > now:
                key = (step.media_url, step.media_type)
                wanted.setdefault(key, []).append(step.template_id)
        unfit: dict[UUID, str] = {}
        for (url, media_type), templates in wanted.items():
            try:
                await media.check(url, media_type, policy=self._policy)
            except InvalidInput as error:
                unfit |= dict.fromkeys(templates, error.detail)
        return unfit


# --- facts ----------------------------------------------------------------------------------


async def _facts(
    session: AsyncSession, event: EventView, run: Run, now: datetime
) -> dict[str, Any]:
    refused = run.unresolved()
    return {
        "event": event,
        "number": await _number(session, event, now),
        "groups": await event_groups(session, event.organization_id, event.id, event.number_id),
        # Also of what is scheduled already: as readiness has it.
        "unresolved": [*Texts(event).lacking(), *refused],
        "unscheduled": 0 if refused else run.result.scheduled,
        "stale": await count_stale(session, event),
        "estimates": await estimates_of(session, event, now),
    }


async def _number(session: AsyncSession, event: EventView, now: datetime) -> NumberFacts | None:
    if event.number_id is None:
        return None
    return number_facts(await show_number(session, event.organization_id, event.number_id, now))


async def estimates_of(session: AsyncSession, event: EventView, now: datetime) -> list[Estimate]:
    """How long each step to come takes, with everything else that its number has to send.

    Campaigns are left out: a message of an event never waits for them.
    """
    if event.number_id is None or not event.groups:
        return []
    own = [
        Batch(due, event.groups, expires, step.id)
        for step in event.steps
        for due, expires in [times_of(event, step)]
        if due >= now
    ]
    if not own:
        return []
    pace = await session.scalar(
        select(WhatsappNumber.pace_seconds).where(
            WhatsappNumber.organization_id == event.organization_id,
            WhatsappNumber.id == event.number_id,
        )
    )
    others = await _others(session, event, max(batch.due for batch in own), now)
    return estimates([*own, *others], pace or 0.0)


async def _others(
    session: AsyncSession, event: EventView, last: datetime, now: datetime
) -> list[Batch]:
    message = ScheduledWhatsappMessage
    statement = (
        select(message.scheduled_for, func.count())
        .where(
            message.organization_id == event.organization_id,
            message.number_id == event.number_id,
            message.status == "pending",
            message.priority <= PRIORITY_EVENT,
            message.scheduled_for <= last,
            or_(message.event_id.is_(None), message.event_id != event.id),
        )
        .group_by(message.scheduled_for)
    )
    rows = await session.execute(statement)
    return [Batch(max(scheduled_for, now), count) for scheduled_for, count in rows]
