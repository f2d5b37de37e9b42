"""Times in requests that came without an offset, and what a change of the clocks made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from groupline.events.clock_changes import Kind as ClockKind
from groupline.http.schemas import ApiModel, read_time

When = Literal["scheduledFor", "expiresAt"]

_EXAMPLE = (
    "02:30 on Sunday, 29 March 2026 does not exist in Europe/Berlin, where the clocks go "
    "forward. It becomes 03:00 CEST."
)


class LocalTimeOut(ApiModel):
    """A time that does not exist because clocks go forward, or comes twice as they go back."""

    field: When
    kind: ClockKind
    becomes: datetime = Field(description="The moment that is taken")
    sentence: str = Field(examples=[_EXAMPLE])


TimeNotes = Annotated[
    list[LocalTimeOut],
    Field(description="What a change of the clocks made of times without an offset"),
]


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """As moments, by the names of their fields."""

    moments: Mapping[When, datetime | None]
    notes: Sequence[LocalTimeOut]


def read_local(times: Mapping[When, datetime | None], timezone: str) -> LocalTimes:
    """Those without an offset are meant in this zone."""
    moments: dict[When, datetime | None] = {}
    notes = []
    for field, given in times.items():
        moments[field], change = (None, None) if given is None else read_time(given, timezone)
        if change is not None:
            notes.append(
                LocalTimeOut(
                    field=field,
                    kind=change.kind,
                    becomes=change.becomes,
                    sentence=change.sentence,
                )
            )
    return LocalTimes(moments, notes)
