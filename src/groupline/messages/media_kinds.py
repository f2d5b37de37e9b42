"""Which kind of media a file is by its first bytes, and how large WhatsApp lets it be. Pure.

A server's word for the type is not asked for: half of them call everything an octet-stream, and
a login page in place of an image is an image by name.
"""

from collections.abc import Mapping
from typing import Final

from groupline.models import MediaType

MEGABYTE: Final = 1024 * 1024
LARGEST: Final[Mapping[MediaType, int]] = {
    "image": 5 * MEGABYTE,
    "video": 16 * MEGABYTE,
    "document": 100 * MEGABYTE,
}
"""What WhatsApp takes of each kind."""

_IMAGES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_VIDEO_BRANDS: Final = (b"iso", b"mp4", b"avc1", b"M4V", b"qt", b"3gp", b"3g2", b"dash", b"MSNV")
"""Files in this container that are no video, like HEIC and M4A, are documents to WhatsApp."""
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})


def kind_of(beginning: bytes) -> MediaType:
    if beginning.startswith(_IMAGES):
        return "image"
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "image"
    if beginning[4:8] == b"ftyp" and beginning[8:].startswith(_VIDEO_BRANDS):
        return "video"
    return "video" if beginning[4:8] == b"moov" else "document"


def is_web_page(content_type: str, beginning: bytes) -> bool:
    start = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return content_type in _HTML or start.startswith((b"<!doctype html", b"<html"))
