"""Fetching the media of a message: bounded in time and size, and never from inside the network."""

import asyncio
import contextlib
import ipaddress
import mimetypes
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from groupline_gateway.errors import BadRequest

_CHUNK = 256 * 1024
_CONNECT_SECONDS = 5.0
_DEFAULT_TYPES = {"image": "image/jpeg", "video": "video/mp4"}
_DEFAULT_DOCUMENT = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Fetched:
    path: Path
    mime_type: str
    file_name: str


class MediaFetcher:
    """``directory`` holds a file for as long as its message is being sent."""

    def __init__(self, directory: Path, *, largest: int, private: bool) -> None:
        self._directory = directory
        self._largest = largest
        self._private = private

    @contextlib.asynccontextmanager
    async def fetched(self, url: str, kind: str, seconds: float) -> AsyncIterator[Fetched]:
        """Raises ``BadRequest``: a message whose media cannot be had was not sent."""
        self._check_host(url)
        await asyncio.to_thread(self._directory.mkdir, mode=0o700, exist_ok=True)
        descriptor, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._directory)
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                mime_type = await self._download(url, kind, seconds, file.write)
            yield Fetched(path, mime_type, _file_name(url))
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _download(self, url: str, kind: str, seconds: float, write: object) -> str:
        assert callable(write)
        timeout = aiohttp.ClientTimeout(total=seconds, connect=_CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(resolver=_Resolver(private=self._private))
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
                http.get(url, max_redirects=5) as answer,
            ):
                if answer.status != 200:
                    raise BadRequest(f"The media could not be fetched: it answers {answer.status}")
                await self._copy(answer, write)
                return _mime_type(answer, url, kind)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            inside = isinstance(getattr(error, "os_error", error), _Inside)
            reason = _INSIDE if inside else type(error).__name__
            raise BadRequest(f"The media could not be fetched: {reason}") from error

    async def _copy(self, answer: aiohttp.ClientResponse, write: object) -> None:
        assert callable(write)
        size = 0
        async for chunk in answer.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > self._largest:
                megabytes = self._largest // 1_048_576
                raise BadRequest(f"The media is larger than {megabytes} MB, the limit here")
            await asyncio.to_thread(write, chunk)

    def _check_host(self, url: str) -> None:
        """Addresses in numbers are never resolved, so they are looked at here."""
        host = urlsplit(url).hostname or ""
        with contextlib.suppress(ValueError):
            if not self._private and not ipaddress.ip_address(host).is_global:
                raise BadRequest(f"The media could not be fetched: {_INSIDE}")


_INSIDE = "its address leads into a private network"


class _Inside(OSError):
    """The name leads to an address that is not of the public internet."""


class _Resolver(AbstractResolver):
    """Resolves and checks in one step, so that nothing can change in between."""

    def __init__(self, *, private: bool) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not self._private and not all(
            ipaddress.ip_address(each["host"].partition("%")[0]).is_global for each in found
        ):
            raise _Inside(_INSIDE)
        return found

    async def close(self) -> None:
        await self._inner.close()


def _mime_type(answer: aiohttp.ClientResponse, url: str, kind: str) -> str:
    """What the server says if it fits the kind, else what the name says, else the usual one."""
    said = answer.content_type
    if kind == "document":
        guessed, _ = mimetypes.guess_type(urlsplit(url).path)
        known = said not in ("", "application/octet-stream", "binary/octet-stream")
        return said if known else guessed or _DEFAULT_DOCUMENT
    return said if said.startswith(f"{kind}/") else _DEFAULT_TYPES[kind]


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2][:120] or "document"
