"""What became of a campaign, group by group: pages by the names of the groups."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from groupline.campaigns.schemas import ResultCursor, ResultFilter
from groupline.groups.names import search_words
from groupline.messages import queries as messages
from groupline.messages.schemas import DisplayState, MessageView
from groupline.models import MessageStatus, ScheduledWhatsappMessage, WhatsappGroup

message, group = ScheduledWhatsappMessage, WhatsappGroup

_PLACE: Final = (group.search_name, message.id)
_STATUSES: Final[Mapping[DisplayState, MessageStatus]] = {
    "scheduled": "pending",
    "waiting": "pending",
    "sending": "sending",
    "accepted": "accepted",
    "sent": "sent",
    "uncertain": "uncertain",
    "failed": "failed",
    "expired": "expired",
    "cancelled": "cancelled",
}


async def page_of_results(
    session: AsyncSession,
    organization_id: UUID,
    campaign_id: UUID,
    wanted: ResultFilter,
    *,
    after: ResultCursor | None = None,
    limit: int,
) -> tuple[list[MessageView], ResultCursor | None]:
    """A page by the names of the groups, and where the next one goes on."""
    statement = (
        select(message.id, group.search_name)
        .join(group, group.id == message.group_id)
        .where(
            message.organization_id == organization_id,
            message.campaign_id == campaign_id,
            *_wanted(wanted),
        )
        .order_by(*_PLACE)
        .limit(limit + 1)
    )
    if after is not None:
        last = tuple_(
            literal(after.search_name, group.search_name.type),
            literal(after.message_id, message.id.type),
        )
        statement = statement.where(tuple_(*_PLACE) > last)
    rows = (await session.execute(statement)).all()
    page = rows[:limit]
    views = await messages.get_views(session, organization_id, [row.id for row in page])
    by_id = {view.id: view for view in views}
    following = ResultCursor(page[-1].search_name, page[-1].id) if len(rows) > limit else None
    return [by_id[row.id] for row in page], following


async def count_results(
    session: AsyncSession, organization_id: UUID, campaign_id: UUID, wanted: ResultFilter
) -> int:
    statement = (
        select(func.count())
        .select_from(message)
        .join(group, group.id == message.group_id)
        .where(
            message.organization_id == organization_id,
            message.campaign_id == campaign_id,
            *_wanted(wanted),
        )
    )
    return (await session.execute(statement)).scalar_one()


def _wanted(wanted: ResultFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        group.search_name.contains(word, autoescape=True, escape="\\")
        for word in search_words(wanted.query)
    ]
    if wanted.states is not None:
        statuses = sorted({_STATUSES[state] for state in wanted.states})
        conditions.append(message.status.in_(statuses))
    return conditions
