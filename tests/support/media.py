"""A server of media on loopback, and policies that let it be looked at, it and nothing else."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from groupline.messages.media import MediaPolicy
from groupline.net import IPAddress

FILES = {
    "png": b"\x89PNG\r\n\x1a\n" + bytes(4_000),
    "jpg": b"\xff\xd8\xff\xe0" + bytes(4_000),
    "mp4": b"\x00\x00\x00\x18ftypmp42" + bytes(4_000),
    "pdf": b"%PDF-1.7\n" + bytes(4_000),
    "html": b"<!doctype html><title>Log in</title>",
    "page": b"\n<!-- " + b"padding " * 100 + b"-->\n<!DOCTYPE html><title>Log in</title>",
    "error": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "empty": b"",
}
TYPES = {"png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4", "pdf": "application/pdf"}
HERE = "127.0.0.1"


@dataclass
class MediaServer:
    """``/file.png`` and so on; ``?size`` says a size, ``?count`` sends so many bytes unsaid."""

    url: str = ""
    requests: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def file(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(str(request.rel_url))
        body = FILES[request.match_info["kind"]]
        kind = request.query.get("type", TYPES.get(request.match_info["kind"], "text/html"))
        if "count" in request.query:
            return await _unsaid(request, body, int(request.query["count"]))
        if "size" in request.query:
            answer = web.StreamResponse(headers={"Content-Type": kind})
            answer.content_length = int(request.query["size"])
            await answer.prepare(request)
            await answer.write(body)
            await asyncio.Event().wait()  # the rest is nobody's business
        return web.Response(body=body, headers={"Content-Type": kind})

    async def moved(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(str(request.rel_url))
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async def gone(self, _: web.Request) -> web.StreamResponse:
        raise web.HTTPGone

    async def silent(self, _: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError


async def _unsaid(request: web.Request, body: bytes, count: int) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    await answer.write(body)
    sent = len(body)
    while sent < count:
        portion = bytes(min(65_536, count - sent))
        await answer.write(portion)
        sent += len(portion)
    return answer


@asynccontextmanager
async def media_server(host: str = HERE) -> AsyncIterator[MediaServer]:
    media, app = MediaServer(), web.Application()
    app.router.add_get("/file.{kind}", media.file)
    app.router.add_get("/moved", media.moved)
    app.router.add_get("/gone", media.gone)
    app.router.add_get("/silent", media.silent)
    # What still hangs at the end is cut off: no test waits for it.
    async with TestServer(app, host=host, shutdown_timeout=0.1) as running:
        media.url = f"http://{host}:{running.port}"
        yield media


@dataclass
class Names:
    """A resolver with answers of its own, in the order in which it is asked."""

    answers: dict[str, list[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        waiting = self.answers[host]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


def only(*addresses: str, **options: object) -> MediaPolicy:
    """Nothing but these is allowed."""
    allowed = {ipaddress.ip_address(each) for each in addresses}

    def allows(address: IPAddress) -> bool:
        return address in allowed

    return MediaPolicy(allows=allows, **options)  # type: ignore[arg-type]
