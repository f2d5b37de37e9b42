"""Media by URL: what may be asked for, and of which kind it is."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from groupline.errors import InvalidInput
from groupline.models import MediaType

MAX_URL: Final = 2_000
_MAX_HOST: Final = 253
_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")

MEDIA_KINDS: Final[Mapping[str, MediaType]] = {
    "jpg": "image",
    "jpeg": "image",
    "png": "image",
    "webp": "image",
    "mp4": "video",
    "3gp": "video",
    "mov": "video",
}
"""By file name extension; everything else is a document."""


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
