"""A gateway that answers at once: what is measured beside it is the cost of everything else.

``python -m bench._instant_gateway SECONDS``: or so much later.
"""

import asyncio
import itertools
import sys
from typing import cast

import uvloop

_ids = itertools.count(1)


class _Instant(asyncio.Protocol):
    """Reads requests with a Content-Length, and answers each with a new message id."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            answer = _http(*_answer_to(head))
            if self._seconds:
                loop = asyncio.get_running_loop()
                loop.call_later(self._seconds, self._transport.write, answer)
            else:
                self._transport.write(answer)


def _http(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


def _answer_to(head: bytes) -> tuple[bytes, bytes]:
    if head.startswith(b"post /send "):
        return b"200 OK", b'{"success":true,"messageId":"3EB0%012X"}' % next(_ids)
    if head.startswith(b"get /health "):
        return b"200 OK", b'{"status":"ok","version":"1","capabilities":["client_ref"]}'
    return b"404 Not Found", b'{"error":"Session not found"}'


async def _serve(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Instant(seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    sys.exit(uvloop.run(_serve(float(sys.argv[1]))))
