"""What a text becomes with the values of an event, or of an example. Pure but for one reading."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from groupline.events.group_queries import group_names
from groupline.events.queries import get_event
from groupline.events.steps import at_wall_clock
from groupline.events.texts import GROUP_NAME, Texts, missing_sentence
from groupline.events.variables import BUILTIN, EventFacts, builtin_values
from groupline.messages.variables import Problem, fill, plain, scan

_EXAMPLE_GROUP = "Morning group"


@dataclass(frozen=True, slots=True)
class VariableView:
    """A variable of a text."""

    name: str
    value: str | None
    description: str | None
    """Of those that every event has by itself."""
    sentence: str | None
    """What is wrong, if it has no value."""


@dataclass(frozen=True, slots=True)
class Preview:
    text: str
    """As a reader would see it; what has no value stays as it stands."""
    unresolved: tuple[str, ...]
    variables: tuple[VariableView, ...]
    problems: tuple[Problem, ...]

    @property
    def to_give(self) -> tuple[VariableView, ...]:
        """What somebody enters at the event."""
        return tuple(each for each in self.variables if each.description is None)


def preview_of(content: str, values: Mapping[str, str]) -> Preview:
    filled = fill(content, values)
    return Preview(
        text=plain(filled.text),
        unresolved=filled.unresolved,
        variables=tuple(_variable(name, values) for name in scan(content).names),
        problems=filled.problems,
    )


def _variable(name: str, values: Mapping[str, str]) -> VariableView:
    value = values.get(name)
    sentence = None if value is not None else missing_sentence(name, values)
    return VariableView(name, value, BUILTIN.get(name), sentence)


async def values_for_preview(
    session: AsyncSession, organization_id: UUID, event_id: UUID, *, now: datetime
) -> dict[str, str]:
    """What the event gives, with the name of the first of its groups that has one."""
    event = await get_event(session, organization_id, event_id, now=now)
    names = await group_names(session, organization_id, event_id)
    group = next((name for name in names.values() if name), None)
    return {**Texts(event).values, **({GROUP_NAME: group} if group else {})}


def example_values(*, organization: str, timezone: str, now: datetime) -> dict[str, str]:
    """Of a workshop in a week, at seven in the evening."""
    zone = ZoneInfo(timezone)
    day = now.astimezone(zone).date() + timedelta(days=7)
    start = at_wall_clock(datetime.combine(day, time(19)), zone)
    end = start + timedelta(hours=2)
    event = EventFacts("Example workshop", "workshop", start, end, timezone)
    return builtin_values(event, organization=organization, group_name=_EXAMPLE_GROUP)
