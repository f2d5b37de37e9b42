"""What our port answers while the database is waited for: that we live, and that we cannot help."""

import asyncio
import contextlib
import json
import socket
from typing import Final, Self

from groupline.errors import DatabaseUnreachable

_ALIVE: Final = "/healthz"
_REQUEST_SECONDS: Final = 5.0
_WAITING: Final = DatabaseUnreachable("Groupline starts, and waits for its database.")


class Meanwhile:
    """Answers on the listener of the web server, from ``begin`` until ``end`` or its exit."""

    def __init__(self, listener: socket.socket | None) -> None:
        self._listener = listener
        self._server: asyncio.Server | None = None

    async def begin(self) -> None:
        """However often it is called. A start that waits for nothing leaves it out, so that who
        comes early is answered by the web server itself."""
        if self._listener is not None and self._server is None:
            # A copy: the listener, and who queues at it, outlives this.
            self._server = await asyncio.start_server(_answer, sock=self._listener.dup())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.LimitOverrunError):
        # Who says nothing, or no end of it, is answered nothing: a timeout is an ``OSError``.
        async with asyncio.timeout(_REQUEST_SECONDS):
            with contextlib.suppress(asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head))
                await writer.drain()


def _response(head: bytes) -> bytes:
    _, target, *_ = [*head.split(b" ", 2), b""]
    is_alive = target.partition(b"?")[0] == _ALIVE.encode()
    body = json.dumps({"status": "ok"} if is_alive else _WAITING.problem()).encode()
    lines = [
        "HTTP/1.1 200 OK" if is_alive else "HTTP/1.1 503 Service Unavailable",
        f"Content-Type: application/{'json' if is_alive else 'problem+json'}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *([] if is_alive else [f"Retry-After: {_WAITING.retry_after}"]),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if head.startswith(b"HEAD ") else body)
