"""Until when a page says what is so, if nothing happens before: ``data-until`` of its regions."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.messages.queries import next_scheduled
from groupline.messages.schemas import Filter, MessageView
from groupline.messages.shown import Shown


async def fresh_until(
    session: AsyncSession,
    organization_id: UUID,
    counted: Filter,
    rows: Iterable[tuple[MessageView, Shown]],
    now: datetime,
) -> datetime | None:
    """The next time of what is counted, or of a message that is shown and waits for one."""
    first = await next_scheduled(session, organization_id, counted, now)
    return _earliest([first, *(each.next_attempt_at for _, each in rows)])


def message_until(view: MessageView, state: Shown) -> datetime | None:
    return view.scheduled_for if state.state == "scheduled" else state.next_attempt_at


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((each for each in moments if each is not None), default=None)
