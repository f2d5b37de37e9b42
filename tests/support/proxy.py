"""A way to the database that fails as networks and servers do: it is cut, or it goes silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sqlalchemy import make_url
from tests.support.ports import free_port


@dataclass(eq=False)
class _Connection:
    speaking: asyncio.Event
    drops_answers: bool = False
    ends: list[asyncio.StreamWriter] = field(default_factory=list)


class Proxy:
    """Between this process and a PostgreSQL server, in the loop of the test."""

    def __init__(self, url: str) -> None:
        self._target = make_url(url)
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._serving: set[asyncio.Task[None]] = set()
        self._loses: bytes | None = None
        self._on_the_way = False
        self._server: asyncio.Server | None = None
        self._port = free_port()  # its own also while it is closed: nobody else is given it
        self.lost = 0
        """How often an answer was."""

    @property
    def url(self) -> str:
        """Of the database, by way of this."""
        here = self._target.set(host="127.0.0.1", port=self._port)
        return here.render_as_string(hide_password=False)

    def go_silent(self) -> None:
        """Connections stay open and take what is sent, as those of a host that stands still."""
        self._speaking.clear()

    def fail_over(self) -> None:
        """Connections that are silent stay so for good; new ones are served."""
        self._speaking = asyncio.Event()
        self._speaking.set()

    def lose_the_answer_to(self, statement: bytes, *, on_the_way: bool = False) -> None:
        """Once, and the connection with it. The server gets the statement, unless that is what is
        lost ``on_the_way``."""
        self._loses, self._on_the_way = statement, on_the_way

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def close(self) -> None:
        """No connection is left, and none can be made until it is opened again."""
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        connection = _Connection(self._speaking, ends=[writer])
        try:
            with contextlib.suppress(asyncio.CancelledError):  # by ``close``: it ends in order
                await self._connect(connection, reader, writer)
        finally:
            self._serving.discard(task)
            for end in connection.ends:
                end.transport.abort()

    async def _connect(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        answers, server = await asyncio.open_connection(self._target.host, self._target.port)
        connection.ends.append(server)
        ways = [  # what ends one ends the other
            asyncio.create_task(self._to_server(connection, reader, server)),
            asyncio.create_task(self._to_client(connection, answers, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _to_server(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while sent := await reader.read(65536):
            await connection.speaking.wait()
            if self._loses is not None and self._loses in sent:
                self._loses = None
                self.lost += 1
                if self._on_the_way:
                    return
                connection.drops_answers = True
            writer.write(sent)
            await writer.drain()

    async def _to_client(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while said := await reader.read(65536):
            if connection.drops_answers:
                return
            await connection.speaking.wait()
            writer.write(said)
            await writer.drain()


@contextlib.asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(url)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
