"""Media by URL: is it there, of the right kind, small enough, and not in our own network?

The address comes from a person or a program, and this server fetches from it: it must not lead to
what only this server can reach. Every name is resolved once per connection, each of its addresses
is looked at, and the connection goes to exactly those. A redirect is checked like the first
address. No transaction may be open while ``check`` runs.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from groupline.errors import InvalidInput
from groupline.messages.media_kinds import LARGEST, MEGABYTE, kind_of, page_of
from groupline.models import MediaType
from groupline.net import Allows, ForbiddenAddress, IPAddress, is_public, is_public_or_private

Resolve = Callable[[str], Awaitable[Sequence[str]]]

MAX_URL: Final = 2_000
_MAX_HOST: Final = 253
_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_BEGINNING: Final = 2_048
"""So many bytes tell what a file is, whatever its server calls it, and pages that begin with a
comment or with blank lines."""
_PORTION: Final = 64 * 1024
_A: Final[Mapping[MediaType, str]] = {
    "image": "an image",
    "video": "a video",
    "document": "a document",
}


@dataclass(frozen=True, slots=True)
class Media:
    """What stood at an address when it was looked at."""

    url: str
    kind: MediaType
    content_type: str
    size: int
    """In bytes."""


# --- which addresses ------------------------------------------------------------------------


async def resolve_by_system(host: str) -> Sequence[str]:
    """All addresses of a name."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True, slots=True)
class MediaPolicy:
    """Where media may lie, and how long looking at it may take."""

    allows: Allows = is_public
    resolve: Resolve = resolve_by_system
    seconds: float = 10.0
    """For everything together: names, redirects, and the beginning of the file."""
    redirects: int = 3


PUBLIC: Final = MediaPolicy()
PUBLIC_OR_PRIVATE: Final = MediaPolicy(allows=is_public_or_private)


# --- the address ----------------------------------------------------------------------------


def check_media_url(url: str) -> SplitResult:
    """The parts of an address that a gateway can fetch. Raises ``InvalidInput``."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refused("is not a URL") from error
    if len(url) > MAX_URL or not url.isprintable() or " " in url:
        raise _refused("is too long, or contains characters that a URL cannot have")
    if parts.scheme not in ("http", "https") or not host:
        raise _refused("must begin with https:// or http:// and name a host")
    if port == 0 or not _is_host(host):
        raise _refused("names a host or a port that cannot exist")
    if parts.username is not None or parts.password is not None:
        raise _refused("must not contain a user name or a password")
    return parts


def _is_host(host: str) -> bool:
    if ":" in host:  # an IPv6 address, which urlsplit has checked
        return True
    labels = host.removesuffix(".").split(".")
    return len(host) <= _MAX_HOST and all(map(_LABEL.fullmatch, labels))


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"The media address {why}.", fields={"mediaUrl": why})


# --- looking --------------------------------------------------------------------------------


async def check(url: str, kind: MediaType | None = None, *, policy: MediaPolicy = PUBLIC) -> Media:
    """What stands at the address now. Raises ``InvalidInput`` with why it cannot be sent.

    With ``kind`` it must be of that kind; a document may be anything but a web page.
    """
    check_media_url(url)
    try:
        async with asyncio.timeout(policy.seconds), _client(policy) as client:
            return await _look(client, url, kind, policy)
    except ForbiddenAddress as error:
        raise _refused("leads into a private network") from error
    except TimeoutError as error:
        raise _refused(f"could not be looked at within {policy.seconds:g} s") from error
    except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
        raise _refused("cannot be reached") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _refused("cannot be fetched") from error


async def check_if_given(
    url: str | None, kind: MediaType | None = None, *, policy: MediaPolicy = PUBLIC
) -> Media | None:
    """For a message that may have media."""
    if url is not None:
        return await check(url, kind, policy=policy)
    if kind is not None:
        why = "There is no mediaUrl that it could be the type of."
        raise InvalidInput(why, fields={"mediaType": why})
    return None


class _Resolver(AbstractResolver):
    """Refuses a name as soon as one of its addresses is not allowed."""

    def __init__(self, policy: MediaPolicy) -> None:
        self._policy = policy

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - aiohttp's signature
    ) -> list[ResolveResult]:
        addresses = await self._policy.resolve(host)
        for address in addresses:
            _need_allowed(ipaddress.ip_address(address.partition("%")[0]), self._policy)
        return [_resolved(host, port, address) for address in addresses]

    async def close(self) -> None:
        """It holds nothing."""


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=flags
    )


def _need_allowed(address: IPAddress, policy: MediaPolicy) -> None:
    if not policy.allows(address):
        raise ForbiddenAddress(str(address))


def _client(policy: MediaPolicy) -> aiohttp.ClientSession:
    """Without a cache of names, cookies, credentials, or a proxy that would resolve by itself."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=_Resolver(policy), use_dns_cache=False, force_close=True
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "groupline", "Accept-Encoding": "identity"},
        auto_decompress=False,
        trust_env=False,
    )


