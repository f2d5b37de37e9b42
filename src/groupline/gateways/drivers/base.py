"""The HTTP that all drivers share: one pool, limits on time and size, one way to authenticate.

A driver calls `GatewayHttp.call` and gets an `Answer` or a `CallFailed`; no exception of the
HTTP client ever reaches it. Nothing of a request or an answer is logged but its kind.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import cached_property
from types import TracebackType
from typing import Self, assert_never
from urllib.parse import quote

import aiohttp
import structlog
from yarl import URL

from groupline.build import current_version
from groupline.errors import InvalidInput
from groupline.gateways.drivers.failures import (
    HANDLED,
    CallFailed,
    Cause,
    WriteMark,
    classify,
)
from groupline.gateways.drivers.marked import MARK, MarkedConnector, MarkedRequest
from groupline.gateways.drivers.parsing import parse_json

log = structlog.get_logger(__name__)

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_MEGABYTE = 1024 * 1024
_READ_CHUNK = 64 * 1024
# Node closes an idle connection after 5 s, gunicorn after 2 s. A request written onto one that
# is just being closed is lost with its outcome unknown, so we let go of it first.
_KEEP_ALIVE_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds of one kind of call."""

    seconds: float
    max_bytes: int = _MEGABYTE


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of all calls to a gateway."""

    connect_seconds: float = 5.0
    """Waiting for the pool and for the connection."""
    probe: Limit = Limit(10)
    connect: Limit = Limit(30)
    status: Limit = Limit(10)
    disconnect: Limit = Limit(20)
    groups: Limit = Limit(120, 32 * _MEGABYTE)
    participants: Limit = Limit(60, 4 * _MEGABYTE)
    invite: Limit = Limit(20)
    send: Limit = Limit(30)
    lookup: Limit = Limit(10)


class AuthScheme(StrEnum):
    API_KEY = "api_key"
    BEARER = "bearer"


def normalise_base_url(text: str) -> str:
    """The address without blanks and without a slash at its end. Raises `InvalidInput`."""
    try:
        url = URL(text.strip())
        host = url.host
    except ValueError as error:
        raise _bad_url("is not a URL") from error
    if url.scheme not in {"http", "https"} or not host:
        raise _bad_url("must begin with http:// or https:// and name a host")
    if url.user is not None or url.password is not None:
        raise _bad_url("must not contain a user name or a password")
    if url.query_string or url.fragment:
        raise _bad_url("must not contain a query or a fragment")
    return str(url).rstrip("/")


def _bad_url(reason: str) -> InvalidInput:
    return InvalidInput(f"The gateway's address {reason}.", fields={"baseUrl": reason})


_PRINTABLE_KEY = re.compile(r"[\x21-\x7e]{1,512}")


def normalise_key(text: str) -> str:
    """The key without blanks around it. Raises `InvalidInput`."""
    key = text.strip()
    if key and not _PRINTABLE_KEY.fullmatch(key):
        reason = "contains characters that cannot be sent"
        raise InvalidInput(f"The gateway's key {reason}.", fields={"apiKey": reason})
    return key


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, whole and within its size limit."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    seconds: float

    @cached_property
    def json(self) -> object:
        """The parsed body, whatever its content type says, or `NO_JSON`."""
        return parse_json(self.body)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds, from either form of the header."""
        if "Retry-After" not in self.headers:
            return None
        value = self.headers["Retry-After"].strip()
        if value.isascii() and value.isdigit():
            return min(float(value[:7]), 86_400.0)
        try:
            # Both are times of the gateway's clock, so that ours does not matter.
            wait = parsedate_to_datetime(value) - parsedate_to_datetime(self.headers["Date"])
        except (KeyError, ValueError, TypeError):
            return None
        return min(max(wait.total_seconds(), 0.0), 86_400.0)


