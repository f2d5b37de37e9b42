"""Which kind of media a file is by its first bytes, and how large WhatsApp lets it be. Pure.

A server's word for the type is not asked for: half of them call everything an octet-stream, and
a login page in place of an image is an image by name. Only where it says itself that this is a web
page it is believed: a page is never what somebody wants to send, whatever it is called.
"""

import codecs
import re
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
_ENCODINGS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BEFORE_THE_CONTENT: Final = re.compile(r"(?:\s|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z))*", re.DOTALL)
_PAGE: Final = re.compile(
    r"<!doctype\s+html|<(?:html|head|body|title|meta|link|script|style|iframe|h1|div|center|font"
    r"|table|a|b|br|p)[\s/>]"
)
"""How browsers know one that nobody calls so, and how the error pages of old servers begin."""
_ERROR: Final = re.compile(r"<error[\s/>]")
"""How stores of files answer when there is nothing, or nothing for everybody."""


def kind_of(beginning: bytes) -> MediaType:
    if beginning.startswith(_IMAGES):
        return "image"
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "image"
    if beginning[4:8] == b"ftyp" and beginning[8:].startswith(_VIDEO_BRANDS):
        return "video"
    return "video" if beginning[4:8] == b"moov" else "document"


def page_of(content_type: str, beginning: bytes) -> str | None:
    """What stands there in place of a file, if something does."""
    text = _text(beginning)
    opening = _BEFORE_THE_CONTENT.match(text)
    start = opening.end() if opening else 0
    if content_type in _HTML or _PAGE.match(text, start):
        return "a web page"
    if _ERROR.match(text, start):
        return "an error message"
    is_unfinished = start == len(text) and text.lstrip().startswith("<!--")
    return "a web page" if is_unfinished else None  # as browsers take it


def _text(beginning: bytes) -> str:
    for mark, encoding in _ENCODINGS:
        if beginning.startswith(mark):
            return beginning.removeprefix(mark).decode(encoding, errors="replace").lower()
    return beginning.decode("latin-1").lower()
