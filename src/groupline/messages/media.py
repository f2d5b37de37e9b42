"""Media by URL: what may be asked for, and of which kind it is."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from groupline.errors import InvalidInput
from groupline.models import MediaType

MAX_URL: Final = 2_000

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
        host = parts.hostname
    except ValueError as error:
        raise _refused("is not a URL") from error
    if len(url) > MAX_URL or not url.isprintable() or " " in url:
        raise _refused("is too long, or contains characters that a URL cannot have")
    if parts.scheme not in ("http", "https") or not host:
        raise _refused("must begin with https:// or http:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise _refused("must not contain a user name or a password")
    return parts


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"The media address {why}.", fields={"mediaUrl": why})
