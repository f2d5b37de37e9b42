"""Times of events in requests, and what a change of the clocks does to them in answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from groupline.events.clock_changes import ClockChange, changes_of
from groupline.events.clock_changes import Field as ClockField
from groupline.events.clock_changes import Kind as ClockKind
from groupline.events.schemas import EventInput
from groupline.http.schemas import ApiModel, read_time

Clocks = Mapping[ClockField, ClockChange | None]
"""What there was to say about the times of a request when they were read."""

_EXAMPLE = (
    "02:30 on Sunday, 8 March 2026 does not exist in America/New_York, where the clocks go "
    "forward. It becomes 03:00 EDT."
)


class TimeNoteOut(ApiModel):
    """A time that does not exist because clocks go forward, or comes twice as they go back."""

    field: ClockField
    kind: ClockKind
    becomes: datetime = Field(description="The moment that is taken")
    sentence: str = Field(examples=[_EXAMPLE])


@dataclass(frozen=True, slots=True)
class Times:
    """Of a request, read in the zone of the organization."""

    starts_at: datetime
    ends_at: datetime | None
    clocks: Clocks


def read_times(starts_at: datetime, ends_at: datetime | None, timezone: str) -> Times:
    """Without an offset they are meant in this zone."""
    start, of_start = read_time(starts_at, timezone)
    end, of_end = (None, None) if ends_at is None else read_time(ends_at, timezone)
    return Times(start, end, {"startsAt": of_start, "endsAt": of_end})


def time_notes(event: EventInput, clocks: Clocks | None = None) -> list[TimeNoteOut]:
    """Of the times as they are, and as they were written in a request."""
    return [
        TimeNoteOut(field=field, kind=change.kind, becomes=change.becomes, sentence=change.sentence)
        for field, change in changes_of(event, clocks).items()
    ]
