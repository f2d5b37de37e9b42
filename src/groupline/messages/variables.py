r"""The grammar of a text: what in it is a variable, and what is a mistake. Pure.

``{name}`` is a variable. A brace itself is written ``\{`` or ``\}``. Every other brace is a
problem, so that a text without variables and problems holds no brace that was not meant.
docs/templates.md is the same for people. The outbox stores texts in this grammar; ``plain`` is
what leaves.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

MAX_NAME: Final = 64

ProblemKind = Literal[
    "spaces",
    "case",
    "characters",
    "unseen",
    "too_long",
    "double_braces",
    "empty",
    "unclosed",
    "unopened",
]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_BRACE: Final = re.compile(r"(?<!\\)(\\*+)([{}])")
"""A run of backslashes counts only in front of a brace: two are one, a single one is the escape."""
_DOUBLE: Final = re.compile(r"\{{2,}((?:[^{}\n\\]|\\++(?![{}]))*+)\}*")
_SINGLE: Final = re.compile(r"\{([^{}\n]*)\}")
_WORD: Final = re.compile(r"\{\S{0,30}")
_ALMOST: Final = re.compile(r"[a-z][a-z0-9_\s.-]*")
_SEPARATORS: Final = re.compile(r"[\s.-]+")
_ESCAPE_HINT: Final = r"For a brace itself, write \{ or \}."


@dataclass(frozen=True, slots=True)
class Problem:
    """A place in a text that looks like a variable and is none."""

    kind: ProblemKind
    text: str
    """As it stands in the text."""
    start: int
    end: int
    line: int
    column: int
    """Both from 1, in characters."""
    sentence: str
    suggestion: str | None = None
    """The name that was probably meant."""


@dataclass(frozen=True, slots=True)
class Scan:
    names: tuple[str, ...]
    """The variables, each once, in the order of the text."""
    problems: tuple[Problem, ...]

    @property
    def is_clean(self) -> bool:
        return not self.names and not self.problems


@dataclass(frozen=True, slots=True)
class Filled:
    """A text with its values. It may go into the outbox when nothing is unresolved."""

    text: str
    """Still in the grammar; ``plain`` says what a reader sees."""
    missing: tuple[str, ...]
    """Variables without a value."""
    problems: tuple[Problem, ...]

    @property
    def unresolved(self) -> tuple[str, ...]:
        """Everything that keeps it from leaving, as it stands in the text."""
        offending = (problem.text for problem in self.problems)
        return tuple(dict.fromkeys([*(f"{{{name}}}" for name in self.missing), *offending]))


@dataclass(frozen=True, slots=True)
class _Literal:
    text: str


@dataclass(frozen=True, slots=True)
class _Variable:
    name: str


@dataclass(frozen=True, slots=True)
class _Mistake:
    kind: ProblemKind
    start: int
    end: int
    name: str | None = None


_Part = _Literal | _Variable | _Mistake


def is_name(text: str) -> bool:
    return len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None


def scan(content: str) -> Scan:
    parts = [*_parts(content)]
    names = dict.fromkeys(part.name for part in parts if isinstance(part, _Variable))
    mistakes = [part for part in parts if isinstance(part, _Mistake)]
    return Scan(tuple(names), tuple(_problems(content, mistakes)))


def fill(content: str, values: Mapping[str, str]) -> Filled:
    """Values go in as they are: braces in them are braces, whatever they look like."""
    if _has_no_braces(content):
        return Filled(content, (), ())
    found = scan(content)
    missing = tuple(name for name in found.names if name not in values)
    return Filled(_filled(content, values), missing, found.problems)


def plain(content: str) -> str:
    """What a reader sees: escapes are braces. Variables and mistakes stay as they stand."""
    if _has_no_braces(content):
        return content
    return "".join(
        part.text if isinstance(part, _Literal) else _source(part, content)
        for part in _parts(content)
    )


def escape(text: str) -> str:
    """The text in the grammar whose ``plain`` it is."""
    return _BRACE.sub(lambda found: rf"{found[1] * 2}\{found[2]}", text)


def suggest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest to one that is not known."""
    nearest = get_close_matches(name, [*known], n=1, cutoff=0.75)
    return nearest[0] if nearest else None


# --- reading --------------------------------------------------------------------------------


def _has_no_braces(content: str) -> bool:
    """As most texts that leave: there is nothing to find in them."""
    return "{" not in content and "}" not in content


