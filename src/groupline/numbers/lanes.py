"""One task per gateway: a slow one delays nobody else's sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final
from uuid import UUID

import structlog

log = structlog.get_logger(__name__)

Turn = Callable[[UUID], Coroutine[None, None, bool]]
"""Does what is due at a gateway; True if there may be more."""


_PATIENCE_SECONDS: Final = 5.0


class Lanes:
    """What runs for which gateway. ``wake`` is set when one has ended: there may be more to do."""

    def __init__(self, name: str) -> None:
        self.wake = asyncio.Event()
        self._name = name
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._is_draining = False

    @property
    def busy(self) -> tuple[UUID, ...]:
        return tuple(self._running)

    def start(self, gateway_id: UUID, turn: Turn) -> None:
        """Turns until a turn finds no more work. Nothing happens while the gateway is busy."""
        if gateway_id in self._running:
            return
        task = asyncio.create_task(self._work(gateway_id, turn))
        self._running[gateway_id] = task
        task.add_done_callback(lambda _: self._ended(gateway_id))

    async def drain(self) -> None:
        """Lets the turns that run end, but not for long: what they ask for can be asked again.
        No lane begins another one.
        """
        self._is_draining = True
        if self._running:
            await asyncio.wait(self._running.values(), timeout=_PATIENCE_SECONDS)
        for task in self._running.values():
            task.cancel()
        if self._running:
            await asyncio.wait(self._running.values())

    async def _work(self, gateway_id: UUID, turn: Turn) -> None:
        try:
            while await turn(gateway_id) and not self._is_draining:
                pass
        except Exception:  # what it held is free again when its lease has ended
            log.exception("lane.failed", loop=self._name, gateway=str(gateway_id))

    def _ended(self, gateway_id: UUID) -> None:
        del self._running[gateway_id]
        self.wake.set()
