"""Text as WhatsApp shows it: its marks, lists, quotes, code and links as HTML. Pure.

Everything that was typed is escaped; the only elements are the ones made here.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal
from unicodedata import category

from markupsafe import Markup, escape

_MARKS: Final[Mapping[str, str]] = {"*": "strong", "_": "em", "~": "s"}

# In this order: nothing inside of code is a link, and nothing inside of either is a mark.
_ATOM: Final = re.compile(
    r"```(?P<block>(?:(?!```).)*\S(?:(?!```).)*)```"
    r"|`(?P<code>[^`\n]*[^`\s][^`\n]*)`"
    r"|(?<![^\W_])(?P<link>(?:https?://|www\.)[^\s<>\"`\x00]+)",
    re.DOTALL | re.IGNORECASE,
)
_PLACE: Final = re.compile(r"\x00(\d+)\x00")
_AFTER_LINK: Final = re.compile(r"[*_~.,;:!?'\"\])}]")
_OPENING: Final[Mapping[str, str]] = {")": "(", "]": "[", "}": "{"}
_LINE: Final = re.compile(r"(?P<bullet>[-*] +)|(?P<number>\d{1,2})\. +|(?P<quote>> +)")

_LineKind = Literal["text", "bullet", "number", "quote"]


@dataclass(frozen=True, slots=True)
class _Line:
    kind: _LineKind
    text: str
    number: int = 0


def whatsapp_html(text: str, *, highlight: Iterable[str] = ()) -> Markup:
    """``highlight``: what in the text is marked, as it stands there: variables without a value."""
    writer = _Writer(highlight)
    lines = writer.with_places(text.replace("\x00", "\ufffd")).split("\n")
    return Markup("".join(_blocks(lines, writer)))  # noqa: S704 - the writer escapes


def _blocks(lines: Sequence[str], writer: _Writer) -> Iterator[str]:
    groups = [(kind, [*some]) for kind, some in groupby(map(_line, lines), key=lambda x: x.kind)]
    for place, (kind, some) in enumerate(groups):
        inner = [writer.inline(line.text) for line in some]
        if kind == "text":
            yield "<br>".join(inner)
            # An empty line before a list or a quote is one that is seen.
            yield "<br>" if place + 1 < len(groups) and not some[-1].text else ""
        elif kind == "quote":
            yield f"<blockquote>{'<br>'.join(inner)}</blockquote>"
        elif kind == "bullet":
            yield f"<ul>{''.join(f'<li>{item}</li>' for item in inner)}</ul>"
        else:
            numbered = zip(some, inner, strict=True)
            items = (f'<li value="{line.number}">{item}</li>' for line, item in numbered)
            yield f"<ol>{''.join(items)}</ol>"


def _line(line: str) -> _Line:
    start = _LINE.match(line)
    if start is None or not line[start.end() :].strip():
        return _Line("text", line)
    rest = line[start.end() :]
    if start["number"]:
        return _Line("number", rest, int(start["number"]))
    return _Line("bullet" if start["bullet"] else "quote", rest)


@dataclass(slots=True)
class _Writer:
    """Turns lines into HTML. Code and links were taken out before, and are put back here."""

    highlight: Iterable[str]
    _atoms: list[str] = field(default_factory=list)
    _marked: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        wanted = [re.escape(each) for each in self.highlight if each]
        self._marked = re.compile(f"({'|'.join(wanted)})") if wanted else None

    def with_places(self, text: str) -> str:
        return _ATOM.sub(self._take, text)

    def inline(self, text: str) -> str:
        """One line: marks and what is between them."""
        return _marks(text, tuple(_MARKS), self._plain)

    def _take(self, found: re.Match[str]) -> str:
        if found["link"] is not None:
            link, rest = _end_of_link(found["link"])
            return (self._place(self._link(link)) if link else "") + rest
        if found["code"] is not None:
            return self._place(f"<code>{self._text(found['code'])}</code>")
        block = found["block"]
        if "\n" in block:
            return self._place(f"<pre>{self._text(block.strip(chr(10)))}</pre>")
        return self._place(f"<code>{self._text(block)}</code>")

    def _place(self, html: str) -> str:
        self._atoms.append(html)
        return f"\x00{len(self._atoms) - 1}\x00"

    def _link(self, link: str) -> str:
        href = link if link[:4].lower() == "http" else f"https://{link}"
        return f'<a href="{escape(href)}" rel="noopener noreferrer">{self._text(link)}</a>'

    def _plain(self, text: str) -> str:
        parts = _PLACE.split(text)
        return "".join(
            self._atoms[int(part)] if place % 2 else self._text(part)
            for place, part in enumerate(parts)
        )

    def _text(self, text: str) -> str:
        if self._marked is None:
            return str(escape(text))
        parts = self._marked.split(text)
        return "".join(
            f"<mark>{escape(part)}</mark>" if place % 2 else str(escape(part))
            for place, part in enumerate(parts)
        )


def _end_of_link(text: str) -> tuple[str, str]:
    """A link without the marks and the punctuation behind it; brackets that it opened stay."""
    end = len(text)
    while end and _AFTER_LINK.match(text[end - 1]):
        closing = text[end - 1]
        opening = _OPENING.get(closing)
        if opening and text.count(opening, 0, end) >= text.count(closing, 0, end):
            break
        end -= 1
    link = text[:end]
    has_host = bool(re.fullmatch(r"(?:https?://|www\.)[^\s/?#]+.*", link, re.IGNORECASE))
    return (link, text[end:]) if has_host else ("", text)


# --- marks ----------------------------------------------------------------------------------


def _marks(text: str, allowed: tuple[str, ...], plain: Callable[[str], str]) -> str:
    """A mark opens before a word and closes behind one, in the same line; marks nest."""
    closers = {mark: _closers(text, mark) for mark in allowed}
    written: list[str] = []
    at = seen = 0
    while at < len(text):
        end = _close(text, at, closers)
        if end is None:
            at += 1
            continue
        tag = _MARKS[text[at]]
        others = tuple(mark for mark in allowed if mark != text[at])
        written += [
            plain(text[seen:at]),
            f"<{tag}>{_marks(text[at + 1 : end], others, plain)}</{tag}>",
        ]
        at = seen = end + 1
    return "".join(written) + plain(text[seen:])


def _close(text: str, at: int, closers: Mapping[str, Sequence[int]]) -> int | None:
    """Where the mark that opens here closes; ``None`` where none opens."""
    mark = text[at]
    if mark not in closers or _is_word(text[at - 1 : at]) or text[at - 1 : at] == mark:
        return None
    following = text[at + 1 : at + 2]
    if not following.strip() or following == mark:
        return None
    later = closers[mark]
    place = bisect_left(later, at + 2)
    return later[place] if place < len(later) else None


def _closers(text: str, mark: str) -> list[int]:
    return [
        at
        for at, char in enumerate(text)
        if char == mark
        and at
        and not text[at - 1].isspace()
        and text[at - 1] != mark
        and text[at + 1 : at + 2] != mark
        and not _is_word(text[at + 1 : at + 2])
    ]


def _is_word(char: str) -> bool:
    """Letters and digits, with the signs that many scripts write around them."""
    return bool(char) and category(char)[0] in "LNM"