def _parts(content: str) -> Iterator[_Part]:
    at = 0
    while (brace := _BRACE.search(content, at)) is not None:
        backslashes = len(brace[1])
        yield _Literal(content[at : brace.start()] + "\\" * (backslashes // 2))
        if backslashes % 2:
            yield _Literal(brace[2])
            at = brace.end()
        elif brace[2] == "}":
            yield _Mistake("unopened", brace.end() - 1, brace.end())
            at = brace.end()
        else:
            part, at = _opened(content, brace.end() - 1)
            yield part
    yield _Literal(content[at:])


def _opened(content: str, start: int) -> tuple[_Part, int]:
    """What begins with the brace at ``start``, and where it ends."""
    double = _DOUBLE.match(content, start)
    if double is not None:
        name = _meant(double[1])
        return _Mistake("double_braces", start, double.end(), name), double.end()
    single = _SINGLE.match(content, start)
    if single is None or _ends_in_escape(single[1]):
        word = _WORD.match(content, start)
        assert word is not None
        end = _before_next_brace(content, start, word.end())
        return _Mistake("unclosed", start, end, _meant(content[start + 1 : end])), end
    if is_name(single[1]):
        return _Variable(single[1]), single.end()
    return _Mistake(_kind(single[1]), start, single.end(), _meant(single[1])), single.end()


def _ends_in_escape(inner: str) -> bool:
    return (len(inner) - len(inner.rstrip("\\"))) % 2 == 1


def _before_next_brace(content: str, start: int, end: int) -> int:
    following = _BRACE.search(content, start + 1)
    return end if following is None else min(end, following.start())


def _kind(inner: str) -> ProblemKind:
    if not inner.strip():
        return "empty"
    if any(char.isspace() for char in inner):
        return "spaces"
    if len(inner) > MAX_NAME:
        return "too_long"
    if is_name(inner.lower()):
        return "case"
    return "unseen" if is_name(_seen(inner)) else "characters"


def _seen(text: str) -> str:
    return "".join(char for char in text if char.isprintable() or char.isspace())


def _meant(inner: str) -> str | None:
    """The name that somebody probably had in mind, if it is close to one."""
    almost = _seen(inner).strip().lower()
    if not _ALMOST.fullmatch(almost):
        return None
    name = _SEPARATORS.sub("_", almost).strip("_")
    return name if is_name(name) else None


# --- writing --------------------------------------------------------------------------------


def _filled(content: str, values: Mapping[str, str]) -> str:
    """Resolved neighbours are escaped as one text: a backslash may end up before a brace."""
    written: list[str] = []
    resolved: list[str] = []
    for part in _parts(content):
        value = values.get(part.name) if isinstance(part, _Variable) else None
        if isinstance(part, _Literal):
            resolved.append(part.text)
        elif value is not None:
            resolved.append(value)
        else:
            written += [_escape_before_brace("".join(resolved)), _source(part, content)]
            resolved = []
    return "".join(written) + escape("".join(resolved))


def _escape_before_brace(text: str) -> str:
    backslashes = len(text) - len(text.rstrip("\\"))
    return escape(text) + "\\" * backslashes


def _source(part: _Variable | _Mistake, content: str) -> str:
    return f"{{{part.name}}}" if isinstance(part, _Variable) else content[part.start : part.end]


def _problems(content: str, mistakes: Iterable[_Mistake]) -> Iterator[Problem]:
    breaks = [at for at, char in enumerate(content) if char == "\n"]
    for mistake in mistakes:
        line = bisect_left(breaks, mistake.start)
        text = content[mistake.start : mistake.end]
        yield Problem(
            kind=mistake.kind,
            text=text,
            start=mistake.start,
            end=mistake.end,
            line=line + 1,
            column=mistake.start - (breaks[line - 1] if line else -1),
            sentence=_sentence(mistake, text),
            suggestion=mistake.name,
        )


_WHY: Final[Mapping[ProblemKind, str]] = {
    "spaces": "a name has no spaces.",
    "case": "a name has small letters only.",
    "characters": "a name has the letters a to z, digits and _ only, and begins with a letter.",
    "unseen": "there is a character in it that cannot be seen.",
    "too_long": f"a name has at most {MAX_NAME} characters.",
    "double_braces": "a variable has one brace on each side.",
    "empty": "there is no name between the braces.",
    "unclosed": "the brace is not closed.",
    "unopened": "this brace closes nothing.",
}


def _sentence(mistake: _Mistake, text: str) -> str:
    shown = text if len(text) <= 40 else f"{text[:39]}…"
    advice = f"Write {{{mistake.name}}}." if mistake.name else _ESCAPE_HINT
    return f"“{shown}”: {_WHY[mistake.kind]} {advice}"
