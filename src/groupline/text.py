"""Text that people type: what may be stored, and what can be seen. One place for all of it."""

import re
import unicodedata
from typing import Final

from groupline.errors import InvalidInput

_CONTROLS: Final = frozenset({"Cc", "Cs"})
"""Control characters and halves of surrogate pairs: no database and no phone takes all of them."""
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_BLANK_LETTERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and signs for Unicode, and empty space for whoever looks."""
_LONGEST_WORD: Final = 20


def amount(count: int, one: str, many: str) -> str:
    """“1 message is” or “1,200 messages are”."""
    return f"1 {one}" if count == 1 else f"{count:,} {many}"


def has_controls(text: str, *, but: str = "") -> bool:
    """Whether there is a character in it that is neither shown nor kept."""
    if text.isprintable():
        return False
    return any(unicodedata.category(char) in _CONTROLS and char not in but for char in text)


def is_storable(text: str) -> bool:
    """Whether every database can be asked for it."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def is_blank(text: str) -> bool:
    """Nothing of it can be seen: empty, spaces, characters without a width."""
    return all(_is_unseen(char) for char in text)


def _is_unseen(char: str) -> bool:
    if "\ufe00" <= char <= "\ufe0f":  # says how the character before it is drawn
        return True
    return char in _BLANK_LETTERS or unicodedata.category(char) in _UNSEEN


def beginning(text: str, most: int) -> str:
    """Of a long text at most so many characters: up to a space where one is near. Not all
    languages put spaces between words."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    if not text[most - 1].isspace():
        words = re.sub(rf"\s\S{{0,{_LONGEST_WORD}}}$", "", kept)
        kept = words or kept
    return f"{kept.rstrip()}…"


def check_text(text: str, *, field: str, what: str) -> str:
    """Several lines, as they were typed, with the line breaks of one kind."""
    lines = text.replace("\r\n", "\n")
    if has_controls(lines, but="\n\t"):
        reason = "contains control characters"
        raise InvalidInput(f"The {what} {reason}.", fields={field: reason})
    return lines


def clean_line(text: str, *, field: str, what: str, most: int, least: int = 1) -> str:
    """One line that can be shown: no control characters, single spaces."""
    visible = "".join(" " if character.isspace() else character for character in text)
    line = "" if is_blank(visible) else " ".join(visible.split())
    if not least <= len(line) <= most or has_controls(visible):
        count = f"needs {least} to {most}" if least else f"takes at most {most}"
        reason = f"{count} printable characters"
        raise InvalidInput(f"The {what} {reason}.", fields={field: reason})
    return line
