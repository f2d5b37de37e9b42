"""The other end of ``FakeClient``: WhatsApp as the workers under test see it, and the test too."""

import asyncio
import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.fake_client import ADDRESS

from groupline_gateway.engines.whatsmeow.engine import Options
from groupline_gateway.engines.whatsmeow.runner import Pace

CLIENT: Final = "tests.support.fake_client:open_client"
FAST: Final = Pace(first_pause=0.02, longest_pause=0.2, tick=0.05)
STUDIO: Final = "919876543210"
MORNING: Final = "120363041234567890@g.us"
NEWS: Final = "120363041234567891@g.us"
COMMUNITY: Final = "120363041234567892@g.us"

Json = dict[str, Any]


def options(**changes: Any) -> Options:
    return Options(**{"client": CLIENT, "pace": FAST, **changes})


def jid(text: str) -> Json:
    user, _, server = text.partition("@")
    return {"user": user, "server": server}


def person(phone: str | None, lid: str, *, admin: bool = False) -> Json:
    return {
        "jid": jid(f"{lid}@lid"),
        "lid": jid(f"{lid}@lid"),
        "phone": jid(f"{phone}@s.whatsapp.net") if phone else jid(""),
        "isAdmin": admin,
        "isSuperAdmin": False,
    }


def group(at: str, name: str, size: int = 3, *, admin: bool = False, **facts: Any) -> Json:
    others = [person(None, f"{5000 + index}") for index in range(size - 1)]
    people = [person(STUDIO, "100200300", admin=admin), *others]
    return {"jid": jid(at), "name": name, "participants": people, **facts}


@dataclass
class Client:
    """One connection of one worker."""

    database: str
    pid: int
    phone: str | None
    proxy: str | None
    environment_proxy: str | None
    writer: asyncio.StreamWriter

    @property
    def session_id(self) -> str:
        return self.database.removesuffix(".db")

    def say(self, line: Json) -> None:
        self.writer.write(json.dumps(line).encode() + b"\n")

    def event(self, happening: str, /, **facts: Any) -> None:
        self.say({"event": {"event": happening, **facts}})


@dataclass
class FakeWhatsApp:
    address: str
    clients: dict[str, Client] = field(default_factory=dict)
    """By session id, those that are connected."""
    connections: Counter[str] = field(default_factory=Counter)
    wire: list[Json] = field(default_factory=list)
    """What was written to WhatsApp, in order."""
    held: list[tuple[str, str]] = field(default_factory=list)
    """Step and message id of sends that wait for the test."""
    hold_at: str | None = None
    """The step of a send that is never let through: before_store, stored, wire or answered."""
    errors: dict[str, str] = field(default_factory=dict)
    """By call (or by step of a send): the words of the library's error."""
    groups: list[Json] = field(
        default_factory=lambda: [
            group(MORNING, "Morning batch", 27, admin=True),
            group(NEWS, "News", 5, isAnnounce=True),
            group(COMMUNITY, "Community", 4, isParent=True),
        ]
    )
    shows_codes: bool = True
    disk_is_full: bool = False
    """The library cannot store what it sends."""
    _waiting: list[tuple[Client, Json]] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def until(self, holds: Callable[[], object], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(holds)

    async def scan(self, session_id: str = "wa_1", phone: str = STUDIO) -> None:
        """A phone scans the code that this session shows."""
        await self.until(lambda: session_id in self.clients)
        client = self.clients[session_id]
        client.phone = phone
        client.say({"scannedBy": phone})
        client.event("connected")

    def release(self) -> None:
        """Let go what is held, and hold nothing more."""
        self.hold_at = None
        for client, call in self._waiting:
            client.say({"answer": call["call"]})
        self._waiting.clear()

    def sent(self, text: str) -> int:
        """How many copies of a text WhatsApp got."""
        return sum(message["text"] == text for message in self.wire)

    async def hang_up(self) -> None:
        """Also on workers that are dead: nothing stays open for a later test to trip over."""
        for writer in self._writers:
            writer.close()
        closed = [writer.wait_closed() for writer in self._writers]
        await asyncio.gather(*closed, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client: Client | None = None
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                message = json.loads(line)
                if "hello" in message:
                    client = await self._welcome(message, writer)
                elif client is not None:
                    await self._answer(client, message)
        if client is not None and self.clients.get(client.session_id) is client:
            del self.clients[client.session_id]
        writer.close()
        await self._note()

    async def _welcome(self, message: Json, writer: asyncio.StreamWriter) -> Client:
        client = Client(
            message["hello"],
            message["pid"],
            message["phone"],
            message["proxy"],
            message["environmentProxy"],
            writer,
        )
        self.clients[client.session_id] = client
        self.connections[client.session_id] += 1
        if client.phone is not None:
            client.event("connected")
        elif self.shows_codes:
            client.event("qr", code=f"2@code-{self.connections[client.session_id]}")
        await self._note()
        return client

    async def _answer(self, client: Client, call: Json) -> None:
        step = str(call.get("step", call["op"]))
        if step == "wire":
            self.wire.append(call)
        if step == self.hold_at:
            self.held.append((step, str(call["messageId"])))
            self._waiting.append((client, call))
        else:
            client.say({"answer": call["call"], **self._result(step, call)})
        await self._note()

    def _result(self, step: str, call: Json) -> Json:
        if step in self.errors:
            return {"error": self.errors[step]}
        if step == "group":
            [found] = [each for each in self.groups if each["jid"] == jid(call["jid"])]
            return {"group": found}
        answers: dict[str, Json] = {
            "before_store": {"full": self.disk_is_full},
            "groups": {"groups": self.groups},
            "invite": {"link": "https://chat.whatsapp.com/AbCdEfGh123"},
            "pair_phone": {"code": "K7PM-3WXQ"},
        }
        return answers.get(step, {})

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@contextlib.asynccontextmanager
async def fake_whatsapp(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeWhatsApp]:
    """Workers that are started within the block find it."""
    with tempfile.TemporaryDirectory() as directory:
        fake = FakeWhatsApp(str(Path(directory) / "whatsapp"))
        server = await asyncio.start_unix_server(fake.serve, fake.address)
        monkeypatch.setenv(ADDRESS, fake.address)
        try:
            yield fake
        finally:
            server.close()
            await fake.hang_up()