class HttpPool:
    """The one pooled HTTP client of a process. Close it last."""

    def __init__(self, *, connections: int = 200, per_gateway: int = 100) -> None:
        self._connections = connections
        self._per_gateway = per_gateway
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """Made at the first call, because it belongs to the running loop."""
        if self._session is None:
            self._session = self._open()
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=MarkedConnector(
                limit=self._connections,
                limit_per_host=self._per_gateway,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"groupline/{current_version()}", "Accept": "application/json"},
            request_class=MarkedRequest,
            trust_env=False,
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.aclose()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a gateway is and how it knows us. Both are normalised here."""

    base_url: str
    api_key: str = field(repr=False)
    auth: AuthScheme = AuthScheme.API_KEY

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", normalise_base_url(self.base_url))
        object.__setattr__(self, "api_key", normalise_key(self.api_key))

    def auth_headers(self) -> dict[str, str]:
        """One scheme, never several in a row."""
        if not self.api_key:
            return {}
        match self.auth:
            case AuthScheme.API_KEY:
                return {"X-API-Key": self.api_key}
            case AuthScheme.BEARER:
                return {"Authorization": f"Bearer {self.api_key}"}
            case _:
                assert_never(self.auth)


class GatewayHttp:
    """Calls to one gateway."""

    def __init__(self, pool: HttpPool, endpoint: Endpoint, limits: Limits) -> None:
        self._pool = pool
        self._endpoint = endpoint
        self._limits = limits
        self._headers = endpoint.auth_headers()
        self._json_headers = {**self._headers, "Content-Type": "application/json"}
        self._urls: dict[str, URL] = {}
        self._timeouts: dict[Limit, aiohttp.ClientTimeout] = {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated in a text for people."""
        return (self._endpoint.api_key,) if self._endpoint.api_key else ()

    async def call(
        self,
        method: str,
        path: tuple[str, ...],
        limit: Limit,
        *,
        body: Mapping[str, object] | None = None,
        query: str = "",
        before_write: Callable[[], None] | None = None,
    ) -> Answer | CallFailed:
        """One request, no retry of a POST, no redirect. Only cancellation is raised, and what
        `before_write` raises."""
        mark = WriteMark(before_write=before_write)
        try:
            return await self._request(method, self._url(path, query), limit, body, mark)
        except HANDLED as error:
            failed = classify(error, mark)
        log.debug(
            "gateway.call_failed",
            call=f"{method} /{path[0]}",
            cause=str(failed.cause),
            written=failed.written,
            error=failed.error,
        )
        return failed

    async def _request(
        self,
        method: str,
        url: URL,
        limit: Limit,
        body: Mapping[str, object] | None,
        mark: WriteMark,
    ) -> Answer | CallFailed:
        started = time.perf_counter()
        MARK.set(mark)
        async with self._pool.session.request(
            method,
            url,
            data=None if body is None else _ENCODER.encode(body).encode(),
            headers=self._headers if body is None else self._json_headers,
            timeout=self._timeout(limit),
            allow_redirects=False,
        ) as response:
            content = await _read(response, limit.max_bytes)
            if content is None:
                response.close()  # the rest is not wanted, nor the connection it comes on
                return _too_large(limit)
            return Answer(
                status=response.status,
                body=content,
                headers=response.headers,
                seconds=time.perf_counter() - started,
            )

    def _url(self, path: tuple[str, ...], query: str) -> URL:
        """Each part is one segment, whatever characters a gateway put into an id."""
        if len(path) == 1 and not query:
            return self._plain_url(path[0])
        segments = "/".join(quote(part, safe="@") for part in path)
        return URL(
            f"{self._endpoint.base_url}/{segments}{'?' + query if query else ''}", encoded=True
        )

    def _plain_url(self, route: str) -> URL:
        """The routes without an id are few and hot."""
        if route not in self._urls:
            self._urls[route] = URL(f"{self._endpoint.base_url}/{route}", encoded=True)
        return self._urls[route]

    def _timeout(self, limit: Limit) -> aiohttp.ClientTimeout:
        if limit not in self._timeouts:
            connect = min(self._limits.connect_seconds, limit.seconds)
            self._timeouts[limit] = aiohttp.ClientTimeout(
                total=limit.seconds, connect=connect, ceil_threshold=60
            )
        return self._timeouts[limit]


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """The body, counted as it is after decompression; None if it is larger than allowed."""
    announced = response.content_length
    if announced is not None and "Content-Encoding" not in response.headers:
        return await response.read() if announced <= max_bytes else None
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(_READ_CHUNK):
        size += len(chunk)
        if size > max_bytes:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: Limit) -> CallFailed:
    return CallFailed(
        cause=Cause.BAD_ANSWER,
        written=True,
        waited_for_pool=False,
        detail=f"The gateway's answer is larger than {limit.max_bytes // 1024} KB.",
        error="AnswerTooLarge",
    )
