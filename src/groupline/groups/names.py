"""How names of groups are compared: without case, accents and width, in every script."""

import unicodedata
from collections.abc import Iterable
from typing import Final

UNNAMED: Final = "Unnamed group"
MAX_SEARCH_NAME: Final = 300
"""Characters. The index on it takes rows of up to 2,700 bytes."""
_MAX_ID: Final = 100
MIN_INDEXED: Final = 3
"""The index knows three characters in a row; a shorter word is looked up by reading."""

# Letters that Unicode does not take apart, though people type them without the stroke.
_PLAIN: Final = {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "æ": "ae", "œ": "oe"}


class _Kept(dict[int, str | None]):
    """What becomes of each character; found out once for each."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        kept = self[code] = None if _is_ignored(char) else _PLAIN.get(char, char)
        return kept


def _is_ignored(char: str) -> bool:
    """Accents and points, but not the vowel signs of Indic scripts: those are letters."""
    above_or_below = unicodedata.combining(char)
    is_point = 10 <= above_or_below <= 36 or above_or_below >= 200
    return is_point or unicodedata.category(char) in {"Cc", "Cf", "Cs"}


_KEPT: Final = _Kept()


def normalise(text: str) -> str:
    """The form in which two names are the same to a person who types one of them."""
    folded = text.casefold()
    if not text.isascii():
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join(folded.translate(_KEPT).split())


def short_id(jid: str) -> str:
    """Tells groups of one name apart: the end of the id, without a phone number in it."""
    return _local_part(jid)[-6:]


def _local_part(jid: str) -> str:
    return jid.partition("@")[0]


def search_name(name: str | None, jid: str) -> str:
    """What search reads, and what lists are sorted by: the name, then the short id.

    A group without a name has nothing but its id, so that can be found by any part of it.
    """
    words = normalise(name or "")
    ending = " " + (short_id(jid) if words else _local_part(jid)[-_MAX_ID:]).lower()
    return words[: MAX_SEARCH_NAME - len(ending)] + ending


def search_words(query: str) -> list[str]:
    """Every one of them must be found. A whole group id is looked up by its short one."""
    if query.strip().lower().endswith("@g.us"):
        query = short_id(query.strip())
    return list(dict.fromkeys(normalise(query[:MAX_SEARCH_NAME]).split()))


def indexed_words(words: Iterable[str]) -> list[str]:
    return [word for word in words if len(word) >= MIN_INDEXED]
