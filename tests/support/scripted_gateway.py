"""A gateway of the contract that says what a test tells it to: a real server, and nobody's product.

It keeps no rules of its own: a session has the status that was scripted, whatever happened before.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

KEY = "key-of-the-scripted-gateway"
Failure = Literal["500", "html", "reset", "silence", "401", "route", "429"]
NOT_FOUND = (404, {"error": "Session not found"})


@dataclass
class ContractGateway:
    url: str = ""
    statuses: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """What ``GET /status`` answers, by session."""
    connect_answer: tuple[int, Any] = (200, {"success": True})
    after_connect: dict[str, Any] = field(
        default_factory=lambda: {"status": "qr", "qr": "2@scan-me"}
    )
    """The status that a session has once it was connected."""
    disconnect_answer: tuple[int, Any] = (200, {"success": True})
    keeps_sessions: bool = False
    """A gateway that confirms a logout and goes on."""
    failing: Failure | None = None
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: it takes its time. Calls that come meanwhile are answered when it is set."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Which call came for which session, in order."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """What ``POST /connect`` was sent."""
    groups: list[dict[str, Any]] = field(default_factory=list)
    """What every session lists."""
    limits: dict[str, int] = field(default_factory=dict)
    """What it says of them beside its sessions."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    """What ``POST /send`` was sent, for sessions that are connected."""
    send_seconds: float = 0.0
    """How long it takes to send a message."""
    under_way: Counter[str] = field(default_factory=Counter)
    """The sends that it has not answered yet, by session."""
    peak_sends: int = 0
    peak_sends_of_a_session: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    """In which it runs."""

    def says(self, sid: str, status: str, **more: Any) -> None:
        self.statuses[sid] = (200, {"status": status, **more})

    def connects(self, sid: str, phone: str | None) -> None:
        self.says(sid, "connected", **({} if phone is None else {"phoneNumber": phone}))

    def forgets(self, sid: str) -> None:
        self.statuses.pop(sid, None)

    def count(self, call: str, sid: str | None = None) -> int:
        return sum(1 for name, named in self.calls if name == call and sid in (None, named))

    def do(self, *steps: Callable[[], object]) -> None:
        """From another thread: all of them between two of its answers."""

        async def take_them() -> None:
            for step in steps:
                step()

        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(take_them(), self.loop).result()

    # --- the server

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        sid = body["sessionId"]
        self.calls.append(("connect", sid))
        answer = await self._fail(request) or _json(self.connect_answer)
        if answer.status == 200 and sid not in self.statuses:
            self.statuses[sid] = (200, self.after_connect)
        return answer

    async def _status(self, request: web.Request) -> web.StreamResponse:
        sid = request.match_info["sid"]
        self.calls.append(("status", sid))
        return await self._fail(request) or _json(self.statuses.get(sid, NOT_FOUND))

    async def _disconnect(self, request: web.Request) -> web.StreamResponse:
        sid = request.match_info["sid"]
        self.calls.append(("disconnect", sid))
        answer = await self._fail(request) or _json(self.disconnect_answer)
        if answer.status == 200 and not self.keeps_sessions:
            self.forgets(sid)
        return answer

    async def _sessions(self, request: web.Request) -> web.StreamResponse:
        listed = [{"sessionId": sid, **said} for sid, (_, said) in self.statuses.items()]
        whole = {"sessions": listed, **self.limits}
        return await self._fail(request) or _json((200, whole))

    async def _groups(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(("groups", request.match_info["sid"]))
        return await self._fail(request) or _json((200, {"groups": self.groups}))

    async def _send(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.calls.append(("send", body["sessionId"]))
        with self._counted(body["sessionId"]):
            return await self._fail(request) or await self._carry_out(body)

    @contextmanager
    def _counted(self, sid: str) -> Iterator[None]:
        self.under_way[sid] += 1
        self.peak_sends = max(self.peak_sends, self.under_way.total())
        self.peak_sends_of_a_session = max(self.peak_sends_of_a_session, self.under_way[sid])
        try:
            yield
        finally:
            self.under_way[sid] -= 1

    async def _carry_out(self, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(self.send_seconds)
        _, said = self.statuses.get(body["sessionId"], NOT_FOUND)
        if said.get("status") != "connected":
            return _json((503, {"error": "WhatsApp is not connected"}))
        self.sent.append(body)
        return _json((200, {"success": True, "messageId": f"3EB0{len(self.sent):016}"}))

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return await self._fail(request) or web.Response(text="ok")

    async def _fail(self, request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("X-API-Key") != KEY:
            return _json((401, {"error": "wrong key"}))
        await self.answers.wait()
        if await self._is_silent_for(request):
            return web.Response(status=503)
        if self.failing == "reset":
            assert request.transport is not None
            request.transport.abort()
        return None if self.failing is None else _FAILURES[self.failing]()

    async def _is_silent_for(self, request: web.Request) -> bool:
        """Whether it said nothing for as long as anybody waited. Then it does nothing either."""
        if self.failing != "silence":
            return False
        while self.failing == "silence":  # noqa: ASYNC110 - tests set a plain field
            await asyncio.sleep(0.05)
        return request.transport is None


_FAILURES: dict[Failure, Callable[[], web.Response]] = {
    "401": lambda: _json((401, {"error": "wrong key"})),
    "500": lambda: _json((500, {"error": "database is locked"})),
    "429": lambda: _json((429, {"error": "slow down"})),
    "html": lambda: web.Response(text="<html><body>Bad gateway</body></html>"),
    "route": lambda: web.Response(text="Cannot GET this", status=404),
    "reset": web.Response,
}


def _json(answer: tuple[int, Any]) -> web.Response:
    status, body = answer
    return web.json_response(body, status=status)


@asynccontextmanager
async def contract_gateway() -> AsyncIterator[ContractGateway]:
    gateway = ContractGateway(loop=asyncio.get_running_loop())
    gateway.answers.set()
    app = web.Application()
    app.router.add_get("/health", gateway._health)
    app.router.add_post("/connect", gateway._connect)
    app.router.add_get("/status/{sid}", gateway._status)
    app.router.add_post("/disconnect/{sid}", gateway._disconnect)
    app.router.add_get("/sessions", gateway._sessions)
    app.router.add_get("/groups/{sid}", gateway._groups)
    app.router.add_post("/send", gateway._send)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    gateway.url = f"http://127.0.0.1:{port}"
    try:
        yield gateway
    finally:
        await runner.cleanup()


@contextmanager
def threaded_gateway() -> Iterator[ContractGateway]:
    """The same for tests that know no event loop: it runs on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted-gateway")
    thread.start()
    stack = AsyncExitStack()
    try:
        opened = stack.enter_async_context(contract_gateway())
        yield asyncio.run_coroutine_threadsafe(opened, loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