async def _look(
    client: aiohttp.ClientSession, url: str, kind: MediaType | None, policy: MediaPolicy
) -> Media:
    here = url
    for _ in range(policy.redirects + 1):
        target = _target(here, policy)
        async with client.get(target, allow_redirects=False) as answer:
            location = answer.headers.get("Location")
            if answer.status in _MOVED and location:
                here = _redirected(here, location)
                continue
            if answer.status != HTTPStatus.OK:
                raise _refused(f"is answered with {answer.status}")
            return await _media(answer, url, kind)
    raise _refused("is redirected too often")


def _redirected(here: str, location: str) -> str:
    """Where it goes on. What is wrong with that address is not wrong with the given one."""
    try:
        there = urljoin(here, location)
    except ValueError as error:
        raise _refused("is redirected to something that is not a URL") from error
    try:
        check_media_url(there)
    except InvalidInput as error:
        scheme = there.partition(":")[0].lower()
        if scheme not in ("http", "https"):
            why = f"is redirected to {scheme}:, and only https: and http: can be fetched"
            raise _refused(why) from error
        raise _refused(f"is redirected to an address that {error.fields['mediaUrl']}") from error
    return there


def _target(url: str, policy: MediaPolicy) -> URL:
    """A literal address never goes through a resolver, so it is looked at here."""
    target = URL(url)
    try:
        literal = ipaddress.ip_address((target.host or "").partition("%")[0])
    except ValueError:
        return target
    _need_allowed(literal, policy)
    return target


async def _media(answer: aiohttp.ClientResponse, url: str, kind: MediaType | None) -> Media:
    content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    beginning = await _read(answer, _BEGINNING)
    if not beginning:
        raise _refused("leads to an empty file")
    if page := page_of(content_type, beginning):
        raise _refused(f"leads to {page}, not to a file")
    actual = kind_of(beginning)
    if kind not in (None, "document", actual):
        raise _refused(f"leads to {_A[actual]}, not to {_A[kind or actual]}")
    chosen = kind or actual
    size = await _size(answer, len(beginning), LARGEST[chosen])
    if size > LARGEST[chosen]:
        most = LARGEST[chosen] // MEGABYTE
        raise _refused(f"leads to more than the {most} MB that WhatsApp takes of {_A[chosen]}")
    return Media(url, chosen, content_type, size)


async def _read(answer: aiohttp.ClientResponse, count: int) -> bytes:
    found = b""
    while len(found) < count:
        portion = await answer.content.read(count - len(found))
        if not portion:
            break
        found += portion
    return found


async def _size(answer: aiohttp.ClientResponse, seen: int, most: int) -> int:
    """As the server says; where it does not, it is counted, to just beyond what is allowed."""
    if answer.content_length is not None:
        return answer.content_length
    while seen <= most and (portion := await answer.content.read(_PORTION)):
        seen += len(portion)
    return seen
