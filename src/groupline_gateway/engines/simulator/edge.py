"""Between the server and the routes: where answers get lost, cut, delayed and rephrased."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groupline_gateway.engines.faults import (
    CRASHES,
    SEND_KINDS,
    WEBHOOK_KINDS,
    FaultKind,
    FaultRule,
    Route,
    Subject,
)
from groupline_gateway.engines.simulator import answers
from groupline_gateway.engines.simulator.answers import Answer
from groupline_gateway.engines.simulator.dialect import rephrase, understand
from groupline_gateway.engines.simulator.parts import Parts

ABORT_EXTENSION = "groupline_gateway.abort"
"""In the ASGI scope: cuts the TCP connection with a reset."""

_EDGE_KINDS = frozenset(FaultKind) - WEBHOOK_KINDS - SEND_KINDS
_EDGE_AND_CRASHES = _EDGE_KINDS | CRASHES
_ROUTES = (
    ("GET", re.compile(r"/health\Z"), Route.HEALTH),
    ("POST", re.compile(r"/connect\Z"), Route.CONNECT),
    ("GET", re.compile(r"/status/([^/]+)\Z"), Route.STATUS),
    ("POST", re.compile(r"/disconnect/([^/]+)\Z"), Route.DISCONNECT),
    ("GET", re.compile(r"/groups/([^/]+)\Z"), Route.GROUPS),
    ("GET", re.compile(r"/groups/([^/]+)/[^/]+/invite\Z"), Route.INVITE),
    ("GET", re.compile(r"/groups/([^/]+)/[^/]+/participants\Z"), Route.PARTICIPANTS),
    ("POST", re.compile(r"/message-status\Z"), Route.MESSAGE_STATUS),
)
_ENDINGS = frozenset(
    {
        FaultKind.NO_ANSWER,
        FaultKind.RESET_BEFORE,
        FaultKind.RESET_AFTER,
        FaultKind.CRASH_BEFORE,
        FaultKind.CRASH_AFTER,
    }
    | answers.REPLACING
)
"""Only the first of these decides how a request ends."""


@dataclass(slots=True)
class _Call:
    """One request, with what strikes it."""

    route: Route
    session_id: str | None
    scope: Scope
    receive: Receive
    send: Send
    body: bytes
    struck: list[FaultRule] = field(default_factory=list)

    @property
    def ending(self) -> FaultRule | None:
        return next((fault for fault in self.struck if fault.kind in _ENDINGS), None)


class Edge:
    def __init__(
        self,
        app: ASGIApp,
        parts: Parts,
        *,
        die: Callable[[], Awaitable[None]],
        released: asyncio.Event,
    ) -> None:
        self._app = app
        self._faults = parts.faults
        self._traffic = parts.traffic
        self._options = parts.options
        self._people = parts.people
        self._clock = parts.clock
        self._die = die
        self._released = released

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _route_of(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
        elif not self._traffic.enter():
            await _reset(scope, receive)
        else:
            try:
                await self._serve(found[0], found[1], scope, receive, send)
            finally:
                self._traffic.leave()

    async def _serve(
        self, route: Route, session_id: str | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if not self._faults and self._options.native:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        call = _Call(route, session_id or _session_in(body), scope, receive, send, body)
        call.struck = self._draw(route, call.session_id)
        if not self._options.native:
            call.body = understand(route, call.body, self._options.dialect)
        await self._act(call)
        await self._end(call)

    def _draw(self, route: Route, session_id: str | None) -> list[FaultRule]:
        subject = Subject(route, session_id, self._people.phone_of(session_id))
        # Crashes around a send happen inside it, between the intent and the network.
        kinds = _EDGE_KINDS if route is Route.SEND else _EDGE_AND_CRASHES
        return self._faults.draw(subject, kinds)

    async def _act(self, call: _Call) -> None:
        """What happens besides the request, before it is carried out."""
        for fault in call.struck:
            if fault.kind is FaultKind.DELAY:
                await self._first_of(self._clock.sleep(fault.pause))
            elif fault.kind in (FaultKind.LOGOUT, FaultKind.DROP):
                await self._cut_off(call, fault.kind)

    async def _cut_off(self, call: _Call, kind: FaultKind) -> None:
        session = self._people.session(call.session_id)
        if session is None:
            return
        if kind is FaultKind.LOGOUT:
            await self._people.unlink(session)
        else:
            await self._people.drop(session)

    async def _end(self, call: _Call) -> None:
        ending = call.ending
        kind = None if ending is None else ending.kind
        if kind is FaultKind.CRASH_BEFORE:
            await self._die()
        if kind is FaultKind.RESET_BEFORE:
            await _reset(call.scope, call.receive)
            return
        answer = await self._ask(call) if ending is None or _carried_out(ending) else None
        if kind is FaultKind.CRASH_AFTER:
            await self._die()
        if kind is FaultKind.RESET_AFTER:
            await _reset(call.scope, call.receive)
        elif ending is not None and kind is FaultKind.NO_ANSWER:
            await self._hold(call, ending.pause)
        elif ending is not None:
            await answers.replacement(ending).give(call.send)
        elif answer is not None:
            await self._rephrased(call, answer).give(call.send)

    def _rephrased(self, call: _Call, answer: Answer) -> Answer:
        for fault in call.struck:
            answer = answers.distorted(answer, fault)
        if self._options.native:
            return answer
        phone = self._people.phone_of(call.session_id)
        return rephrase(call.route, answer, self._options.dialect, phone)

    async def _ask(self, call: _Call) -> Answer:
        """Have the request carried out, and keep the answer back."""
        answer = Answer(500)
        delivered = False

        async def receive() -> Message:
            nonlocal delivered
            if delivered:
                return await call.receive()
            delivered = True
            return {"type": "http.request", "body": call.body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = list(message.get("headers", []))
            else:
                answer.body += message.get("body", b"")

        await self._app(call.scope, receive, send)
        return answer

    async def _hold(self, call: _Call, seconds: float) -> None:
        """Say nothing until the client leaves, the time is up or the server stops."""
        await self._first_of(call.receive(), self._clock.sleep(seconds))
        await _reset(call.scope, call.receive)

    async def _first_of(self, *waits: Awaitable[object]) -> None:
        """Wait for one of them, or until the server wants to stop."""
        tasks = [asyncio.ensure_future(wait) for wait in (*waits, self._released.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _route_of(scope: Scope) -> tuple[Route, str | None] | None:
    """Which call of the contract this is, and the session in its path."""
    path, method = scope["path"], scope["method"]
    if path == "/send":
        return (Route.SEND, None) if method == "POST" else None
    for wanted, pattern, route in _ROUTES:
        if method == wanted and (match := pattern.match(path)):
            return route, match.group(1) if match.groups() else None
    return None


def _carried_out(ending: FaultRule) -> bool:
    if ending.kind in (FaultKind.RESET_AFTER, FaultKind.CRASH_AFTER):
        return True
    if ending.carried_out is not None:
        return ending.carried_out
    return ending.kind is FaultKind.NO_ANSWER


def _session_in(body: bytes) -> str | None:
    try:
        value: Any = json.loads(body)
    except ValueError:
        return None
    found = value.get("sessionId") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


async def _read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


async def _reset(scope: Scope, receive: Receive) -> None:
    """Cut the connection, and wait until the server has noticed."""
    scope["extensions"][ABORT_EXTENSION]()
    while (await receive())["type"] != "http.disconnect":
        pass
