"""A gateway whose every byte is scripted, on a real socket of this machine."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Peer:
    """The gateway's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with a RST, as a process that dies does."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Answering = Callable[[Peer], Awaitable[bool]]
"""Answers one request; True keeps the connection."""


def answer(
    status: int, body: bytes | object, headers: Mapping[str, str] | None = None
) -> Answering:
    """A complete answer. What is no bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in (given | dict(headers or {})).items())
    return raw(f"HTTP/1.1 {status} Answer\r\n{lines}\r\n".encode() + content, keep=True)


def raw(data: bytes, *, keep: bool = False) -> Answering:
    """Exactly these bytes; then the connection is closed, unless it is kept."""

    async def answering(peer: Peer) -> bool:
        await peer.write(data)
        return keep

    return answering


def reset(after: bytes = b"") -> Answering:
    """The request is read, perhaps something is answered, and the connection is reset."""

    async def answering(peer: Peer) -> bool:
        await peer.write(after)
        peer.reset()
        return False

    return answering


async def silence(peer: Peer) -> bool:
    """No answer, until the other side gives up."""
    await peer.reader.read()
    return False


@dataclass
class ScriptedGateway:
    """Answers each request with the next of `script`; the last one goes on."""

    script: list[Answering] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    reset_on_accept: bool = False
    deaf: bool = False
    """Accepts connections and reads nothing."""

    def says(self, *answers: Answering) -> None:
        self.script = list(answers)

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(Peer(reader, writer)))
        self._tasks.add(task)

    async def _serve(self, peer: Peer) -> None:
        try:
            if self.reset_on_accept:
                peer.reset()
            elif self.deaf:
                await asyncio.Event().wait()
            else:
                await self._converse(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the driver has hung up, as it may
        finally:
            peer.writer.close()

    async def _converse(self, peer: Peer) -> None:
        while True:
            self.received.append(await _read_request(peer.reader))
            self.arrived.set()
            answering = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if not await answering(peer):
                return


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)


@asynccontextmanager
async def refusing_port() -> AsyncIterator[int]:
    """A port of this machine on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it meanwhile
        yield held.getsockname()[1]
