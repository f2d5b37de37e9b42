"""A server that takes webhooks as Groupline does, and can be told not to."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook
from tests.support.gateway import WEBHOOK_SECRET
from tests.support.ports import free_port

Data = dict[str, Any]


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    raw: str

    @property
    def envelope(self) -> Data:
        return dict(json.loads(self.raw))

    @property
    def type(self) -> str:
        return str(self.envelope["type"])

    @property
    def data(self) -> Data:
        return dict(self.envelope["data"])

    def verify(self) -> None:
        """Raises unless the signature is right."""
        Webhook(WEBHOOK_SECRET).verify(self.raw, self.headers)


@dataclass
class Receiver:
    """Keeps what it took; ``answer`` is the status it answers with."""

    port: int = field(default_factory=free_port)
    """Its own also while it is away: another program is not given it meanwhile."""
    answer: int = 200
    taken: list[Received] = field(default_factory=list)
    refused: list[Received] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/1"

    async def wait_for(self, count: int, kind: str | None = None) -> list[Received]:
        """The first ``count`` events, of one type if it is given."""
        return await self.wait_until(
            lambda: [one for one in self.taken if kind is None or one.type == kind], count
        )

    async def wait_until(self, chosen: Callable[[], list[Received]], count: int) -> list[Received]:
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(lambda: len(chosen()) >= count)
        return chosen()

    async def take(self, request: web.Request) -> web.Response:
        received = Received(request.path, dict(request.headers), await request.text())
        async with self._changed:
            (self.taken if self.answer < 300 else self.refused).append(received)
            self._changed.notify_all()
        return web.Response(status=self.answer)


@contextlib.asynccontextmanager
async def running_receiver(receiver: Receiver | None = None) -> AsyncIterator[Receiver]:
    """Serve a receiver; one that was served before comes back on its old port."""
    receiver = receiver or Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", receiver.port, reuse_address=True)
    await site.start()
    try:
        yield receiver
    finally:
        await runner.cleanup()
