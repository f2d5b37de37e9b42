"""Tolerant reading of what gateways send. Nothing here raises, whatever the input."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

JsonObject = Mapping[str, object]

MAX_NAME = 200
MAX_DETAIL = 300
MAX_ID = 200
MAX_QR = 4_096
MAX_QR_IMAGE = 512_000

_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})
_LATEST = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
# Marks that reorder text could make one group look like another. Joiners stay: emoji and many
# scripts need them.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_SPACES = re.compile(r"\s+")


class _NoJson:
    """The body is no JSON. Not None, which is JSON."""

    def __repr__(self) -> str:
        return "NO_JSON"


NO_JSON: Final = _NoJson()


def _bounded_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= 20 else float(digits)


_DECODER = json.JSONDecoder(parse_int=_bounded_int)


def parse_json(body: bytes) -> object:
    """The value, or `NO_JSON`."""
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return NO_JSON


def as_object(value: object) -> JsonObject | None:
    return value if isinstance(value, dict) else None


def clean(text: str, limit: int) -> str:
    """One line without control characters, cut to `limit` characters."""
    spaced = _SPACES.sub(" ", text[: limit * 8])
    kept = (c for c in spaced if unicodedata.category(c) not in _UNSAFE and c not in _BIDI)
    line = _SPACES.sub(" ", "".join(kept)).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


_UNSAFE = frozenset({"Cc", "Cs", "Co", "Cn"})


def text(value: object, limit: int = MAX_DETAIL) -> str | None:
    """A text or a number as one clean line; None for everything else and for nothing."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        value = str(value)
    return (clean(value, limit) or None) if isinstance(value, str) else None


def first_text(source: JsonObject, keys: Iterable[str], limit: int = MAX_DETAIL) -> str | None:
    for key in keys:
        if (found := text(source.get(key), limit)) is not None:
            return found
    return None


def identifier(value: object) -> str | None:
    """An id exactly as it was sent, or None: a cut or cleaned id would be another one."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    stripped = value.strip()
    printable = stripped.isascii() and stripped.isprintable() and " " not in stripped
    return stripped if 0 < len(stripped) <= MAX_ID and printable else None


def boolean(value: object) -> bool | None:
    """True for true, "true", 1, "1"; None for what is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return True if value == 1 else False if value == 0 else None
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def count(value: object) -> int | None:
    """A count as a number or as its digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:10])
    return value if isinstance(value, int) and 0 <= value < 10**7 else None


def moment(value: object) -> datetime | None:
    """ISO 8601, or seconds or milliseconds since 1970."""
    if isinstance(value, str):
        stripped = value.strip()
        if stripped.isascii() and stripped.isdigit():
            return _from_epoch(float(stripped[:20]))
        return _from_iso(stripped)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_epoch(value)
    return None


def _from_iso(value: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _from_epoch(value: float) -> datetime | None:
    if not 0 < value < _LATEST * 1000:  # also refuses what is not a number
        return None
    seconds = value / 1000 if value > _LATEST else value
    return datetime.fromtimestamp(seconds, tz=UTC)


def error_text(value: object) -> str | None:
    """The words of an error document: `error` or `message`, as a text or one level deeper."""
    document = as_object(value)
    if document is None:
        return None
    for key in ("error", "message", "detail", "reason"):
        found = document.get(key)
        if isinstance(found, list) and found:
            found = found[0]
        nested = as_object(found)
        words = first_text(nested, ("message", "error")) if nested else None
        words = words or (text(found) if isinstance(found, str) else None)
        if words:
            return words
    return None


_TITLE = re.compile(rb"<title[^>]*>([^<]{1,200})", re.IGNORECASE)


def body_words(body: bytes) -> str | None:
    """A few words of a body that is no JSON, for people: a page's title, or the plain text."""
    head = body[:4_096]
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if stripped.startswith(b"<"):
        title = _TITLE.search(head)
        return text(title.group(1).decode("utf-8", "replace"), 100) if title else "a web page"
    return text(stripped.decode("utf-8", "replace"), 100)


_SHORTEST_SECRET = 4
_NUMBER = re.compile(r"\+?\d(?:[ ()-]?\d){8,}(?!\d|@g\.us)")


def redact(words: str, secrets: Iterable[str]) -> str:
    """A clean line without the given secrets and without whole phone numbers."""
    words = without(words, secrets, shortest=_SHORTEST_SECRET)
    return _NUMBER.sub(lambda match: "•••" + match.group()[-3:], words)


def without(words: str, texts: Iterable[str], *, shortest: int) -> str:
    """Without repetitions of the given texts, as far as these are so long."""
    for each in texts:
        if len(each) >= shortest:
            words = _without(words, clean(each, len(each)))
    return words


def _without(words: str, secret: str) -> str:
    """`secret` as a clean line, for that is how it is repeated; the end of it may be cut off."""
    if len(secret) < _SHORTEST_SECRET:
        return words
    words = words.replace(secret, "•••")
    if not words.endswith("…"):
        return words
    tails = range(len(words) - _SHORTEST_SECRET)
    cut = next((at for at in tails if secret.startswith(words[at:-1])), None)
    return words if cut is None else words[:cut] + "•••"
