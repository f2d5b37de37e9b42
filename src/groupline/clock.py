"""Time, as a part that is handed in: services take ``now``, loops take a clock."""

import asyncio
import time
from datetime import UTC, datetime, tzinfo
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards, for measuring durations."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def moment(at: datetime, zone: tzinfo, *, to_the_second: bool = False) -> str:
    """`22 Nov, 14:05 IST`: a point in time as sentences name it, always with its zone."""
    local = at.astimezone(zone)
    time_of_day = f"{local:%H:%M:%S}" if to_the_second else f"{local:%H:%M}"
    return f"{local.day} {local:%b}, {time_of_day} {local.tzname()}"
